"""Clients that take nothing: they are dropped, and nobody waits for them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest
from aiohttp import ClientSession, TCPConnector

from tagline.accounts.credentials import CREDENTIALS
from tagline.sync import sockets, sse, websocket
from tagline.sync.realtime import SOCKET_IO
from tests.house import Client, House, until
from tests.photos.library import add_photos
from tests.sync.realtime.listening import by_stream, token_of

pytestmark = pytest.mark.slow

# Together more than the buffers between two processes take.
EDITS = 60
LONG = "🌊" * 10_000


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience that ends sooner."""
    for module in (sse, websocket, sockets):
        monkeypatch.setattr(module, "SLOW_SECONDS", 0.5)


def narrow() -> TCPConnector:
    """Connections that keep next to nothing for who does not read."""

    def made(info: tuple[int, int, int, str, tuple[str, int]]) -> socket.socket:
        made = socket.socket(*info[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return made

    return TCPConnector(socket_factory=made)


@asynccontextmanager
async def silent_stream(house: House, who: Client) -> AsyncIterator[asyncio.StreamReader]:
    async with silent(
        house, f"GET /api/sync/events HTTP/1.1\r\nHost: x\r\nAuthorization: {who.headers['Authorization']}\r\n\r\n"
    ) as reader:
        yield reader


@asynccontextmanager
async def silent_websocket(house: House, who: Client) -> AsyncIterator[asyncio.StreamReader]:
    asked = (
        f"GET /ws/sync HTTP/1.1\r\nHost: x\r\nAuthorization: {who.headers['Authorization']}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with silent(house, asked) as reader:
        yield reader


@asynccontextmanager
async def silent(house: House, asked: str) -> AsyncIterator[asyncio.StreamReader]:
    """Ask, and read nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    host, _, port = house.base.removeprefix("http://").partition(":")
    await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
    # A reader that stops to read from the socket once it has so much.
    reader, writer = await asyncio.open_connection(sock=made, limit=1024)
    writer.write(asked.encode())
    try:
        yield reader
    finally:
        writer.close()


@asynccontextmanager
async def silent_socketio(house: House, who: Client) -> AsyncIterator[asyncio.StreamReader | None]:
    async with ClientSession(connector=narrow()) as session:
        url = f"{house.base}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(url) as ws:
            await ws.send_str("40/ws/sync," + msgspec.json.encode({"token": token_of(who)}).decode())
            # Told who it is, it stops to read.
            while not (await ws.receive_str()).startswith("42"):
                pass
            response = ws._response.connection
            assert response is not None
            assert response.transport is not None
            response.transport.pause_reading()
            yield None
            response.transport.abort()


@asynccontextmanager
async def silent_poll(house: House, who: Client) -> AsyncIterator[asyncio.StreamReader | None]:
    place = "/socket.io/?EIO=4&transport=polling"
    session = msgspec.json.decode((await house.eve.get(place)).body[1:])["sid"]
    token = msgspec.json.encode({"token": token_of(who)}).decode()
    assert (await house.eve.post(f"{place}&sid={session}", data=f"40/ws/sync,{token}".encode())).status == 200
    yield None


SILENT = {
    "stream": silent_stream, "websocket": silent_websocket, "socketio": silent_socketio, "polling": silent_poll,
}  # fmt: skip


@pytest.mark.parametrize("listens", SILENT.values(), ids=SILENT)
async def test_who_takes_nothing_is_dropped_and_the_others_get_everything(
    house: House, listens: Callable[..., AbstractAsyncContextManager[asyncio.StreamReader | None]]
) -> None:
    ids = await add_photos(house, [f"a/{number}.jpg" for number in range(EDITS)])
    slow = await house.key("read")
    async with listens(house, slow), by_stream(house, house.ana) as other:
        await other.next()
        held = house.app[CREDENTIALS]._held

        async def listening() -> bool:
            return len(held) == 2

        async def alone() -> bool:
            return len(held) == 1

        await until(listening)
        for number, photo in enumerate(ids):
            assert (
                await house.ana.patch(f"/photos/{photo}/metadata", {"description": f"{number} {LONG[:9000]}"})
            ).status == 200
        heard = [await other.next() for _ in ids]
        assert [told.data["id"] for told in heard] == ids
        await until(alone)
        await house.ana.patch(f"/photos/{ids[0]}/metadata", {"description": "after"})
        assert (await other.next()).data["description"] == "after"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("flood", ["5", "40/nowhere,", '42/ws/sync,1["edits",{"edits":[]}]'])
async def test_who_asks_without_end_and_hears_nothing_is_cut_and_little_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch, flood: str, known: bool
) -> None:
    monkeypatch.setattr(sockets, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(sockets, "INTRODUCED_WITHIN", 1)
    async with ClientSession(connector=narrow()) as session:
        url = f"{house.base}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(url) as ws:
            if known:
                await ws.send_str("40/ws/sync," + msgspec.json.encode({"token": token_of(house.ana)}).decode())
            connection = ws._response.connection
            assert connection is not None
            assert connection.transport is not None
            connection.transport.pause_reading()
            loaded = house.app[SOCKET_IO]._sockets
            assert loaded is not None
            engine = loaded._engine
            most = 0
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(60):
                    while engine.sockets:
                        await ws.send_str(flood)
                        most = max(most, *(socket.queue.qsize() for socket in engine.sockets.values()), 0)
            assert most <= sockets.MOST_PACKETS
            connection.close()

        async def gone() -> bool:
            return not engine.sockets and not loaded._clients and not loaded._websockets

        await until(gone)
