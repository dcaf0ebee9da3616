"""Every route there is, asked by everybody who may not: nothing but a short list is open."""

import time
from collections.abc import Iterator

import jwt
import pytest
from aiohttp import web

from tagline.accounts.credentials import CREDENTIALS
from tagline.api import OPERATION, SCOPES, Operation
from tests.house import PASSWORD, Answer, Client, House

NOBODY = "00000000-0000-4000-8000-000000000000"
VALUES = {"version": "1", "name": "site.css"}
# What is about a person and not about photos: people need the route's own scope for it, API keys `admin`.
PERSONAL = {("PATCH", "/auth/profile"), ("GET", "/auth/sessions"), ("HEAD", "/auth/sessions"),
            ("DELETE", f"/auth/sessions/{NOBODY}"), ("POST", "/auth/pair")}  # fmt: skip

# What needs no credentials, and why.
OPEN = {
    # How one gets credentials, or gives them up.
    ("POST", "/login"),
    ("POST", "/refresh"),
    ("POST", "/logout"),
    ("POST", "/setup"),
    ("POST", "/auth/pair/exchange"),
    # What of tus is understood here: a client asks before it knows anything.
    ("OPTIONS", "/uploads"),
    # For monitors; they are told the status alone.
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    # The API document, and the web app's files.
    ("GET", "/openapi.json"),
    ("GET", "/api/docs"),
    ("GET", "/"),
    ("GET", "/setup"),
    ("GET", "/pair"),
    ("GET", "/static/{name}"),
    ("GET", "/favicon.ico"),
}
# What asks for credentials by itself, once the connection stands: tests/sync/realtime/.
BY_THEMSELVES = {("GET", "/ws/sync"), ("GET", "/socket.io/"), ("POST", "/socket.io/")}


def routes(app: web.Application) -> Iterator[tuple[str, str, Operation | None]]:
    """Every route: method, path, and what `@api` knows of it."""
    for route in app.router.routes():
        assert route.resource is not None
        yield route.method, route.resource.canonical, getattr(route.handler, OPERATION, None)


def bare(path: str) -> str:
    for prefix in ("/api/v1", "/api"):
        if path.startswith(prefix + "/") and path != "/api/docs":
            return path.removeprefix(prefix)
    return path


def closed(app: web.Application) -> list[tuple[str, str, Operation]]:
    """The routes that need credentials, with their paths filled in."""
    found = []
    for method, path, operation in routes(app):
        if operation is not None and operation.scope is not None:
            parts = [VALUES.get(part[1:-1], NOBODY) if part.startswith("{") else part for part in path.split("/")]
            found.append((method, "/".join(parts), operation))
    return found


async def refused(client: Client, house: House) -> None:
    """Every closed route answers 401, with a challenge and in the one form of errors."""
    listed = closed(house.app)
    assert len(listed) > 50
    for method, path, _ in listed:
        answer = await client.ask(method, path)
        assert answer.status == 401, (method, path)
        check(answer, method)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), (method, path)


def check(answer: Answer, method: str) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    if method == "HEAD":
        assert answer.body == b""
    else:
        code = {401: "unauthenticated", 403: "forbidden"}[answer.status]
        assert (answer.json["status"], answer.json["code"]) == (answer.status, code)


async def test_nothing_is_open_but_what_is_listed_here(house: House) -> None:
    found = {
        ("GET" if method == "HEAD" else method, bare(path))
        for method, path, operation in routes(house.app)
        if operation is None or operation.scope is None
    }
    assert found == OPEN | BY_THEMSELVES


async def test_what_is_open_is_open(house: House) -> None:
    for method, path in sorted(OPEN):
        if method == "GET":
            where = "/api/openapi.json" if path == "/openapi.json" else path.replace("{name}", "site.css")
            assert (await house.eve.get(where)).status == 200, path


async def test_nobody_gets_in_without_credentials(house: House) -> None:
    await refused(house.eve, house)


async def test_nobody_gets_in_with_a_token_that_has_expired(house: House) -> None:
    now = int(time.time())
    await refused(house.bearer(forged(house, iat=now - 901, exp=now - 1)), house)


@pytest.mark.parametrize("how", ["none", "another key"])
async def test_nobody_gets_in_with_a_forged_token(house: House, how: str) -> None:
    if how == "none":
        token = jwt.encode(claims(house), None, "none")
    else:
        token = jwt.encode(claims(house), "another key of at least thirty-two bytes", "HS256")
    await refused(house.bearer(token), house)


@pytest.mark.parametrize("carrier", ["Authorization", "Cookie"])
async def test_nobody_gets_in_with_a_token_that_was_revoked(house: House, carrier: str) -> None:
    pair = (await house.eve.post("/login", {"password": PASSWORD})).json
    client = house.bearer(pair["access_token"])
    assert (await client.get("/photos")).status == 200
    await client.post("/logout")
    if carrier == "Cookie":
        client = house.client(Cookie=f"tagline_access_token={pair['access_token']}", Origin=house.base)
    await refused(client, house)


async def test_nobody_gets_in_with_a_key_that_was_revoked(house: House) -> None:
    made = (await house.ana.post("/api/auth/keys", {"name": "x", "scope": "admin"})).json
    assert (await house.bearer(made["key"]).get("/photos")).status == 200
    await house.ana.delete(f"/api/auth/keys/{made['id']}")
    await refused(house.client(**{"x-api-key": made["key"]}), house)


@pytest.mark.parametrize("scope", SCOPES[:-1])
async def test_nobody_does_more_than_their_scope_covers(house: House, scope: str) -> None:
    key = await house.key(scope)
    tried = 0
    for method, path, operation in closed(house.app):
        assert operation.scope is not None
        if SCOPES.index(operation.scope) <= SCOPES.index(scope):
            continue
        answer = await key.ask(method, path)
        assert answer.status == 403, (method, path)
        check(answer, method)
        tried += 1
    assert tried >= 10


async def test_with_enough_of_a_scope_no_route_is_closed(house: House) -> None:
    """So that the answers above come from the scope and from nothing else."""
    for scope in SCOPES:
        key = await house.key(scope)
        for method, path, operation in closed(house.app):
            assert operation.scope is not None
            needed = "admin" if (method, bare(path)) in PERSONAL else operation.scope
            # A stream of events has no end: tests/sync/realtime/.
            if needed == scope and bare(path) != "/sync/events":
                answer = await key.ask(method, path)
                # WebDAV says 403 also to what nobody can do (RFC 4918): delete the library, list all of it at once; and
                # LOCK, which may add, may not touch what is there already, as the library itself is.
                detail = answer.json["detail"] if answer.status == 403 and path.startswith("/dav") else "scope"
                impossible = "scope" not in detail or (method, path) == ("LOCK", "/dav")
                assert answer.status not in (401, 403) or impossible, (method, path)


async def test_reading_needs_no_more_than_read_and_changing_no_less_than_write(house: House) -> None:
    for method, path, operation in closed(house.app):
        if "/uploads/" in path:
            assert operation.scope == "upload", path
        elif method in ("GET", "HEAD") or (path.startswith("/dav") and method in ("OPTIONS", "PROPFIND")):
            assert operation.scope == ("admin" if "/auth/keys" in path else "read"), path
        else:
            assert operation.scope in ("upload", "write", "admin"), path


def claims(house: House) -> dict[str, object]:
    """What ana's token says."""
    token = house.ana.headers["Authorization"].removeprefix("Bearer ")
    said: dict[str, object] = jwt.decode(token, house.app[CREDENTIALS].secret, ["HS256"])
    return said


def forged(house: House, **changed: object) -> str:
    return jwt.encode({**claims(house), **changed}, house.app[CREDENTIALS].secret, "HS256")
