"""The service as a process: it ends at SIGTERM though everybody listens, and a scan tells how far it is."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.house import House, make_photo
from tests.robustness.service import serving
from tests.sync.realtime.listening import TRANSPORTS

pytestmark = pytest.mark.slow


class Place:
    """As much of a house as a listener needs."""

    def __init__(self, base: str) -> None:
        self.base = base


async def test_the_service_ends_at_once_though_everybody_listens(tmp_path: Path) -> None:
    async with serving(tmp_path) as (service, ana), AsyncExitStack() as stack, ClientSession() as session:
        house: Any = Place(service.address)
        listeners = [await stack.enter_async_context(listens(house, ana)) for listens in TRANSPORTS.values()]
        for listener in listeners:
            assert (await listener.next()).name == "ready"
        # One that has not said yet who it is.
        unknown = await session.ws_connect(f"{service.address}/ws/sync")
        # Requests in flight would have ten seconds.
        async with asyncio.timeout(5):
            assert await service.stop() == 0
        for listener in listeners:
            await listener.ended()
        await unknown.close()


async def test_a_scan_tells_of_photos_and_of_itself(house: House) -> None:
    for number in range(5):
        make_photo(house.library / f"{number}.jpg", size=(320 + number, 240))
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listens(house, house.ana)) for listens in TRANSPORTS.values()]
        await house.scan()
        for listener in listeners:
            seen = await listener.until("job_progress", kind="digest", state="succeeded")
            # A photo that was read before it was told is told once, as what it is to who listens: new.
            created = {told.data["id"] for told in seen if told.name == "photo_created"}
            assert len(created) == 5
