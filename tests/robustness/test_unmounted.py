"""The library's disk goes away during a scan and during streaming: told as 503, nothing is believed to be deleted."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, ClientSession

from tests.house import Client
from tests.photos.files import encoded, noise, photo, write
from tests.robustness.mounting import CAN_MOUNT, bind, unmount
from tests.robustness.service import serving, settled

pytestmark = pytest.mark.slow

COUNT = 600


class Disk:
    """A library that can be plugged in and out."""

    def __init__(self, place: Path, plug: Callable[[], None], unplug: Callable[[], None]) -> None:
        self.place = place
        self.plug = plug
        self.unplug = unplug


def renamed(tmp_path: Path) -> Disk:
    """One that is away when its folder has another name."""
    place, away = tmp_path / "library", tmp_path / "away"
    away.mkdir()
    return Disk(place, lambda: rename(away, place), lambda: rename(place, away))


def rename(one: Path, other: Path) -> None:
    """Give a folder another name."""
    one.rename(other)


def mounted(tmp_path: Path) -> Disk:
    """One that leaves its bare mount point when it is away."""
    place, store = tmp_path / "library", tmp_path / "store"
    store.mkdir()
    return Disk(place, lambda: bind(store, place), lambda: unmount(place))


@pytest.fixture(params=[renamed, mounted] if CAN_MOUNT else [renamed])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk, plugged in, with many photos; unplugged at the end."""
    disk: Disk = request.param(tmp_path)
    disk.plug()
    for number in range(COUNT):
        photo(disk.place / f"{number % 10}/{number}.jpg", number, (8, 8))
    yield disk
    disk.unplug()


async def expect_away(ana: Client, count: int) -> None:
    """The library is away, and everything is still known."""
    photos = (await ana.get("/photos?limit=1")).json
    assert photos["total"] == count
    assert (await ana.get("/photos?missing=true")).json["total"] == 0
    image = await ana.get(photos["items"][0]["links"]["image"])
    assert (image.status, image.json["code"]) == (503, "storage_unavailable")
    assert image.headers["Retry-After"]
    health = (await ana.get("/health")).json
    assert health["status"] != "ok"
    for _ in range(2):
        scan = await ana.post("/rescan")
        assert scan.status == 503 or scan.json["status"] == "warning", scan
    assert (await ana.get("/photos?limit=1")).json["total"] == count
    assert (await ana.get("/photos?missing=true")).json["total"] == 0
    photo_id = photos["items"][0]["id"]
    assert (await ana.patch(f"/photos/{photo_id}/metadata", {"description": "while away"})).status == 200


async def test_unplugged_during_a_scan(tmp_path: Path, disk: Disk) -> None:
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(disk.place)) as (_, ana):
        scanning = asyncio.create_task(ana.post("/rescan"))
        async with asyncio.timeout(20):
            while not (await ana.get("/photos?limit=1")).json["total"]:
                pass
        disk.unplug()
        answer = await scanning
        assert answer.status in (200, 503)
        await expect_away(ana, (await ana.get("/photos?limit=1")).json["total"])
        disk.plug()
        scan = await ana.post("/rescan")
        assert (scan.status, scan.json["status"], scan.json["missing"]) == (200, "ok", 0)
        assert (await ana.get("/photos?limit=1")).json["total"] == COUNT
        await settled(ana)
        for found in (await ana.get("/photos?limit=500")).json["items"]:
            assert found["sha256"]


async def test_unplugged_while_the_background_reads(tmp_path: Path, disk: Disk) -> None:
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(disk.place)) as (_, ana):
        assert (await ana.post("/rescan")).json["imported_count"] == COUNT
        disk.unplug()
        unread = [found for found in (await ana.get("/photos?limit=500")).json["items"] if not found["sha256"]]
        assert unread
        thumbnail = await ana.get(unread[-1]["links"]["thumbnail"])
        assert thumbnail.status in (200, 503), thumbnail
        await settled(ana)
        await expect_away(ana, COUNT)
        disk.plug()
        assert (await ana.post("/rescan")).json["unchanged"] == COUNT
        await settled(ana)
        items = (await ana.get("/photos?limit=500")).json["items"]
        assert all(found["sha256"] and not found["problem"] for found in items)


async def test_unplugged_while_an_original_is_sent(tmp_path: Path, disk: Disk) -> None:
    path = write(disk.place / "large.bmp", encoded(noise(1, (3600, 3000)), "BMP"))
    whole = path.read_bytes()
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(disk.place)) as (service, ana):
        await ana.post("/rescan")
        [found] = (await ana.get("/photos?q=large")).json["items"]
        async with ClientSession() as session:
            address = service.address + found["links"]["image"]
            async with session.get(address, headers=ana.headers) as answer:
                body = await answer.content.readexactly(1000)
                disk.unplug()
                try:
                    body += await answer.content.read()
                except ClientPayloadError:
                    pass  # cut off, and the client knows
                else:
                    assert body == whole
        await expect_away(ana, COUNT + 1)
        disk.plug()
        assert (await ana.get(found["links"]["image"])).body == whole


async def test_a_service_whose_library_is_away_at_its_start_says_so(tmp_path: Path, disk: Disk) -> None:
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(disk.place)) as (_, ana):
        assert (await ana.post("/rescan")).json["imported_count"] == COUNT
        await settled(ana)
    disk.unplug()
    if disk.place.exists():
        # A bare mount point is an empty library, and not believed either.
        async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(disk.place)) as (_, ana):
            assert (await ana.post("/rescan")).json["status"] == "warning"
            assert (await ana.get("/photos?limit=1")).json["total"] == COUNT
            assert not (disk.place / ".tagline-library").exists()
    else:
        with pytest.raises(AssertionError, match="did not start"):
            async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(disk.place)):
                pass
    disk.plug()
