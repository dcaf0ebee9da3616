"""Routes of signing in and out: the household's password, the set-up link, tokens and cookies."""

from typing import Annotated

import msgspec
from aiohttp import web

from tagline.accounts import passwords, sessions, tokens, users
from tagline.accounts.credentials import (
    ACCESS_COOKIE,
    CREDENTIALS,
    REFRESH_COOKIE,
    check_same_origin,
    credentials_of,
)
from tagline.accounts.firstrun import FIRST_RUN
from tagline.api import LEFT, Example, api
from tagline.config import CONFIG
from tagline.db import DB, Row
from tagline.errors import Denied, Unauthenticated

# At the root as well, where clients of the first Tagline know them.
routes = web.RouteTableDef()


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """The household's password, and how this device should be called."""

    password: str
    device_name: Annotated[str, msgspec.Meta(max_length=100)] = ""


class SetUp(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the set-up link, and the password to be."""

    token: str
    password: str
    device_name: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Refresh(msgspec.Struct, forbid_unknown_fields=True):
    """The refresh token; without it, the cookie is taken."""

    refresh_token: str | None = None


class Tokens(msgspec.Struct):
    """What a sign-in gives. `expires_in` and `refresh_expires_in` are seconds."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int
    refresh_expires_in: int
    detail: str


class Done(msgspec.Struct):
    """What was done, in a sentence."""

    detail: str


# Cookies to set on the answer: value and seconds, or None to clear.
Cookies = dict[str, tuple[str, int] | None]
_COOKIES: web.RequestKey[Cookies] = web.RequestKey("cookies")


_TOKENS = {
    "access_token": "eyJhbGciOi…", "refresh_token": "mZ0h…", "token_type": "bearer", "expires_in": 900,
    "refresh_expires_in": 2592000, "detail": "Login successful",
}  # fmt: skip


@routes.post("/login")
@api(
    scope=None,
    errors=(401, 422, 429),
    example=Example(body={"password": "a long household password"}, answer=_TOKENS),
)
async def login(request: web.Request, body: Login) -> Tokens:
    """Sign in with the household's password, as its owner."""
    credentials = request.app[CREDENTIALS]
    client = f"{request.remote} owner"
    left = credentials.sign_ins.take(client)
    owner = await users.owner(request.app[DB])
    configured = request.app[CONFIG].backend_password
    if configured:
        right = passwords.same(body.password, configured)
    elif owner["password_hash"]:
        right = await passwords.matches(body.password, owner["password_hash"])
    else:
        raise Unauthenticated(
            "No password has been chosen yet. Open the set-up link that the server printed.",
            code="not_set_up",
        )
    if not right:
        request[LEFT] = left
        raise Unauthenticated("Invalid credentials", code="invalid_credentials", headers={"WWW-Authenticate": "Bearer"})
    credentials.sign_ins.give_back(client)
    return await sign_in(request, owner, body.device_name, "Login successful")


@routes.post("/setup")
@api(
    scope=None, errors=(403, 410, 422, 429),
    example=Example(
        body={"token": "2vQ…", "password": "a long household password"},
        answer={**_TOKENS, "detail": "Tagline is set up"},
    ),
)  # fmt: skip
async def set_up(request: web.Request, body: SetUp) -> Tokens:
    """Choose the household's password with the link that the first start printed, and sign in."""
    credentials = request.app[CREDENTIALS]
    client = f"{request.remote} setup"
    credentials.sign_ins.take(client)
    first_run, db = request.app[FIRST_RUN], request.app[DB]
    first_run.check(body.token)
    credentials.sign_ins.give_back(client)
    passwords.check_new(body.password)
    await first_run.choose_password(db, body.token, await passwords.hashed(body.password))
    return await sign_in(request, await users.owner(db), body.device_name, "Tagline is set up")


async def sign_in(request: web.Request, user: Row, device_name: str, detail: str) -> Tokens:
    """Start a session for an account whose person has shown who they are; sets the cookies as well."""
    device = _device(request, device_name)
    granted = await request.app[DB].write(sessions.start, user["id"], user["role"], device)
    return _tokens(request, granted, user["email"], detail)


@routes.post("/refresh")
@api(
    scope=None,
    errors=(401, 403, 422),
    example=Example(body={"refresh_token": "mZ0h…"}, answer={**_TOKENS, "detail": "Token refreshed"}),
)
async def refresh(request: web.Request, body: Refresh | None) -> Tokens:
    """Exchange a refresh token for a new pair. Each can be used once."""
    token = _refresh_token(request, body)
    granted = await request.app[DB].write(sessions.refresh, token, _device(request, "")) if token else None
    if not granted:
        request[LEFT] = request.app[CREDENTIALS].anonymous.take(request.remote or "")
        raise sessions.refused()
    user = await request.app[DB].row("accounts.user", id=granted.user_id)
    return _tokens(request, granted, user["email"] if user else None, "Token refreshed")


@routes.post("/logout")
@api(
    scope=None,
    errors=(401, 403, 422),
    example=Example(body={"refresh_token": "mZ0h…"}, answer={"detail": "Logged out"}),
)
async def logout(request: web.Request, body: Refresh | None) -> Done:
    """Sign this device out: its tokens are void at once."""
    db = request.app[DB]
    token = _refresh_token(request, body)
    access, from_cookie = credentials_of(request)
    if from_cookie and access:
        check_same_origin(request)
    who = await request.app[CREDENTIALS].identify(access) if access else None
    if who and who.session_id:
        await db.write(sessions.end, who.actor, who.user_id, who.session_id)
    elif token:
        await db.write(sessions.end_by_token, token)
    elif who:
        raise Denied("An API key is not signed in; revoke it under /api/auth/keys.")
    else:
        raise Unauthenticated("Nobody is signed in", headers={"WWW-Authenticate": "Bearer"})
    cleared: Cookies = {ACCESS_COOKIE: None, REFRESH_COOKIE: None}
    request[_COOKIES] = cleared
    return Done("Logged out")


def _device(request: web.Request, name: str) -> sessions.Device:
    user_agent = request.headers.get("User-Agent", "")[:300]
    return sessions.Device(name.strip() or user_agent[:100] or "unknown device", user_agent, request.remote or "")


def _refresh_token(request: web.Request, body: Refresh | None) -> str | None:
    if body and body.refresh_token:
        return body.refresh_token
    token = request.cookies.get(REFRESH_COOKIE)
    if token:
        check_same_origin(request)
    return token


def _tokens(request: web.Request, granted: sessions.Granted, email: str | None, detail: str) -> Tokens:
    secret = request.app[CREDENTIALS].secret
    access = tokens.access_token(secret, granted.user_id, email, granted.role, granted.session_id)
    cookies: Cookies = {
        ACCESS_COOKIE: (access, tokens.ACCESS_SECONDS),
        REFRESH_COOKIE: (granted.refresh_token, tokens.REFRESH_SECONDS),
    }
    request[_COOKIES] = cookies
    return Tokens(access, granted.refresh_token, "bearer", tokens.ACCESS_SECONDS, tokens.REFRESH_SECONDS, detail)


async def set_cookies(request: web.Request, response: web.StreamResponse) -> None:
    cookies = request.get(_COOKIES)
    if cookies is None:
        return
    response.headers["Cache-Control"] = "no-store"
    for name, cookie in cookies.items():
        if cookie is None:
            response.del_cookie(name, path="/", httponly=True, samesite="Lax", secure=request.secure)
        else:
            value, seconds = cookie
            response.set_cookie(
                name, value, max_age=seconds, path="/", httponly=True, samesite="Lax", secure=request.secure
            )
    # aiohttp has put its cookies into the headers before it calls this.
    for each in response.cookies.values():
        response.headers.add("Set-Cookie", each.OutputString())
