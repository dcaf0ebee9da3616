"""The plain WebSocket: who may open it, edits over it, and messages that are none."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.sync import lasting, websocket
from tests.house import PASSWORD, House, running
from tests.photos.library import add_photos
from tests.sync.editing import edit
from tests.sync.realtime.listening import token_of


def opened(house: House, path: str = "/ws/sync", **headers: str) -> Any:
    return house._session.ws_connect(house.base + path, headers=headers)


async def said(ws: ClientWebSocketResponse) -> Any:
    """The next message."""
    async with asyncio.timeout(15):
        return await ws.receive_json()


async def closed(ws: ClientWebSocketResponse) -> int | None:
    """Wait until the other side has closed; gives its code."""
    async with asyncio.timeout(15):
        while (await ws.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
            pass
    return ws.close_code


async def refused(house: House, **headers: str) -> int:
    """The status of an opening that is refused."""
    with pytest.raises(WSServerHandshakeError) as caught:
        await opened(house, **headers)
    return caught.value.status


@pytest.mark.parametrize("path", ["/ws/sync", "/api/ws/sync"])
async def test_every_sort_of_credentials_opens_it(house: House, path: str) -> None:
    key = token_of(await house.key("read"))
    cookie = f"tagline_access_token={token_of(house.ana)}"
    for headers in (house.ana.headers, {"x-api-key": key}, {"Cookie": cookie, "Origin": house.base}):
        async with opened(house, path, **headers) as ws:
            assert (await said(ws))["type"] == "ready"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", ""])
async def test_a_cookie_that_another_site_sends_does_not(house: House, origin: str) -> None:
    cookie = f"tagline_access_token={token_of(house.ana)}"
    assert await refused(house, Cookie=cookie, Origin=origin) == 403


async def test_a_program_that_has_kept_its_cookie_says_who_it_is_all_the_same(house: House) -> None:
    async with opened(house, Cookie=f"tagline_access_token={token_of(house.ana)}") as ws:
        await ws.send_json({"type": "auth", "token": token_of(house.ana)})
        assert (await said(ws))["type"] == "ready"
    async with opened(house, Cookie=f"tagline_access_token={token_of(house.ana)}") as ws:
        await ws.send_json({"type": "edits", "edits": []})
        assert (await said(ws))["problem"]["status"] == 401


async def test_a_page_of_an_allowed_origin_says_who_it_is_whatever_its_cookies_are(tmp_path: Path) -> None:
    async with running(tmp_path, CORS_ALLOWED_ORIGINS="https://app.example") as house:
        cookie = f"tagline_access_token={token_of(house.ana)}"
        async with opened(house, Cookie=cookie, Origin="https://app.example") as ws:
            await ws.send_json({"type": "auth", "token": token_of(house.ana)})
            assert (await said(ws))["type"] == "ready"


async def test_who_cannot_send_headers_says_who_it_is_first(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with opened(house, Origin="https://elsewhere.example") as ws:
        await ws.send_json({"type": "auth", "token": token_of(house.ana)})
        cursor = (await said(ws))["cursor"]
    await house.ana.patch(f"/photos/{photo}/metadata", {"description": "x"})
    async with opened(house) as ws:
        await ws.send_json({"type": "auth", "token": token_of(house.ana), "cursor": cursor})
        assert [(await said(ws))["type"], (await said(ws))["type"]] == ["ready", "photo_updated"]


@pytest.mark.parametrize(
    "first",
    [
        '{"type": "auth", "token": "wrong"}', '{"type": "auth"}', '{"type": "auth", "token": 5}', '{"type": "edits"}',
        '{"type": "edits", "edits": []}', "{}", "[]", "nonsense", "", "[" * 100_000, b"bytes",
    ],
    ids=range(11),
)  # fmt: skip
async def test_anybody_else_is_told_so_and_sent_away(house: House, first: str | bytes) -> None:
    async with opened(house) as ws:
        await (ws.send_str(first) if isinstance(first, str) else ws.send_bytes(first))
        told = await said(ws)
        assert told["type"] == "error"
        assert told["problem"]["status"] in (400, 401)
        assert await closed(ws) == 1008


async def test_who_says_nothing_is_sent_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INTRODUCED_WITHIN", 0.05)
    async with opened(house) as ws:
        assert (await said(ws))["problem"]["code"] == "unauthenticated"
        assert await closed(ws) == 1008


async def test_a_wrong_token_in_the_request_is_refused_at_once(house: House) -> None:
    assert await refused(house, Authorization="Bearer wrong") == 401
    pair = (await house.eve.post("/login", {"password": PASSWORD})).json
    await house.bearer(pair["access_token"]).post("/logout")
    assert await refused(house, Authorization=f"Bearer {pair['access_token']}") == 401


async def test_a_request_that_opens_no_websocket_is_told_how(house: House) -> None:
    answer = await house.ana.get("/ws/sync")
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    for method in ("POST", "HEAD"):
        answer = await house.ana.ask(method, "/ws/sync")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_edits_are_answered_as_the_route_answers_them_and_told_to_everybody(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with opened(house, **house.ana.headers) as ws:
        await said(ws)
        edits = [edit(photo, 1, description="by WebSocket"), edit(str(uuid4()), 1, description="x"), {"edit_id": "x"}]
        await ws.send_json({"type": "edits", "id": "first", "edits": edits})
        two = {each["type"]: each for each in (await said(ws), await said(ws))}
        assert two["photo_updated"]["data"]["description"] == "by WebSocket"
        assert two["edits"]["id"] == "first"
        assert [each["status"] for each in two["edits"]["results"]] == ["applied", "not_found", "invalid"]
        # Sent again, over the other way: the first answer again, and nothing is told.
        again = await house.ana.post("/api/sync/edits", {"edits": edits})
        assert again.json == {"results": two["edits"]["results"]}
        await ws.send_json({"type": "edits", "id": 2, "edits": []})
        assert await said(ws) == {"type": "edits", "id": 2, "results": []}


async def test_an_edit_needs_the_scope_that_the_route_needs(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    for scope in ("read", "upload"):
        async with opened(house, **(await house.key(scope)).headers) as ws:
            await said(ws)
            await ws.send_json({"type": "edits", "id": 1, "edits": [edit(photo, 1, description="x")]})
            told = await said(ws)
            assert (told["type"], told["id"]) == ("error", 1)
            assert (told["problem"]["status"], told["problem"]["code"]) == (403, "forbidden")
    assert (await house.ana.get(f"/photos/{photo}")).json["description"] == ""


async def test_asking_too_often_is_told_so_over_the_connection_as_well(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_RATE_LIMIT="5") as house, opened(house, **house.ana.headers) as ws:
        await said(ws)
        for _ in range(10):
            await ws.send_json({"type": "edits", "edits": []})
        told = [await said(ws) for _ in range(10)]
        assert told[0] == {"type": "edits", "id": None, "results": []}
        assert told[-1]["problem"]["code"] == "too_many_requests"


MESSAGES: list[str | bytes] = [
    "", "{}", "[]", "null", "nonsense", '{"type": 5}', '{"type": "edit"}', '{"type": "edits"}', b"bytes", b"",
    '{"type": "edits", "edits": 5}', '{"type": "edits", "edits": [], "more": 1}', '{"type": "edits", "edits": {}}',
    '{"type": "edits", "id": [], "edits": []}', '{"type": "auth", "token": "x"}', "[" * 100_000,
    '{"type": "edits", "edits": ' + "[" * 50_000, '{"type": "edits", "edits": "\\ud800"}',
    '{"type": "edits", "edits": [' + ",".join(["5"] * 1001) + "]}",
]  # fmt: skip


async def test_a_message_that_makes_no_sense_is_answered_and_the_connection_goes_on(house: House) -> None:
    async with opened(house, **house.ana.headers) as ws:
        await said(ws)
        for message in MESSAGES:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
            told = await said(ws)
            assert told["type"] == "error", message
            assert told["problem"]["status"] == 400
            assert told["problem"]["request_id"]
        await ws.send_json({"type": "edits", "edits": []})
        assert (await said(ws))["type"] == "edits"


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
messages = st.one_of(
    st.text(max_size=50),
    st.fixed_dictionaries({"type": st.just("edits"), "edits": values}, optional={"id": values}),
    st.fixed_dictionaries({"type": st.just("edits"), "edits": st.lists(values, min_size=1, max_size=3)}),
)


@pytest.mark.slow
@given(sent=st.lists(messages, min_size=10, max_size=30))
@settings(max_examples=8, deadline=None)
def test_every_message_is_answered(sent: list[Any]) -> None:
    async def talk() -> None:
        with tempfile.TemporaryDirectory() as directory:
            async with running(Path(directory)) as house, opened(house, **house.ana.headers) as ws:
                await said(ws)
                for message in sent:
                    await (ws.send_str(message) if isinstance(message, str) else ws.send_json(message))
                    told = await said(ws)
                    assert told["type"] in ("edits", "error")
                    assert told.get("problem", {"status": 400})["status"] == 400

    asyncio.run(talk())


async def test_a_message_that_is_too_large_ends_the_connection(house: House) -> None:
    async with opened(house, **house.ana.headers) as ws:
        await said(ws)
        await ws.send_str("x" * (lasting.MOST_MESSAGE + 1))
        assert await closed(ws) == 1009
    assert (await house.ana.get("/photos")).status == 200


async def test_nothing_is_compressed_however_much_a_client_would_like_it(house: House) -> None:
    """It would cost some 300 KB for each client."""
    async with house._session.ws_connect(f"{house.base}/ws/sync", headers=house.ana.headers, compress=15) as ws:
        assert not ws.compress
        assert (await said(ws))["type"] == "ready"
