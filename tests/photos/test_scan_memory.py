"""The scan over a storage that is no local disk: workers get copies, and everything else is the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.house import House, running, until
from tests.media import samples
from tests.photos.files import encoded, noise


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose photos lie in memory."""
    async with running(tmp_path / "data", PHOTO_STORAGE_BACKEND="memory") as house:
        yield house


async def put(house: House, key: str, content: bytes) -> None:
    """A file in the storage."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await house.memory.store(key, chunks(), overwrite=True)


async def library(house: House, count: int = 8) -> None:
    """Some photos, scanned."""
    for number in range(count):
        await put(house, f"2024/{number}.jpg", encoded(noise(number), "JPEG"))
    assert (await house.scan())["imported_count"] == count


async def test_files_are_found_and_shown(house: House) -> None:
    await library(house)
    await put(house, "notes.txt", b"no photo")
    await put(house, "broken.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(50))
    await put(house, "@eaDir/a.jpg", encoded(noise(50), "JPEG"))
    result = await house.scan()
    assert (result["skipped"], result["unchanged"], result["imported_count"]) == (1, 8, 0)
    assert [(error["path"], error["code"]) for error in result["errors"]] == [("broken.jpg", "broken_image")]
    for found in await house.photos():
        assert found["sha256"]
        assert found["placeholder"]
        image = await house.ana.get(found["links"]["image"], headers={"Range": "bytes=0-1"})
        assert (image.status, image.body) == (206, b"\xff\xd8")
        for size in (256, 1024):
            thumbnail = await house.ana.get(f"{found['links']['thumbnail']}?size={size}")
            assert (thumbnail.status, thumbnail.headers["Content-Type"]) == (200, "image/webp")


async def test_moved_changed_copied_and_vanished_files_are_followed(house: House) -> None:
    await library(house)
    before = {found["object_key"]: found["id"] for found in await house.photos()}
    await house.memory.delete("2024/0.jpg")
    await put(house, "moved.jpg", encoded(noise(0), "JPEG"))
    await put(house, "2024/1.jpg", encoded(noise(101), "JPEG"))
    await put(house, "copy.jpg", encoded(noise(2), "JPEG"))
    await house.memory.delete("2024/3.jpg")
    result = await house.scan()
    assert {name: result[name] for name in ("moved", "updated", "duplicates", "missing", "imported_count")} == {
        "moved": 1, "updated": 1, "duplicates": 1, "missing": 1, "imported_count": 0,
    }  # fmt: skip
    after = {found["object_key"]: found["id"] for found in await house.photos()}
    assert after["moved.jpg"] == before["2024/0.jpg"]
    assert after["2024/1.jpg"] == before["2024/1.jpg"]
    assert "2024/3.jpg" not in after


async def test_a_storage_that_is_away_is_told_and_nothing_is_missing(house: House) -> None:
    await library(house)
    [found, *_] = await house.photos()
    house.memory.away = True
    result = (await house.ana.post("/rescan")).json
    assert (result["status"], result["missing"]) == ("warning", 0)
    image = await house.ana.get(found["links"]["image"])
    assert (image.status, image.json["code"]) == (503, "storage_unavailable")
    assert image.headers["Retry-After"]
    assert (await house.ana.get(f"{found['links']['thumbnail']}?size=2048")).status == 503
    # What is cached and what is known is still there.
    assert (await house.ana.get(found["links"]["thumbnail"])).status == 200
    assert len(await house.photos()) == 8
    house.memory.away = False
    assert (await house.scan())["unchanged"] == 8
    assert (await house.ana.get(found["links"]["image"])).status == 200


async def test_a_storage_that_goes_away_during_a_scan_loses_nothing(house: House) -> None:
    await library(house)
    for number in range(200):
        await put(house, f"new/{number}.jpg", encoded(noise(1000 + number, (8, 8)), "JPEG"))
    rescan = asyncio.create_task(house.ana.post("/rescan"))

    async def begun() -> bool:
        return await house.db.value("jobs.open", kind="scan") is not None

    await until(begun)
    house.memory.away = True
    answer = await rescan
    assert answer.status == 503 or answer.json["status"] == "warning"
    assert await house.photos("missing=true") == []
    house.memory.away = False
    await house.scan()
    assert len(await house.photos("limit=500")) == 208
    assert all(found["sha256"] for found in await house.photos("limit=500"))


async def test_an_ignore_file_counts(house: House) -> None:
    await put(house, "private/a.jpg", encoded(noise(1), "JPEG"))
    await put(house, "b.jpg", encoded(noise(2), "JPEG"))
    await put(house, ".taglineignore", b"private/\n")
    await house.scan()
    assert [found["object_key"] for found in await house.photos()] == ["b.jpg"]


async def test_a_turned_photo_is_upright(house: House) -> None:
    turned = encoded(samples.stored(6), "JPEG", quality=95, exif=samples.exif({0x0112: 6}))
    await put(house, "a.jpg", turned)
    await house.scan()
    [found] = await house.photos()
    assert (found["metadata"]["width"], found["metadata"]["height"]) == (96, 64)
