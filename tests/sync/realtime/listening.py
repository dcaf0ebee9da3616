"""Somebody who listens: by server-sent events, by a WebSocket, or by Socket.IO. All tell the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import socketio
from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector

from tests.house import Client, House

SECONDS = 15


class Told(NamedTuple):
    """What a listener was told."""

    name: str
    data: Any
    cursor: str | None


class Listener:
    """What all three have in common: a queue of what was told, and how to end."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Told | None] = asyncio.Queue()

    async def next(self) -> Told:
        """The next event."""
        async with asyncio.timeout(SECONDS):
            told = await self.told.get()
        assert told is not None, "the connection has ended"
        return told

    async def ended(self) -> None:
        """Wait until the connection has ended; what was told before is thrown away."""
        async with asyncio.timeout(SECONDS):
            while await self.told.get() is not None:
                pass

    async def until(self, name: str, **data: Any) -> list[Told]:
        """Everything up to an event of a name whose thing has these values."""
        seen = []
        while True:
            seen.append(await self.next())
            if seen[-1].name == name and data.items() <= seen[-1].data.items():
                return seen


async def parsed(response: ClientResponse) -> AsyncIterator[Told]:
    """A stream as EventSource reads it (WHATWG HTML §9.2.6)."""
    fields: dict[str, str] = {}
    last_id: str | None = None
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            cursor = fields.get("id")
            last_id = cursor or last_id
            yield Told(fields["event"], msgspec.json.decode(fields["data"]), cursor)
        fields = {}


@asynccontextmanager
async def by_stream(house: House, who: Client, cursor: str | None = None) -> AsyncIterator[Listener]:
    """Server-sent events."""
    listener = Listener()
    headers = {**who.headers, **({"Last-Event-ID": cursor} if cursor else {})}
    async with (
        ClientSession(read_bufsize=2**20, timeout=ClientTimeout()) as session,
        session.get(f"{house.base}/api/sync/events", headers=headers) as response,
    ):
        assert response.status == 200

        async def read() -> None:
            try:
                async for told in parsed(response):
                    listener.told.put_nowait(told)
            except Exception:
                listener.told.put_nowait(None)
                return
            listener.told.put_nowait(None)

        reading = asyncio.create_task(read())
        yield listener
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def by_websocket(house: House, who: Client, cursor: str | None = None) -> AsyncIterator[Listener]:
    """A plain WebSocket."""
    listener = Listener()
    query = f"?cursor={cursor}" if cursor else ""
    async with (
        ClientSession() as session,
        session.ws_connect(f"{house.base}/ws/sync{query}", headers=who.headers) as ws,
    ):

        async def read() -> None:
            async for message in ws:
                told = msgspec.json.decode(message.data)
                listener.told.put_nowait(Told(told["type"], told["data"], told["cursor"]))
            listener.told.put_nowait(None)

        reading = asyncio.create_task(read())
        yield listener
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def token_of(who: Client) -> str:
    """The token that a client shows."""
    return who.headers["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def connected(
    house: House, auth: Any, namespace: str = "/ws/sync", transport: str = "websocket"
) -> AsyncIterator[tuple[socketio.AsyncClient, Listener]]:
    """python-socketio's own client, with what it was told."""
    listener = Listener()
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        client = socketio.AsyncClient(reconnection=False, http_session=session)

        async def told(event: str, *data: Any) -> None:
            listener.told.put_nowait(Told(event, data[0], data[1]["cursor"]))

        async def gone(*_: Any) -> None:
            listener.told.put_nowait(None)

        client.on("*", told, namespace=namespace)
        client.on("disconnect", gone, namespace=namespace)
        await client.connect(house.base, auth=auth, namespaces=[namespace], transports=[transport])
        try:
            yield client, listener
        finally:
            await client.shutdown()


@asynccontextmanager
async def by_socketio(house: House, who: Client, cursor: str | None = None) -> AsyncIterator[Listener]:
    """Socket.IO over a WebSocket."""
    async with connected(house, {"token": token_of(who), "cursor": cursor}) as (_, listener):
        yield listener


@asynccontextmanager
async def by_polling(house: House, who: Client, cursor: str | None = None) -> AsyncIterator[Listener]:
    """Socket.IO by polling."""
    auth = {"token": token_of(who), "cursor": cursor}
    async with connected(house, auth, namespace="/api", transport="polling") as (_, listener):
        yield listener


TRANSPORTS = {"stream": by_stream, "websocket": by_websocket, "socketio": by_socketio, "polling": by_polling}
