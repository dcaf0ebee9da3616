"""Socket.IO: the library that apps use, and those who send anything but its protocol."""

import asyncio
import logging
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import socketio
import socketio.exceptions
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.sync import lasting, sockets
from tagline.sync.realtime import SOCKET_IO
from tests.command import ROOT
from tests.house import PASSWORD, House, running, until
from tests.photos.library import add_photos
from tests.sync.editing import edit
from tests.sync.realtime.listening import connected, token_of

SCRIPT = ROOT / "tests/sync/clients/socketio.mjs"
MODULES = ROOT / "build/npm"
NAMESPACES = ["/ws/sync", "/", "/api"]


class App:
    """A process with socket.io-client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self, *names: str) -> list[Any]:
        """The next line with one of these names."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self._process.stdout.readline():
                told: list[Any] = msgspec.json.decode(line)
                if told[0] in names:
                    return told
        raise AssertionError("the client has ended")

    def send(self, event: str, data: Any) -> None:
        """Emit an event and print its acknowledgement."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode([event, data]) + b"\n")


@asynccontextmanager
async def app(house: House, auth: Any, namespace: str = "/ws/sync", transport: str = "websocket") -> AsyncIterator[App]:
    """socket.io-client v4, connecting."""
    node = shutil.which("node")
    assert node, "make test installs it"
    process = await asyncio.create_subprocess_exec(
        node, str(SCRIPT), str(MODULES), house.base, namespace, transport, msgspec.json.encode(auth).decode(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20,
    )  # fmt: skip
    try:
        yield App(process)
    finally:
        process.kill()
        await process.wait()


async def refusal(house: House, auth: Any, namespace: str = "/ws/sync") -> Any:
    """What a client is told that is not let in."""
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def refused(why: Any) -> None:
        told.put_nowait(why)

    async with ClientSession() as session:
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        client.on("connect_error", refused, namespace=namespace)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(house.base, auth=auth, namespaces=[namespace], transports=["websocket"])
        await client.shutdown()
        return await told.get()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["websocket", "polling", "upgrade"])
@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_real_client_hears_edits_and_is_heard(house: House, namespace: str, transport: str) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with app(house, {"token": token_of(house.ana)}, namespace, transport) as phone:
        by = (await phone.told("connected"))[1]
        # An upgrade may come before or after.
        assert by == transport or transport == "upgrade"
        name, ready, behind = await phone.told("ready")
        assert ready == behind
        await house.ana.patch(f"/photos/{photo}/metadata", {"description": "one 🌊"})
        name, data, behind = await phone.told("photo_created", "photo_updated", "photo_deleted")
        assert (name, data) == ("photo_updated", (await house.ana.get(f"/photos/{photo}")).json)
        phone.send("edits", {"edits": [edit(photo, 1, favourite=True)]})
        first, second = await phone.told("answer", "photo_updated"), await phone.told("answer", "photo_updated")
        answer = first if first[0] == "answer" else second
        assert [result["status"] for result in answer[1]["results"]] == ["merged"]
        assert {first[0], second[0]} == {"answer", "photo_updated"}
    # It comes back with the cursor that it was told last.
    await house.ana.patch(f"/photos/{photo}/metadata", {"description": "two"})
    async with app(house, {"token": token_of(house.ana), **behind}, namespace, transport) as phone:
        assert (await phone.told("ready"))[1] == behind
        assert (await phone.told("photo_updated"))[1]["description"] == "two"


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_real_client_is_told_why_it_is_not_let_in(house: House, transport: str) -> None:
    async with app(house, {"token": "wrong"}, transport=transport) as phone:
        refused = await phone.told("refused", "connected")
        assert refused == ["refused", "Authentication error", {"status": 401, "code": "unauthenticated"}]


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_real_client_that_is_signed_out_does_not_come_back(house: House, transport: str) -> None:
    pair = (await house.eve.post("/login", {"password": PASSWORD, "device_name": "tablet"})).json
    async with app(house, {"token": pair["access_token"]}, transport=transport) as phone:
        await phone.told("ready")
        await house.bearer(pair["access_token"]).post("/logout")
        await phone.told("disconnected")
        assert (await phone.told("refused", "connected"))[:2] == ["refused", "Authentication error"]


NO_TOKENS: list[Any] = [
    None, {}, {"token": ""}, {"token": None}, {"token": 5}, {"token": ["x"]}, "token", ["x"], {"token": "x" * 5000},
]  # fmt: skip


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_nobody_is_let_in_without_a_good_token(house: House, namespace: str) -> None:
    for auth in NO_TOKENS:
        assert (await refusal(house, auth, namespace))["message"] == "Authentication error", auth


async def test_neither_a_cookie_nor_a_header_lets_anybody_in(house: House) -> None:
    """Another site's page could make a browser send the one; the handshake says who it is."""
    for headers in ({"Cookie": f"tagline_access_token={token_of(house.ana)}"}, house.ana.headers):
        who = house.client(**headers)
        opened = await who.get("/socket.io/?EIO=4&transport=polling")
        session = msgspec.json.decode(opened.body[1:])["sid"]
        place = f"/socket.io/?EIO=4&transport=polling&sid={session}"
        assert (await who.post(place, data=b"40/ws/sync,")).status == 200
        assert b"Authentication error" in (await who.get(place)).body


async def test_another_namespace_is_not_served(house: House) -> None:
    assert "Unable to connect" in str(await refusal(house, {"token": token_of(house.ana)}, "/admin"))


async def test_an_edit_needs_the_scope_and_the_form_that_the_route_needs(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with connected(house, {"token": token_of(await house.key("read"))}) as (client, _):
        answer = await client.call("edits", {"edits": [edit(photo, 1, description="x")]}, namespace="/ws/sync")
        assert (answer["problem"]["status"], answer["problem"]["code"]) == (403, "forbidden")
    async with connected(house, {"token": token_of(house.ana)}) as (client, _):
        wrongs: list[Any] = [None, 5, "x", [], {}, {"edits": 5}, {"edits": None}, {"edits": [], "more": 1}]
        for wrong in wrongs:
            answer = await client.call("edits", wrong, namespace="/ws/sync")
            posted = await house.ana.post("/api/sync/edits", wrong if wrong is not None else 5)
            assert (answer["problem"]["status"], answer["problem"]["code"]) == (400, "validation_error")
            assert posted.status == 400
        answer = await client.call("edits", {"edits": [5, {}, edit(photo, 1, description="x")]}, namespace="/ws/sync")
        assert [result["status"] for result in answer["results"]] == ["invalid", "invalid", "applied"]


async def test_it_is_loaded_when_somebody_asks_for_it(house: House) -> None:
    assert house.app[SOCKET_IO]._sockets is None
    answers = await asyncio.gather(*(house.eve.get("/socket.io/?EIO=4&transport=polling") for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert house.app[SOCKET_IO]._sockets is not None
    assert "tagline.sync.sockets" in sys.modules


async def test_an_answer_has_the_headers_of_all_answers_and_no_cookie(house: House) -> None:
    answer = await house.eve.get("/socket.io/?EIO=4&transport=polling", headers={"Accept-Encoding": "gzip"})
    assert answer.status == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"]
    assert "Set-Cookie" not in answer.headers
    assert "Content-Encoding" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "", "?EIO=3&transport=polling", "?EIO=4&transport=telepathy", "?EIO=4&transport=websocket",
        "?EIO=4&transport=polling&sid=none", "?EIO=4&transport=polling&j=0", "?EIO=4&transport=polling&sid=a%0Ab",
    ],
)  # fmt: skip
async def test_what_is_no_request_of_it_is_told_so_in_the_one_form(house: House, query: str) -> None:
    for method in ("GET", "POST"):
        answer = await house.eve.ask(method, f"/socket.io/{query}")
        if method == "POST" and "sid" not in query:
            assert answer.status == 400
        assert answer.status == 400, query
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["code"] == "bad_request"


async def test_a_wrong_method_is_told_the_right_ones(house: House) -> None:
    answer = await house.eve.delete("/socket.io/?EIO=4&transport=polling")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET,POST")


async def polling(house: House) -> str:
    """The address of a new session, of somebody unknown."""
    opened = await house.eve.get("/socket.io/?EIO=4&transport=polling")
    return f"/socket.io/?EIO=4&transport=polling&sid={msgspec.json.decode(opened.body[1:])['sid']}"


async def test_a_huge_post_is_refused_before_it_is_read(house: House) -> None:
    answer = await house.eve.post(await polling(house), data=b"4" + b"x" * (lasting.MOST_MESSAGE + 1))
    assert (answer.status, answer.json["code"]) == (413, "too_large")


pieces = st.one_of(st.binary(max_size=200), st.text('0123456789-/,[]{}"b\x1eab', max_size=60).map(str.encode))


@pytest.mark.slow
@given(bodies=st.lists(pieces, min_size=20, max_size=40))
@settings(max_examples=5, deadline=None)
def test_no_bytes_make_it_stumble(bodies: list[bytes]) -> None:
    async def send() -> None:
        with tempfile.TemporaryDirectory() as directory:
            async with running(Path(directory)) as house:
                for body in bodies:
                    answer = await house.eve.post(await polling(house), data=body)
                    assert answer.status in (200, 400), body

    asyncio.run(send())


@pytest.mark.parametrize(
    "message",
    [
        "", "9", "x", "4", "4x", "42", "45", "4" + "9" * 300, "42/ws/sync,[", "451-[\"edits\"]", "4999999-[]",
        "4" + "[" * 100_000, "42" + "[" * 100_000, "40/ws/sync,{\"token\": " + "[" * 50_000, "44{}",
        "43/ws/sync,5[]", "6", "1",
        b"\x00\x01", b"",
    ],
    ids=range(20),
)  # fmt: skip
async def test_a_message_that_makes_no_sense_harms_nobody(house: House, message: str | bytes) -> None:
    url = f"{house.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    async with house._session.ws_connect(url) as ws, connected(house, {"token": token_of(house.ana)}) as (client, _):
        await ws.receive()
        await ws.send_str('40/ws/sync,{"token": "x"}')
        await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
        assert (await client.call("edits", {"edits": []}, namespace="/ws/sync")) == {"results": []}


async def test_a_huge_message_ends_its_session_and_no_other(house: House) -> None:
    url = f"{house.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    async with house._session.ws_connect(url) as ws, connected(house, {"token": token_of(house.ana)}) as (client, _):
        await ws.receive()
        await ws.send_str("4" + "x" * lasting.MOST_MESSAGE)
        async with asyncio.timeout(10):
            while not (await ws.receive()).type.name.startswith("CLOS"):
                pass
        assert (await client.call("edits", {"edits": []}, namespace="/ws/sync")) == {"results": []}


async def test_attachments_are_not_piled_up(house: House) -> None:
    async with connected(house, {"token": token_of(house.ana)}) as (client, _):
        await client.emit("edits", {"edits": [b"x" * 1000]}, namespace="/ws/sync")
        assert (await client.call("edits", {"edits": []}, namespace="/ws/sync")) == {"results": []}
        loaded = house.app[SOCKET_IO]._sockets
        assert loaded is not None
        assert loaded._server._binary_packet == {}


async def test_who_does_not_say_who_it_is_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "INTRODUCED_WITHIN", 0.05)
    place = await polling(house)

    async def gone() -> bool:
        return (await house.eve.post(place, data=b"3")).status == 400

    await until(gone)


async def test_sessions_are_not_without_number(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_EACH", 3)
    for _ in range(3):
        await polling(house)
    answer = await house.eve.get("/socket.io/?EIO=4&transport=polling")
    assert (answer.status, answer.json["code"]) == (503, "too_many_connections")


async def test_no_token_is_written_into_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected(house, {"token": token_of(house.ana)}) as (_, listener):
        await listener.next()
    await refusal(house, {"token": "a-wrong-one-that-is-secret"})
    said = [
        record.getMessage()
        for record in caplog.records
        if not record.name.startswith(("socketio.client", "engineio.client"))
    ]
    assert not [line for line in said if token_of(house.ana) in line or "a-wrong-one" in line]


async def test_many_namespaces_of_one_session_hear_the_same(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with AsyncExitStack() as stack:
        listeners = []
        for namespace in NAMESPACES:
            auth = {"token": token_of(house.ana)}
            _, listener = await stack.enter_async_context(connected(house, auth, namespace))
            await listener.next()
            listeners.append(listener)
        await house.ana.patch(f"/photos/{photo}/metadata", {"description": "x"})
        told = [await listener.next() for listener in listeners]
        assert told[0] == told[1] == told[2]


async def test_guessing_tokens_over_one_session_ends_it(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_ANONYMOUS_LIMIT="10") as house:
        url = f"{house.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
        async with house._session.ws_connect(url) as ws:
            for number in range(20):
                await ws.send_str(f'40/api,{{"token":"guess {number}"}}')
            async with asyncio.timeout(10):
                answers = [message.data async for message in ws]
        assert all("Authentication error" in answer for answer in answers[1:])
        assert 10 <= len(answers[1:]) <= 20
