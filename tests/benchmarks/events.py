"""Events: how long after an edit was sent another client hears of it, alone and among 200."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector

from tests.benchmarks import servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import library
from tests.benchmarks.servers import Server

LISTENERS = (1, 200)


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    made = library(bench.kept, 1_000)
    with ExitStack() as stack:
        scratch = stack.enter_context(bench.scratch())
        server = stack.enter_context(servers.tagline(made.copied(scratch / "data"), made.photos))
        photo = server.ask("GET", "/photos?limit=1")["items"][0]["id"]
        for listeners in LISTENERS:
            waits = asyncio.run(edit_to_event(server, photo, listeners, 50 if bench.quick else 200))
            what = f"edit to event, {listeners} listening"
            yield Line(f"{what}: median", Figure("ms", [_at(waits, 0.5)]), at_most=50)
            yield Line(f"{what}: p99", Figure("ms", [_at(waits, 0.99)]))


async def edit_to_event(server: Server, photo: str, listeners: int, edits: int) -> list[float]:
    """Edit a photo so often, one edit after the other, while so many listen.

    Gives the times from the sending of an edit to its event, of each edit at each listener, ms, sorted.
    """
    base, headers = f"http://127.0.0.1:{server.port}", {"Authorization": f"Bearer {server.token}"}
    waits: list[float] = []
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession(connector=TCPConnector(limit=0), headers=headers))
        sockets = [await stack.enter_async_context(session.ws_connect(f"{base}/ws/sync")) for _ in range(listeners)]
        for socket in sockets:
            assert (await socket.receive_json())["type"] == "ready"
        for number in range(edits):
            hearing = [asyncio.create_task(_heard(socket, number)) for socket in sockets]
            await asyncio.sleep(0)
            sent = time.perf_counter()
            async with session.patch(
                f"{base}/photos/{photo}/metadata", json={"description": f"line {number}"}
            ) as answer:
                assert answer.status == 200
            waits += [(heard - sent) * 1000 for heard in await asyncio.gather(*hearing)]
    return sorted(waits)


async def _heard(socket: ClientWebSocketResponse, number: int) -> float:
    """When the event of an edit was there."""
    while f'"line {number}"' not in await socket.receive_str():
        pass
    return time.perf_counter()


def _at(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
