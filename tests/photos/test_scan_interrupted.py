"""The scan: cancelled or ended in the middle, it loses nothing, and the next one goes on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, running, until
from tests.photos.files import photo

pytestmark = pytest.mark.slow

COUNT = 800


def fill(library: Path) -> None:
    """Many small photos."""
    for number in range(COUNT):
        photo(library / f"{number % 10}/{number}.jpg", number, (8, 8))


async def begun(house: House) -> str:
    """A scan that has imported something and not all; gives its job's address."""
    address: str = (await house.ana.post("/rescan", headers={"Prefer": "respond-async"})).headers["Location"]

    async def under_way() -> bool:
        return bool((await house.ana.get("/photos?limit=1")).json["total"])

    await until(under_way)
    return address


async def everything(house: House) -> list[Any]:
    """All photos."""
    found: list[Any] = []
    query = "limit=500"
    while query:
        page = (await house.ana.get(f"/photos?{query}")).json
        found += page["items"]
        query = f"limit=500&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    return found


async def test_a_cancelled_scan_keeps_what_it_has_and_the_next_goes_on(house: House) -> None:
    fill(house.library)
    address = await begun(house)
    cancelled = await house.ana.delete(address)
    assert cancelled.status in (200, 204), cancelled
    assert (await house.ana.get(address)).json["state"] == "cancelled"
    before = {found["id"] for found in await everything(house)}
    assert 0 < len(before) < COUNT
    result = await house.scan()
    # What was on its way into the database when it was cancelled is there as well.
    assert 0 < result["imported_count"] <= COUNT - len(before)
    after = {found["id"] for found in await everything(house)}
    assert before < after
    assert len(after) == COUNT


async def test_whoever_waits_for_a_cancelled_scan_is_told(house: House) -> None:
    fill(house.library)
    waiting = asyncio.create_task(house.ana.post("/rescan"))

    async def under_way() -> bool:
        return bool((await house.ana.get("/photos?limit=1")).json["total"])

    await until(under_way)
    [scan] = (await house.ana.get("/api/jobs")).json["items"]
    await house.ana.delete(f"/api/jobs/{scan['id']}")
    answer = await waiting
    assert answer.status == 503
    assert answer.json["code"] == "scan_failed"


async def test_a_service_that_ends_during_a_scan_scans_on_at_its_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        fill(house.library)
        address = await begun(house)
    async with running(tmp_path) as house:

        async def ended() -> bool:
            return bool((await house.ana.get(address)).json["state"] == "succeeded")

        await until(ended, 30)
        await house.settled()
        found = await everything(house)
        assert len(found) == COUNT
        assert all(photo["sha256"] for photo in found)
        assert (await house.scan())["unchanged"] == COUNT


async def test_the_background_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        for number in range(60):
            photo(house.library / f"{number}.jpg", number, (400, 300))
        await house.ana.post("/rescan")
        assert any(found["sha256"] is None for found in await everything(house))
    async with running(tmp_path) as house:
        await house.settled()
        assert all(found["sha256"] for found in await everything(house))
