"""`GET /photos/{id}/image`: the original, from disk to socket."""

import asyncio
import hashlib
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from tests.house import House, running
from tests.photos.files import encoded, large, noise, photo, poke, write


async def shown(house: House, name: str = "a.jpg") -> Any:
    """A photo of 100 kB, scanned and read."""
    photo(house.library / name, 1, (400, 300))
    await house.scan()
    return await house.photo(name)


async def test_it_is_the_file_byte_by_byte(house: House) -> None:
    found = await shown(house)
    path = house.library / "a.jpg"
    answer = await house.ana.get(found["links"]["image"])
    assert (answer.status, answer.body) == (200, path.read_bytes())
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Content-Length"] == str(path.stat().st_size)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"'
    assert answer.headers["Last-Modified"] == formatdate(int(path.stat().st_mtime), usegmt=True)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=-7", -7, None), ("bytes=1000-", 1000, None)],
)
async def test_a_part_of_it_can_be_asked_for(house: House, wanted: str, start: int, stop: int | None) -> None:
    found = await shown(house)
    whole = (house.library / "a.jpg").read_bytes()
    answer = await house.ana.get(found["links"]["image"], headers={"Range": wanted})
    assert (answer.status, answer.body) == (206, whole[start:stop])
    first = len(whole) + start if start < 0 else start
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(whole)}"


async def test_several_parts_can_be_asked_for_at_once(house: House) -> None:
    found = await shown(house)
    whole = (house.library / "a.jpg").read_bytes()
    answer = await house.ana.get(found["links"]["image"], headers={"Range": "bytes=0-9,100-109"})
    assert answer.status == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert whole[:10] in answer.body
    assert whole[100:110] in answer.body


async def test_a_part_behind_the_end_is_refused(house: House) -> None:
    found = await shown(house)
    size = (house.library / "a.jpg").stat().st_size
    answer = await house.ana.get(found["links"]["image"], headers={"Range": f"bytes={size}-"})
    assert (answer.status, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{size}"


async def test_its_headers_can_be_asked_for_alone(house: House) -> None:
    found = await shown(house)
    got = await house.ana.get(found["links"]["image"])
    head = await house.ana.ask("HEAD", found["links"]["image"])
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control"):
        assert head.headers[name] == got.headers[name]


async def test_whoever_has_it_is_told_so(house: House) -> None:
    found = await shown(house)
    address = found["links"]["image"]
    first = await house.ana.get(address)
    for headers in (
        {"If-None-Match": first.headers["ETag"]},
        {"If-None-Match": f'"other", W/{first.headers["ETag"]}'},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        answer = await house.ana.get(address, headers=headers)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["ETag"] == first.headers["ETag"]
    assert (await house.ana.get(address, headers={"If-None-Match": '"other"'})).status == 200
    assert (await house.ana.get(address, headers={"If-Match": '"other"'})).status == 412


async def test_a_download_goes_on_only_with_the_same_file(house: House) -> None:
    found = await shown(house)
    address = found["links"]["image"]
    whole = await house.ana.get(address)
    same = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
    assert (await house.ana.get(address, headers=same)).body == whole.body[100:]
    other = await house.ana.get(address, headers={"Range": "bytes=100-", "If-Range": '"other"'})
    assert (other.status, other.body) == (200, whole.body)


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a b.jpg", 'attachment; filename="a b.jpg"'),
        (
            "Zoë am Stausee.jpg",
            "attachment; filename=\"Zoe am Stausee.jpg\"; filename*=UTF-8''Zo%C3%AB%20am%20Stausee.jpg",
        ),
        ('say "hi".jpg', "attachment; filename=\"say _hi_.jpg\"; filename*=UTF-8''say%20%22hi%22.jpg"),
        ("湖.jpg", "attachment; filename=\"_.jpg\"; filename*=UTF-8''%E6%B9%96.jpg"),
    ],
)
async def test_it_is_saved_under_its_own_name(house: House, name: str, disposition: str) -> None:
    found = await shown(house, f"2024/{name}")
    answer = await house.ana.get(f"{found['links']['image']}?download")
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == disposition


async def test_an_unknown_photo_is_not_found_and_a_stranger_gets_nothing(house: House) -> None:
    found = await shown(house)
    assert (await house.ana.get("/photos/00000000-0000-4000-8000-000000000000/image")).status == 404
    assert (await house.ana.get("/photos/none/image")).status == 422
    assert (await house.eve.get(found["links"]["image"])).status == 401
    assert (await house.ana.post(found["links"]["image"])).status == 405


async def test_a_file_that_vanished_since_the_scan_is_gone(house: House) -> None:
    found = await shown(house)
    (house.library / "a.jpg").unlink()
    answer = await house.ana.get(found["links"]["image"])
    assert (answer.status, answer.json["code"]) == (410, "file_missing")


async def test_a_library_that_is_away_is_told_and_comes_back(house: House) -> None:
    found = await shown(house)
    aside = house.library.rename(house.library.with_name("aside"))
    answer = await house.ana.get(found["links"]["image"])
    assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    aside.rename(house.library)
    assert (await house.ana.get(found["links"]["image"])).status == 200


async def test_a_file_replaced_since_the_scan_is_sent_as_what_it_is(house: House) -> None:
    found = await shown(house)
    before = (await house.ana.get(found["links"]["image"])).headers["ETag"]
    beside = photo(house.library / ".beside", 2, (400, 300))
    beside.rename(house.library / "a.jpg")
    for headers in ({}, {"If-None-Match": before}, {"Range": "bytes=10-", "If-Range": before}):
        answer = await house.ana.get(found["links"]["image"], headers=headers)
        assert (answer.status, answer.body) == (200, (house.library / "a.jpg").read_bytes())
        assert answer.headers["ETag"] != before
        assert answer.headers["Cache-Control"] == "no-cache"
    assert (await house.ana.get(found["links"]["image"], headers={"If-Match": before})).status == 412


async def test_before_it_was_hashed_it_has_an_etag_all_the_same(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (300, 200))
    await house.ana.post("/rescan")
    oldest = await house.photo("120000.jpg")
    assert oldest["sha256"] is None
    first = await house.ana.get(oldest["links"]["image"])
    assert first.status == 200
    headers = {"If-None-Match": first.headers["ETag"]}
    assert (await house.ana.get(oldest["links"]["image"], headers=headers)).status in (200, 304)
    await house.settled()
    after = await house.ana.get(oldest["links"]["image"])
    assert after.headers["ETag"] == f'"{hashlib.sha256(after.body).hexdigest()}"'


async def test_a_file_that_is_written_to_while_it_is_sent_never_comes_whole(house: House) -> None:
    path = write(house.library / "a.bmp", encoded(noise(1, (2500, 2000)), "BMP"))
    await house.scan()
    found = await house.photo("a.bmp")
    whole = path.read_bytes()

    async def ask() -> bytes | None:
        try:
            return (await house.ana.get(found["links"]["image"])).body
        except (ClientError, OSError):
            return None  # a body that ends too early

    asked = asyncio.create_task(ask())
    states = [whole]
    for number in range(20):
        await asyncio.sleep(0)
        poke(path, 1000 + number)
        states.append(path.read_bytes())
    body = await asked
    assert body is None or body in states


async def test_a_file_edited_in_place_is_never_served_as_the_one_before(house: House) -> None:
    path = large(house.library / "a.bmp", 1)
    await house.scan()
    found = await house.photo("a.bmp")
    etag = (await house.ana.get(found["links"]["image"])).headers["ETag"]
    poke(path, path.stat().st_size // 2)
    answer = await house.ana.get(found["links"]["image"], headers={"If-None-Match": etag})
    assert (answer.status, answer.body) == (200, path.read_bytes())


async def test_a_link_put_in_the_place_of_a_file_leads_nowhere(house: House, tmp_path: Path) -> None:
    found = await shown(house)
    secret = write(tmp_path / "secret", b"secret")
    path = house.library / "a.jpg"
    path.unlink()
    path.symlink_to(secret)
    answer = await house.ana.get(found["links"]["image"])
    assert answer.status == 410
    assert b"secret" not in answer.body


async def test_many_at_once_are_each_the_right_one(house: House) -> None:
    for number in range(10):
        photo(house.library / f"{number}.jpg", number, (200, 200))
    await house.scan()
    found = await house.photos()
    answers = await asyncio.gather(*(house.ana.get(one["links"]["image"]) for one in found * 5))
    for one, answer in zip(found * 5, answers, strict=True):
        assert answer.body == (house.library / one["object_key"]).read_bytes()


async def test_a_library_in_memory_streams_as_well(tmp_path: Path) -> None:
    async with running(tmp_path, PHOTO_STORAGE_BACKEND="memory") as house:
        content = encoded(noise(1), "JPEG")

        async def chunks() -> Any:
            yield content

        await house.memory.store("a.jpg", chunks())
        await house.scan()
        found = await house.photo("a.jpg")
        address = found["links"]["image"]
        assert (await house.ana.get(address)).body == content
        house.memory.away = True
        assert (await house.ana.get(address)).status == 503
        house.memory.away = False
        assert (await house.ana.get(address)).status == 200
