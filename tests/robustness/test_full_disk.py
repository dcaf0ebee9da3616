"""A full disk: reading goes on, writing answers 507, and once there is room again everything works."""

import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house import Client
from tests.photos.files import photo
from tests.robustness.mounting import CAN_MOUNT, small_disk
from tests.robustness.service import Service, serving

pytestmark = pytest.mark.slow


@asynccontextmanager
async def told(data: Path, library: Path) -> AsyncIterator[tuple[Service, Client, list[Any]]]:
    """A service with five photos, one of them with a line, their grid thumbnails made."""
    for number in range(5):
        photo(library / f"{number}.jpg", number, (1200, 900))
    async with serving(data, PHOTO_STORAGE_PATH=str(library), TAGLINE_RESERVE_MB="0") as (service, ana):
        await ana.post("/rescan")
        photos = (await ana.get("/photos")).json["items"]
        for found in photos:
            assert (await ana.get(found["links"]["thumbnail"])).status == 200
        assert (await ana.patch(f"/photos/{photos[0]['id']}/metadata", {"description": "before"})).status == 200
        yield service, ana, photos


async def expect_reading(ana: Client, photos: list[Any]) -> None:
    """Everything that needs no room works."""
    assert (await ana.get("/photos")).json["total"] == 5
    assert (await ana.get("/photos?q=before")).json["total"] == 1
    assert (await ana.get(f"/photos/{photos[0]['id']}/history")).json["total"] == 1
    assert (await ana.get(photos[0]["links"]["image"])).status == 200
    assert (await ana.get(photos[0]["links"]["thumbnail"])).status == 200
    assert (await ana.get("/health")).status in (200, 503)


async def expect_507(ana: Client, photos: list[Any]) -> None:
    """Everything that needs room says so, and changes nothing."""
    line = {"description": "a line that finds no room " * 100}
    # What is in the log of the database already has room for a little more: it is used up.
    for _ in range(200):
        answer = await ana.patch(f"/photos/{photos[1]['id']}/metadata", line)
        if answer.status != 200:
            break
        line["description"] += "!"
    assert (answer.status, answer.json["code"]) == (507, "disk_full")
    assert "disk" in answer.json["detail"]
    before = (await ana.get(f"/photos/{photos[1]['id']}")).json
    batch = {"photo_ids": [photos[1]["id"]], "description": line["description"] + "?"}
    assert (await ana.post("/photos/batch", batch)).status == 507
    assert (await ana.delete(f"/photos/{photos[1]['id']}")).status == 507
    assert (await ana.post("/rescan")).status == 507
    thumbnail = await ana.get(f"{photos[2]['links']['thumbnail']}?size=2048")
    assert (thumbnail.status, thumbnail.json["code"]) == (507, "disk_full")
    assert (await ana.get(f"/photos/{photos[1]['id']}")).json == before


async def expect_writing(ana: Client, photos: list[Any], library: Path) -> None:
    """Everything works again, without a restart."""
    edited = await ana.patch(f"/photos/{photos[1]['id']}/metadata", {"description": "after"})
    assert edited.status == 200, edited
    assert (await ana.get(f"{photos[2]['links']['thumbnail']}?size=2048")).status == 200
    photo(library / "new.jpg", 99)
    scan = await ana.post("/rescan")
    assert (scan.status, scan.json["imported_count"]) == (200, 1)
    assert (await ana.get("/photos?q=after")).json["total"] == 1


@contextmanager
def no_file_may_grow(service: Service) -> Iterator[None]:
    """To the service and its workers, the disk looks full: no file may be longer than a few bytes."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in family(service.pid)}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (16, hard))
    yield
    for pid, limit in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


async def test_where_no_file_may_grow_reading_goes_on_and_writing_answers_507(tmp_path: Path) -> None:
    async with told(tmp_path / "data", tmp_path / "photos") as (service, ana, photos):
        with no_file_may_grow(service):
            await expect_reading(ana, photos)
            await expect_507(ana, photos)
            await expect_reading(ana, photos)
        await expect_writing(ana, photos, tmp_path / "photos")


if CAN_MOUNT:

    async def test_on_a_full_disk_reading_goes_on_and_writing_answers_507(tmp_path: Path) -> None:
        data = tmp_path / "data"
        with small_disk(data, 12):
            async with told(data, tmp_path / "photos") as (_, ana, photos):
                fill(data / "filler")
                await expect_reading(ana, photos)
                await expect_507(ana, photos)
                await expect_reading(ana, photos)
                (data / "filler").unlink()
                await expect_writing(ana, photos, tmp_path / "photos")

    async def test_a_service_starts_and_shows_its_photos_on_a_full_disk(tmp_path: Path) -> None:
        data = tmp_path / "data"
        with small_disk(data, 12):
            async with told(data, tmp_path / "photos") as (_, ana, photos):
                headers = ana.headers
            fill(data / "filler")
            async with serving(
                data, signed_in_as=headers, PHOTO_STORAGE_PATH=str(tmp_path / "photos"), TAGLINE_RESERVE_MB="0"
            ) as (_, ana):
                await expect_reading(ana, photos)
                (data / "filler").unlink()
                await expect_writing(ana, photos, tmp_path / "photos")

    async def test_a_library_on_a_full_disk_is_scanned_all_the_same(tmp_path: Path) -> None:
        library = tmp_path / "photos"
        with small_disk(library, 2):
            for number in range(5):
                photo(library / f"{number}.jpg", number)
            fill(library / "filler")
            async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as (_, ana):
                scan = await ana.post("/rescan")
                assert (scan.status, scan.json["imported_count"]) == (200, 5), scan
                (library / "filler").unlink()
                assert (await ana.post("/rescan")).json["unchanged"] == 5
                assert (library / ".tagline-library").is_file()


def fill(path: Path) -> None:
    """Take all room that is left on a disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    os.write(descriptor, bytes(size))
                except OSError:
                    break
    finally:
        os.close(descriptor)
