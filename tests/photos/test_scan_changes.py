"""The scan: files that were edited, turned, touched or replaced keep their photo, its line and its history."""

import io
import logging
import os
import re
from typing import Any

import pytest
from PIL import Image

from tagline.photos.scan import SCANNER
from tests.house import House, make_photo
from tests.media import samples
from tests.photos.files import encoded, large, noise, photo, poke, touch, write


async def told(house: House, name: str, line: str) -> Any:
    """A photo after somebody wrote a line for it."""
    found = await house.photo(name)
    edited = await house.ana.patch(f"/photos/{found['id']}/metadata", {"description": line})
    assert edited.status == 200
    return edited.json


async def test_an_edited_file_keeps_its_photo_and_is_a_new_version(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    before = await told(house, "a.jpg", "Ana at the lake")
    thumbnail = await house.ana.get(before["links"]["thumbnail"])
    photo(path, 2, (60, 80))
    result = await house.scan()
    assert (result["updated"], result["imported_count"], result["missing"]) == (1, 0, 0)
    after = await house.photo("a.jpg")
    assert (after["id"], after["description"]) == (before["id"], "Ana at the lake")
    assert after["version"] == before["version"] + 1
    assert after["last_modified"] > before["last_modified"]
    assert (after["metadata"]["width"], after["metadata"]["height"]) == (60, 80)
    # Identity is the content as first seen: what phones compare with.
    assert after["sha256"] == before["sha256"]
    assert (after["size"], after["placeholder"]) != (before["size"], before["placeholder"])
    now = await house.ana.get(before["links"]["thumbnail"])
    assert now.headers["ETag"] != thumbnail.headers["ETag"]
    assert Image.open(io.BytesIO(now.body)).size == (60, 80)
    assert (await house.ana.get(before["links"]["image"])).body == path.read_bytes()
    [line] = (await house.ana.get(f"/photos/{before['id']}/history")).json["items"]
    assert line["description"] == "Ana at the lake"


async def test_an_edit_based_on_the_file_before_is_a_conflict(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    before = await house.photo("a.jpg")
    photo(path, 2)
    await house.scan()
    edit = {"description": "late", "last_modified": before["last_modified"]}
    assert (await house.ana.patch(f"/photos/{before['id']}/metadata", edit)).status == 409


async def test_a_turned_photo_is_as_wide_as_it_was_high(house: House) -> None:
    path = write(house.library / "a.jpg", encoded(samples.corners(), "JPEG", quality=95))
    await house.scan()
    before = await house.photo("a.jpg")
    exif = samples.exif({0x0112: 6})
    write(path, encoded(samples.corners(), "JPEG", quality=95, exif=exif))
    assert (await house.scan())["updated"] == 1
    after = await house.photo("a.jpg")
    assert (after["id"], after["version"]) == (before["id"], before["version"] + 1)
    assert (after["metadata"]["width"], after["metadata"]["height"]) == (64, 96)
    thumbnail = await house.ana.get(after["links"]["thumbnail"])
    assert Image.open(io.BytesIO(thumbnail.body)).size == (64, 96)


async def test_what_people_wrote_of_time_and_place_outlives_an_edit_of_the_file(house: House) -> None:
    path = make_photo(house.library / "a.jpg", "red", taken="2024:07:01 16:02:11")
    await house.scan()
    photo_id = (await house.photo("a.jpg"))["id"]
    wanted = {"taken_at": "1999-12-31T23:59:00+01:00", "location": {"lat": 46.1, "lon": 9.2}, "keywords": ["lake"]}
    assert (await house.ana.patch(f"/photos/{photo_id}/metadata", wanted)).status == 200
    make_photo(path, "blue", taken="2024:07:01 16:02:11")
    assert (await house.scan())["updated"] == 1
    metadata = (await house.photo("a.jpg"))["metadata"]
    assert {name: metadata[name] for name in wanted} == wanted
    assert metadata["taken_at_source"] == "edit"


async def test_a_line_that_a_program_wrote_into_the_file_later_does_not_overwrite_ours(house: House) -> None:
    path = make_photo(house.library / "a.jpg", "red", caption="from the file")
    await house.scan()
    await told(house, "a.jpg", "from Ana")
    make_photo(path, "red", caption="from the file, again")
    assert (await house.scan())["updated"] == 1
    assert (await house.photo("a.jpg"))["description"] == "from Ana"


async def test_a_touched_file_is_no_new_version_and_is_read_once_more(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    before = await house.photo("a.jpg")
    touch(path)
    result = await house.scan()
    assert (result["updated"], result["unchanged"], result["imported_count"]) == (0, 1, 0)
    after = await house.photo("a.jpg")
    assert (after["version"], after["last_modified"]) == (before["version"], before["last_modified"])
    digests = [job for job in (await house.ana.get("/api/jobs")).json["items"] if job["kind"] == "digest"]
    assert sum(job["result"]["digested"] for job in digests) == 2
    assert (await house.scan())["unchanged"] == 1


async def test_a_file_edited_in_its_middle_is_a_new_version_once_the_background_has_read_it(house: House) -> None:
    path = large(house.library / "a.bmp", 1)
    await house.scan()
    before = await told(house, "a.bmp", "Ana at the lake")
    poke(path, path.stat().st_size // 2)
    # Length and both ends are the same: the headers cannot tell.
    assert (await house.scan())["updated"] == 0
    after = await house.photo("a.bmp")
    assert (after["id"], after["version"]) == (before["id"], before["version"] + 1)
    assert (after["sha256"], after["description"]) == (before["sha256"], "Ana at the lake")
    assert after["last_modified"] > before["last_modified"]
    image = await house.ana.get(before["links"]["image"])
    assert image.headers["ETag"] != f'"{before["sha256"]}"'
    assert image.body == path.read_bytes()


async def test_until_the_background_has_looked_a_touched_file_is_not_served_as_what_it_was(house: House) -> None:
    path = large(house.library / "a.bmp", 1)
    await house.scan()
    found = await house.photo("a.bmp")
    etag = (await house.ana.get(found["links"]["image"])).headers["ETag"]
    poke(path, path.stat().st_size // 2)
    await house.ana.post("/rescan")
    answer = await house.ana.get(found["links"]["image"], headers={"If-None-Match": etag})
    assert answer.status == 200
    assert answer.body == path.read_bytes()


async def test_a_replaced_file_whose_name_stays_is_the_same_photo(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    before = await house.photo("a.jpg")
    beside = photo(house.library / ".a.jpg.beside", 2)
    beside.rename(path)
    assert (await house.scan())["updated"] == 1
    assert (await house.photo("a.jpg"))["id"] == before["id"]


async def test_a_file_that_became_no_photo_is_missing_and_comes_back(house: House) -> None:
    for number in range(5):
        photo(house.library / f"{number}.jpg", number)
    await house.scan()
    before = await told(house, "3.jpg", "Ana at the lake")
    path = house.library / "3.jpg"
    whole = path.read_bytes()
    write(path, b"overwritten with words")
    result = await house.scan()
    assert (result["skipped"], result["missing"]) == (1, 1)
    assert before["id"] not in [found["id"] for found in await house.photos()]
    write(path, whole)
    assert (await house.scan())["found"] == 1
    assert (await house.photo("3.jpg"))["id"] == before["id"]


async def test_a_broken_file_is_told_by_every_scan_and_tried_again_only_when_it_changes(house: House) -> None:
    path = write(house.library / "a.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(200))
    photo(house.library / "b.jpg", 1)
    first = await house.scan()
    [error] = first["errors"]
    assert (error["path"], error["code"]) == ("a.jpg", "broken_image")
    assert error["detail"].endswith(".")
    assert first["imported_count"] == 1
    before = path.stat()
    # Mended behind the scan's back: it would be seen by whoever reads it.
    whole = encoded(noise(2), "JPEG")
    path.write_bytes(whole[: before.st_size])
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert (await house.scan())["errors"] == first["errors"]
    write(path, whole)
    again = await house.scan()
    assert (again["errors"], again["imported_count"]) == ([], 1)


async def test_a_copy_that_becomes_another_picture_is_a_photo_of_its_own(house: House) -> None:
    first = photo(house.library / "a.jpg", 1)
    copy = write(house.library / "b.jpg", first.read_bytes())
    await house.scan()
    before = await house.photo("a.jpg")
    photo(copy, 2)
    result = await house.scan()
    assert (result["imported_count"], result["updated"]) == (1, 0)
    assert (await house.photo("a.jpg"))["id"] == before["id"]
    assert (await house.photo("b.jpg"))["id"] != before["id"]


async def test_the_log_says_what_a_scan_did_and_nothing_of_one_that_did_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tagline.photos.scan")

    def told() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if record.name == "tagline.photos.scan"]
        caplog.clear()
        return [re.sub(r"\d+\.\d s$", "…", line) for line in lines]

    for number in range(12):
        photo(house.library / f"{number}.jpg", number)
    write(house.library / "broken.jpg", b"\xff\xd8\xff\xe0 nothing")
    await house.scan()
    assert told() == ["scan: 12 new, 1 problem in …"]
    await house.scan()
    assert told() == []
    (house.library / "0.jpg").unlink()
    (house.library / "1.jpg").rename(house.library / "moved.jpg")
    photo(house.library / "2.jpg", 99)
    photo(house.library / "more/new.jpg", 100)
    await house.app[SCANNER].folders([""])
    assert told() == ["scan: 1 new, 1 edited, 1 moved, 1 gone, 1 problem in …"]
    await house.settled()
