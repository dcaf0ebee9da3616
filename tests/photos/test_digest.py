"""The background: hash, grid thumbnail and placeholder of each file by one read, newest first."""

import base64
import hashlib
import json
import shutil
from typing import Any

from tagline.photos.thumbs import THUMBS
from tests.house import House
from tests.photos.files import encoded, noise, photo, touch, write
from tests.photos.library import peek


async def test_hash_placeholder_and_grid_thumbnail_are_there_before_anybody_asks(house: House) -> None:
    path = photo(house.library / "a.jpg", 1, (640, 480))
    await house.scan()
    found = await house.photo("a.jpg")
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(base64.b64decode(found["placeholder"] + "==")) > 10
    # One read makes the grid's size only; larger ones are made when they are asked for.
    thumbnails = [path for path in (house.config.data_dir / "cache/thumbnails").rglob("*") if path.is_file()]
    assert [str(path) for path in thumbnails] == [house.app[THUMBS].place(found["sha256"], 256)]


async def test_newest_photos_are_read_first(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    order: list[str] = []
    while (job := await house.db.value("jobs.open", kind="digest")) is not None:
        assert job
        done = [found["object_key"] for found in await house.photos("limit=100") if found["sha256"]]
        order += sorted(set(done) - set(order), reverse=True)
    done = [found["object_key"] for found in await house.photos("limit=100") if found["sha256"]]
    order += sorted(set(done) - set(order), reverse=True)
    # Two processes read side by side, so that neighbours may be told in another order.
    assert set(order[:10]) <= set(sorted(order, reverse=True)[:20])


async def test_reading_a_photo_changes_neither_version_nor_time(house: House) -> None:
    photo(house.library / "a.jpg", 1)
    await house.ana.post("/rescan")
    before = await house.photo("a.jpg")
    await house.settled()
    after = await house.photo("a.jpg")
    assert (after["version"], after["last_modified"]) == (1, before["last_modified"])


async def test_a_damaged_photo_has_its_hash_and_what_is_left_of_it(house: House) -> None:
    whole = encoded(noise(1, (640, 480)), "JPEG")
    half = write(house.library / "half.jpg", whole[: len(whole) // 2])
    await house.scan()
    found = await house.photo("half.jpg")
    assert found["sha256"] == hashlib.sha256(half.read_bytes()).hexdigest()
    assert found["placeholder"]
    assert (await house.ana.get(found["links"]["thumbnail"])).status == 200


async def test_a_photo_whose_pixels_cannot_be_read_tells_why_and_is_streamed_all_the_same(house: House) -> None:
    whole = encoded(noise(1, (64, 64)), "WEBP", lossless=True)
    path = write(house.library / "a.webp", whole[:60] + bytes(len(whole) - 60))
    await house.scan()
    found = await house.photo("a.webp")
    assert found["problem"] == "broken_image"
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (await house.ana.get(found["links"]["image"])).body == path.read_bytes()
    # It is not tried again and again.
    result = await house.scan()
    assert (result["unchanged"], result["errors"]) == (1, [])
    digests = [job for job in (await house.ana.get("/api/jobs")).json["items"] if job["kind"] == "digest"]
    assert [job["result"] for job in digests] == [{"digested": 1, "problems": 1}]


async def test_a_cache_that_vanishes_while_photos_are_read_stops_nothing(house: House) -> None:
    for number in range(30):
        photo(house.library / f"{number}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    cache = house.config.data_dir / "cache"
    while await house.db.value("jobs.open", kind="digest"):
        shutil.rmtree(cache, ignore_errors=True)
    digests = [job for job in (await house.ana.get("/api/jobs")).json["items"] if job["kind"] == "digest"]
    assert [(job["state"], job["error"], job["tries"]) for job in digests] == [("succeeded", None, 1)]
    for found in await house.photos("limit=100"):
        assert found["sha256"]
        assert found["placeholder"]
        assert (await house.ana.get(found["links"]["thumbnail"])).status == 200


async def test_a_file_that_has_gone_before_it_was_read_waits(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    path = house.library / "IMG_20240101_120000.jpg"
    whole = path.read_bytes()
    path.unlink()
    await house.settled()
    found = await house.photo("120000.jpg")
    assert found["sha256"] is None
    answer = await house.ana.get(found["links"]["thumbnail"])
    assert answer.status in (410, 503)
    write(path, whole)
    await house.scan()
    assert (await house.photo("120000.jpg"))["sha256"]


async def feed(house: House) -> list[Any]:
    """What was told of updates of photos."""
    rows = await house.db.rows("changes.since", seq=0, limit=1000)
    wanted = [row["seq"] for row in rows if (row["entity"], row["action"]) == ("photo", "update")]
    told = peek(house.db, "select seq, data from changes order by seq")
    return [json.loads(data) for seq, data in told if seq in wanted]


async def test_what_the_background_finds_is_told_with_what_was_before(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    assert await feed(house) == [
        {"sha256": [None, found["sha256"]], "content_hash": [None, found["sha256"]],
         "placeholder": [None, found["placeholder"]]}
    ]  # fmt: skip
    # Read again, and the same: the touch is told, but no change.
    touch(path)
    await house.scan()
    assert (await feed(house))[1:] == [{}]
    assert await house.db.value("library.unread_total") == 0
    address = found["links"]["thumbnail"]
    assert (await house.ana.get(address)).status == 200
    assert (await house.ana.get(f"{address}?size=512")).status == 200


async def test_a_problem_that_is_still_there_is_told_once(house: House) -> None:
    whole = encoded(noise(1, (64, 64)), "WEBP", lossless=True)
    path = write(house.library / "a.webp", whole[:60] + bytes(len(whole) - 60))
    await house.scan()
    touch(path)
    await house.scan()
    assert [change.get("problem") for change in await feed(house)] == [[None, "broken_image"], None]
    assert (await house.photo("a.webp"))["problem"] == "broken_image"


async def test_one_that_is_asked_for_while_it_is_read_again_is_shown_ever_after(house: House) -> None:
    path = photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    touch(path)
    await house.ana.post("/rescan")
    for _ in range(3):
        assert (await house.ana.get(found["links"]["thumbnail"])).status == 200
    await house.settled()
    assert (await house.ana.get(found["links"]["thumbnail"])).status == 200
