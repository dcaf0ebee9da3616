"""What every route has in common: errors of one form, headers, bodies, prefixes, methods."""

import gzip
import io
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import ClientPayloadError, web

from tagline.api import JSON_LIMIT, OPERATION, api, mount
from tagline.errors import Conflict, Unavailable
from tests.house import PASSWORD, Answer, House, make_photo, running

NOBODY = "00000000-0000-4000-8000-000000000000"
PLACES = ["", "/api", "/api/v1"]

PROBLEM = {"type", "title", "status", "code", "detail", "success", "error", "message", "request_id"}


def check_problem(answer: Answer, status: int, code: str) -> Any:
    """The one form that every error has."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json
    assert set(body) >= PROBLEM
    assert body["type"] == "about:blank"
    assert (body["status"], body["code"]) == (status, code)
    assert body["success"] is False
    assert body["detail"] == body["error"] == body["message"] != ""
    assert body["request_id"] == answer.headers["X-Request-ID"]
    for error in body.get("errors", []):
        assert set(error) == {"field", "message"}
    return body


# Errors


async def test_an_unknown_path_is_404_in_the_one_form(house: House) -> None:
    for path in ("/api", "/api/", "/api/nothing", "/api/v1/nothing", "/api/v2/photos", "/nothing", "/api/photos/"):
        for client in (house.ana, house.eve):
            body = check_problem(await client.get(path), 404, "not_found")
            assert body["title"] == "Not Found"


async def test_a_wrong_method_is_405_with_those_that_are_right(house: House) -> None:
    for path, allowed in (
        ("/api/photos", "GET,HEAD,POST"),
        ("/rescan", "POST"),
        (f"/photos/{NOBODY}", "DELETE,GET,HEAD"),
    ):
        answer = await house.ana.ask("PUT", path)
        check_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed


async def test_an_address_of_its_own_is_none_of_the_pattern_that_fits_it(house: House) -> None:
    """`/photos/batch` is no photo with a malformed id."""
    for method, path, allowed in (
        ("GET", "/photos/batch", "POST"),
        ("PUT", "/api/photos/batch", "POST"),
        ("DELETE", "/api/v1/photos/untold", "GET,HEAD"),
        ("DELETE", "/photos/timeline", "GET,HEAD"),
    ):
        answer = await house.ana.ask(method, path)
        check_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed


async def test_without_credentials_it_is_401_with_a_challenge(house: House) -> None:
    answer = await house.eve.get("/api/photos")
    check_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tagline"'


async def test_what_is_not_allowed_is_403(house: House) -> None:
    check_problem(await (await house.key("read")).post("/api/rescan"), 403, "forbidden")


# For the one text that each of three routes takes.
MALFORMED = [
    b"", b"{", b"{]", b"nothing", b'{"name": "Ana"', b'{"name": "Ana"}}', b"{'name': 'Ana'}", b'{"name": nan}', b"\x00",
    b'\xff\xfe{"name": "Ana"}', b'{"name": "\xff"}', b'{"name": "\xed\xa0\x80"}', b'{"name": "\\ud800"}',
    b'{"name": "\\udc00\\ud800"}', b'{"name": "a\nb"}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=repr)
async def test_a_body_that_is_no_json_is_400_everywhere(house: House, body: bytes) -> None:
    json = {"Content-Type": "application/json"}
    for method, path, field in (
        ("PATCH", "/api/auth/profile", b"name"),
        ("PATCH", f"/photos/{NOBODY}/metadata", b"description"),
        ("POST", "/login", b"password"),
    ):
        answer = await house.ana.ask(method, path, data=body.replace(b"name", field), headers=json)
        check_problem(answer, 400, "malformed_json")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream",
     "application/jsonx", "text/json", ""],
)  # fmt: skip
async def test_a_body_of_another_type_is_415(house: House, content_type: str) -> None:
    answer = await house.ana.ask(
        "PATCH", "/api/auth/profile", data=b'{"name": "x"}', headers={"Content-Type": content_type}
    )
    check_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"],
)
async def test_json_goes_by_several_names(house: House, content_type: str) -> None:
    answer = await house.ana.ask(
        "PATCH", "/api/auth/profile", data=b'{"name": "x"}', headers={"Content-Type": content_type}
    )
    assert answer.status == 200


async def chunks(count: int) -> AsyncIterator[bytes]:
    yield b'{"name": "'
    for _ in range(count):
        yield b"x" * 65536
    yield b'"}'


async def test_more_than_a_megabyte_of_json_is_413(house: House) -> None:
    json = {"Content-Type": "application/json"}
    body = b'{"name": "' + b"x" * JSON_LIMIT + b'"}'
    check_problem(
        await house.ana.ask("PATCH", "/api/auth/profile", data=io.BytesIO(body), headers=json), 413, "too_large"
    )


async def test_nor_is_it_taken_in_chunks_or_packed(house: House) -> None:
    json = {"Content-Type": "application/json"}
    answer = await house.ana.ask("PATCH", "/api/auth/profile", data=chunks(20), headers=json)
    check_problem(answer, 413, "too_large")
    packed = gzip.compress(b'{"name": "' + b"x" * (8 * JSON_LIMIT) + b'"}')
    assert len(packed) < JSON_LIMIT
    answer = await house.ana.ask(
        "PATCH", "/api/auth/profile", data=packed, headers={**json, "Content-Encoding": "gzip"}
    )
    check_problem(answer, 413, "too_large")


async def test_a_body_that_only_says_that_it_is_packed_is_the_clients_fault(house: House) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await house.ana.ask("PATCH", "/api/auth/profile", data=b'{"name": "x"}', headers=headers)
    check_problem(answer, 400, "bad_request")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"count":' * 100_000, b'{"x":' + b"[" * 100_000, b'{"x":' * 100_000]
)
async def test_a_body_nested_without_end_is_refused_like_any_other(odd_house: House, body: bytes) -> None:
    answer = await odd_house.eve.post("/api/odd/numbers", data=body, headers={"Content-Type": "application/json"})
    check_problem(answer, 400, answer.json["code"])
    assert answer.json["code"] in ("malformed_json", "validation_error")


async def test_a_body_just_below_the_limit_is_read(house: House) -> None:
    body = b'{"name": "' + b"x" * (JSON_LIMIT - 12) + b'"}'
    answer = await house.ana.ask("PATCH", "/api/auth/profile", data=body, headers={"Content-Type": "application/json"})
    assert check_problem(answer, 400, "validation_error")["errors"][0]["field"] == "name"


WRONG_VALUES: list[tuple[str, str, Any, int, str]] = [
    # In photos and the root routes of accounts.
    ("GET", "/photos?limit=0", None, 422, "limit"),
    ("GET", "/api/photos?limit=501", None, 422, "limit"),
    ("GET", "/api/v1/photos?limit=ten", None, 422, "limit"),
    ("GET", f"/photos?offset={'9' * 5000}", None, 422, "offset"),
    ("GET", "/photos?offset=99999999999999999999", None, 422, "offset"),
    ("GET", "/photos/42", None, 422, "photo_id"),
    ("POST", f"/photos/{NOBODY}/history/0/restore", None, 422, "version"),
    ("POST", f"/photos/{NOBODY}/history/99999999999999999999999/restore", None, 422, "version"),
    ("POST", f"/photos/{NOBODY}/history/x/restore", None, 422, "version"),
    ("GET", "/photos/untold?cursor=--5", None, 422, "cursor"),
    ("GET", f"/photos/untold?cursor={'9' * 5000}", None, 422, "cursor"),
    ("PATCH", f"/photos/{NOBODY}/metadata", {"favourite": "yes"}, 422, "favourite"),
    ("PATCH", f"/photos/{NOBODY}/metadata", {"metadata": {"favourite": 1}}, 422, "metadata.favourite"),
    ("PATCH", f"/photos/{NOBODY}/metadata", {"colour": "red"}, 422, "colour"),
    ("PATCH", f"/photos/{NOBODY}/metadata", [], 422, ""),
    ("POST", "/login", {"password": 7}, 422, "password"),
    ("POST", "/api/login", {}, 422, "password"),
    # Everywhere else.
    ("GET", "/api/jobs?limit=0", None, 400, "limit"),
    ("GET", "/api/jobs?cursor=x", None, 400, "cursor"),
    ("GET", "/api/jobs?cursor=%C3%A9", None, 400, "cursor"),
    ("GET", "/api/jobs/42", None, 400, "job_id"),
    ("PATCH", "/api/auth/profile", {"name": 7}, 400, "name"),
    ("PATCH", "/api/v1/auth/profile", {"name": "x", "role": "owner"}, 400, "role"),
    ("PATCH", "/api/auth/profile", "x", 400, ""),
    ("DELETE", "/api/auth/keys/42", None, 400, "key_id"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "field"), WRONG_VALUES, ids=lambda part: str(part)[:40])
async def test_a_wrong_value_is_422_or_400_by_module_and_its_field_is_named(
    house: House, method: str, path: str, body: Any, status: int, field: str
) -> None:
    problem = check_problem(await house.ana.ask(method, path, body), status, "validation_error")
    [error] = problem["errors"]
    assert error["field"] == field
    assert problem["detail"] == (f"{field}: {error['message']}" if field else error["message"])


# Things that no route does on purpose

extra = web.RouteTableDef()


class Numbers(msgspec.Struct):
    """Something to send."""

    count: int = 0
    some: Annotated[list[int], msgspec.Meta(max_length=3)] = []


@extra.get("/fault")
@api(scope=None)
async def fault(request: web.Request) -> Numbers:
    """A bug."""
    raise RuntimeError("the password is hunter2")


@extra.get("/conflict")
@api(scope=None)
async def conflict(request: web.Request) -> Numbers:
    """A thing that has changed since."""
    raise Conflict("It has changed", code="version_conflict", current={"count": 7})


@extra.get("/away")
@api(scope=None)
async def away(request: web.Request) -> Numbers:
    """A storage that is unplugged."""
    raise Unavailable("The disk is unplugged", retry_after=30)


@extra.get("/torn")
@api(scope=None, media="text/plain")
async def torn(request: web.Request) -> web.StreamResponse:
    """A stream that breaks in the middle."""
    response = web.StreamResponse()
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b"half of it")
    raise RuntimeError("the password is hunter2")


@extra.get("/elsewhere")
@api(scope=None, media="text/plain")
async def elsewhere(request: web.Request) -> web.StreamResponse:
    """A redirect."""
    raise web.HTTPFound("/api/docs")


@extra.post("/numbers")
@api(scope=None)
async def numbers(request: web.Request, body: Numbers | None) -> Numbers:
    """What was sent."""
    return body or Numbers(-1)


@pytest.fixture
async def odd_house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with those as well."""

    def furnish(app: web.Application) -> None:
        mount(app, extra, ("/api/odd",), invalid=400)

    async with running(tmp_path, furnish) as house:
        yield house


async def test_a_fault_of_ours_is_told_in_the_log_and_to_nobody_else(
    odd_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await odd_house.eve.get("/api/odd/fault")
    body = check_problem(answer, 500, "internal_error")
    for told in (answer.body.decode(), str(answer.headers)):
        assert not re.search(r"hunter2|RuntimeError|Traceback|\.py", told)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert body["request_id"] in record.getMessage()
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


async def test_a_conflict_carries_what_the_thing_is_now(odd_house: House) -> None:
    body = check_problem(await odd_house.eve.get("/api/odd/conflict"), 409, "version_conflict")
    assert body["current"] == {"count": 7}


async def test_what_is_away_for_now_says_when_to_come_back(odd_house: House) -> None:
    answer = await odd_house.eve.get("/api/odd/away")
    check_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "30"


async def test_a_stream_that_breaks_is_cut_off_and_never_looks_whole(
    odd_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ClientPayloadError):
        await odd_house.eve.get("/api/odd/torn")
    assert any(record.levelno == logging.ERROR for record in caplog.records)


async def test_a_redirect_is_no_error(odd_house: House) -> None:
    answer = await odd_house.eve.get("/api/odd/elsewhere")
    assert (answer.status, answer.headers["Location"]) == (302, "/api/docs")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_body_that_may_be_left_out_may_be_left_out(odd_house: House) -> None:
    json = {"Content-Type": "application/json"}
    for options in ({}, {"headers": json}, {"headers": json, "data": b"  \n"}):
        assert (await odd_house.eve.post("/api/odd/numbers", **options)).json == {"count": -1, "some": []}
    assert (await odd_house.eve.post("/api/odd/numbers", {"count": 5})).json == {"count": 5, "some": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"count": 1.5}, "count"),
        ({"count": "1"}, "count"),
        ({"count": True}, "count"),
        ({"count": None}, "count"),
        ({"some": [1, "2"]}, "some[1]"),
        ({"some": [1, 2, 3, 4]}, "some"),
        ({"some": {"a": 1}}, "some"),
    ],
)
async def test_a_value_of_the_wrong_type_is_never_bent_into_the_right_one(
    odd_house: House, body: Any, field: str
) -> None:
    problem = check_problem(await odd_house.eve.post("/api/odd/numbers", body), 400, "validation_error")
    assert problem["errors"][0]["field"] == field


async def test_a_whole_number_is_one_however_it_is_written(odd_house: House) -> None:
    """As JSON Schema has it."""
    json = {"Content-Type": "application/json"}
    body = b'{"count": 7.0, "some": [1e3, -0.0]}'
    answer = await odd_house.eve.post("/api/odd/numbers", data=body, headers=json)
    assert (answer.status, answer.json) == (200, {"count": 7, "some": [1000, 0]})
    problem = await odd_house.eve.post("/api/odd/numbers", {"count": 7.0, "some": [0.5]})
    assert check_problem(problem, 400, "validation_error")["errors"][0]["field"] == "some[0]"


# Request ids


@pytest.mark.parametrize("sane", ["a", "0123-abc", "req.7/42:x_y+z=", "x" * 100])
async def test_a_sane_request_id_is_the_requests(house: House, sane: str) -> None:
    for path in ("/api/health", "/api/nothing", "/photos"):
        assert (await house.eve.get(path, headers={"X-Request-ID": sane})).headers["X-Request-ID"] == sane


@pytest.mark.parametrize("odd", ["", " ", "a b", "x" * 101, "<script>", "é", 'a"b', "a;b", "${jndi}", "a\tb"])
async def test_an_odd_request_id_is_replaced(house: House, odd: str) -> None:
    made = (await house.eve.get("/api/health", headers={"X-Request-ID": odd})).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]+(-[0-9a-z]+)?", made)


async def test_no_two_requests_have_the_same_id(house: House) -> None:
    assert len({(await house.eve.get("/api/health/live")).headers["X-Request-ID"] for _ in range(20)}) == 20


# Headers


async def test_every_answer_has_the_security_headers(odd_house: House) -> None:
    house = odd_house
    make_photo(house.library / "lake.jpg")
    await house.scan()
    photo = await house.photo("lake.jpg")
    image, thumbnail = photo["links"]["image"], photo["links"]["thumbnail"]
    etag = (await house.ana.get(image)).headers["ETag"]
    asked: list[tuple[str, str, dict[str, str], int]] = [
        ("GET", "/photos", {}, 200),
        ("GET", image, {}, 200),
        ("GET", image, {"Range": "bytes=0-9"}, 206),
        ("GET", image, {"Range": "bytes=0-1,4-5"}, 206),
        ("GET", image, {"Range": "bytes=99999999-"}, 416),
        ("GET", image, {"If-None-Match": etag}, 304),
        ("HEAD", image, {}, 200),
        ("GET", thumbnail, {}, 200),
        ("GET", "/", {}, 200),
        ("GET", "/static/site.css", {}, 200),
        ("GET", "/static/none.css", {}, 404),
        ("GET", "/api/openapi.json", {}, 200),
        ("GET", "/nothing", {}, 404),
        ("PUT", "/photos", {}, 405),
        ("GET", "/api/odd/fault", {}, 500),
        ("GET", "/api/odd/elsewhere", {}, 302),
        ("OPTIONS", "/photos", {}, 405),
    ]
    for method, path, headers, status in asked:
        answer = await house.ana.ask(method, path, headers=headers)
        assert answer.status == status, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Permissions-Policy"]
        assert answer.headers["X-Request-ID"]
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert re.search(r"default-src '(none|self)'", policy)
        assert "frame-ancestors 'none'" in policy
        # Over plain HTTP a browser ignores it; in a house without TLS it would only do harm.
        assert "Strict-Transport-Security" not in answer.headers


async def test_answers_tell_how_much_may_still_be_asked(house: House) -> None:
    answer = await house.ana.get("/photos")
    assert answer.headers["RateLimit-Limit"] == "60000"
    assert int(answer.headers["RateLimit-Remaining"]) < 60000
    assert int(answer.headers["RateLimit-Reset"]) >= 1


async def test_who_is_not_signed_in_is_limited_by_address_and_who_is_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_ANONYMOUS_LIMIT="3") as house:
        answers = [await house.eve.get("/photos") for _ in range(4)]
        assert [answer.status for answer in answers] == [401, 401, 401, 429]
        check_problem(answers[3], 429, "too_many_requests")
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
        assert answers[3].headers["RateLimit-Remaining"] == "0"
        assert (await house.ana.get("/photos")).status == 200
        assert (await house.eve.post("/login", {"password": PASSWORD})).status == 200
        assert (await house.eve.get("/health")).json == {"status": "healthy"}


async def test_who_is_signed_in_is_limited_by_account(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_RATE_LIMIT="5") as house:
        ben = await house.add_user("ben")
        statuses = [(await house.ana.get("/photos")).status for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        assert (await ben.get("/photos")).status == 200


# Methods and prefixes


async def test_a_route_answers_alike_under_each_of_its_prefixes(house: House) -> None:
    for path in ("/photos", "/keywords", "/albums", "/photos/timeline", "/photos/untold", "/health/live"):
        answers = [await house.ana.get(prefix + path) for prefix in PLACES]
        assert [answer.status for answer in answers] == [200] * 3
        assert len({answer.body for answer in answers}) == 1
    for path in ("/jobs", "/auth/profile", "/auth/sessions", "/openapi.json"):
        answers = [await house.ana.get(prefix + path) for prefix in PLACES]
        assert [answer.status for answer in answers] == [404, 200, 200]


async def test_no_route_is_mounted_twice_or_only_somewhere(house: House) -> None:
    """Whatever answers under /api answers under /api/v1, with the same handler."""
    found = [
        (route.method, route.resource.canonical, route.handler)
        for route in house.app.router.routes()
        if route.resource and hasattr(route.handler, OPERATION)
    ]
    places = [(method, path) for method, path, _ in found]
    assert len(places) == len(set(places))
    handlers = {(method, path): handler for method, path, handler in found}
    for method, path, handler in found:
        if path.startswith("/dav"):
            continue  # no part of the API: one address for those who know folders only
        bare = re.sub(r"^/api(/v1)?(?=/)", "", path)
        assert handlers[method, f"/api{bare}"] is handlers[method, f"/api/v1{bare}"] is handler


async def test_the_longest_search_fits_into_an_address(house: House) -> None:
    answer = await house.ana.get("/photos?q=" + "%F0%9F%8F%A0" * 1000)
    assert (answer.status, answer.json["total"]) == (200, 0)


async def test_what_can_be_got_can_be_asked_for_its_head(house: House) -> None:
    methods: dict[str, set[str]] = {}
    for route in house.app.router.routes():
        if route.resource:
            methods.setdefault(route.resource.canonical, set()).add(route.method)
    # What lasts as long as the client stays has no head to ask for.
    lasting = ("/sync/events", "/ws/sync", "/socket.io/")
    assert all("HEAD" in there for path, there in methods.items() if "GET" in there and not path.endswith(lasting))
    for path in ("/photos", "/api/jobs", "/", "/api/openapi.json"):
        whole, head = await house.ana.get(path), await house.ana.ask("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(whole.body))
    for path in ("/nothing", f"/photos/{NOBODY}"):
        head = await house.ana.ask("HEAD", path)
        assert (head.status, head.body) == (404, b"")


# CORS

APP = "https://app.example"


async def test_other_origins_get_nothing_unless_they_are_named(house: House) -> None:
    asked = {"Origin": APP, "Access-Control-Request-Method": "PATCH"}
    for answer in (
        await house.ana.get("/photos", headers={"Origin": APP}),
        await house.eve.ask("OPTIONS", "/photos", headers=asked),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[House]:
    """A house in which the pages of one other origin may use the API."""
    async with running(tmp_path, CORS_ALLOWED_ORIGINS=f"{APP}, http://dev:3000") as house:
        yield house


async def test_a_named_origin_may_ask_before_it_asks(open_house: House) -> None:
    asked = {"Origin": APP, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "x-api-key"}
    for path in ("/photos", "/api/auth/keys", "/login", "/nothing"):
        answer = await open_house.eve.ask("OPTIONS", path, headers=asked)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
        assert allowed >= {
            "authorization",
            "content-type",
            "x-api-key",
            "x-retry-attempt",
            "tus-resumable",
            "upload-offset",
        }
        assert "Origin" in answer.headers.getall("Vary")


async def test_a_named_origin_reads_answers_and_errors(open_house: House) -> None:
    for client, path, status in (
        (open_house.ana, "/photos", 200),
        (open_house.eve, "/photos", 401),
        (open_house.ana, "/x", 404),
    ):
        answer = await client.get(path, headers={"Origin": "http://dev:3000"})
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == "http://dev:3000"
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://app.example", f"{APP}.evil.example", f"{APP}:444", ""]
)
async def test_an_origin_that_is_not_named_gets_nothing(open_house: House, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    for answer in (
        await open_house.ana.get("/photos", headers=asked),
        await open_house.eve.ask("OPTIONS", "/photos", headers=asked),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        # A cache must not give this one's answer to another.
        assert "Origin" in answer.headers.getall("Vary")
