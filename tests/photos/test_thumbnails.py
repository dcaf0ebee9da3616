"""`GET /photos/{id}/thumbnail`: sizes, formats, caching, and pixels that nobody wants to decode."""

import asyncio
import io
import os
import shutil
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tagline.photos.looking import LOOKING, Looking
from tagline.photos.thumbs import THUMBS, Thumbs
from tagline.storage.provider import STORAGE
from tagline.workers import Workers
from tests.house import House, running, until
from tests.media import samples
from tests.photos.files import encoded, film, large, noise, open_files, photo, poke, write

CORPUS = Path("/work/shared/photos")
SIZES = (256, 512, 1024, 2048)


def picture(body: bytes) -> Image.Image:
    """The picture of an answer."""
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def cached(cache: Path) -> list[Path]:
    """The files of a cache."""
    return sorted(path for path in cache.rglob("*") if path.is_file())


async def shown(house: House, name: str, content: bytes) -> Any:
    """A photo with this content, scanned."""
    write(house.library / name, content)
    await house.scan()
    return await house.photo(name)


@pytest.mark.parametrize("size", SIZES)
async def test_its_longest_edge_is_the_size_that_was_asked_for(house: House, size: int) -> None:
    photo(house.library / "a.jpg", 1, (2400, 1200))
    await house.scan()
    found = await house.photo("a.jpg")
    answer = await house.ana.get(f"{found['links']['thumbnail']}?size={size}")
    assert answer.status == 200
    assert picture(answer.body).size == (size, size // 2)
    assert picture(answer.body).format == "WEBP"


async def test_without_a_size_it_is_the_grids(house: House) -> None:
    photo(house.library / "a.jpg", 1, (800, 400))
    await house.scan()
    found = await house.photo("a.jpg")
    assert picture((await house.ana.get(found["links"]["thumbnail"])).body).size == (256, 128)


@pytest.mark.parametrize("size", SIZES)
async def test_a_small_photo_is_never_enlarged(house: House, size: int) -> None:
    photo(house.library / "a.jpg", 1, (40, 30))
    await house.scan()
    found = await house.photo("a.jpg")
    answer = await house.ana.get(f"{found['links']['thumbnail']}?size={size}")
    assert picture(answer.body).size == (40, 30)


@pytest.mark.parametrize("query", ["size=0", "size=100", "size=-256", "size=abc", "size=4096", "size=256.5"])
async def test_other_sizes_are_refused(house: House, query: str) -> None:
    photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    answer = await house.ana.get(f"{found['links']['thumbnail']}?{query}")
    assert (answer.status, answer.json["code"]) == (422, "validation_error")


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_however_the_camera_was_held_it_is_upright(house: House, orientation: int) -> None:
    content = encoded(samples.stored(orientation), "JPEG", quality=95, exif=samples.exif({0x0112: orientation}))
    found = await shown(house, "a.jpg", content)
    assert (found["metadata"]["width"], found["metadata"]["height"]) == (96, 64)
    for query in ("size=256", "size=1024"):
        answer = await house.ana.get(f"{found['links']['thumbnail']}?{query}")
        image = picture(answer.body)
        assert image.size == (96, 64)
        assert samples.looks_upright(image)
        assert not image.getexif()


async def test_nothing_of_the_originals_metadata_is_in_it(house: House) -> None:
    gps = {1: "N", 2: (46.0, 6.0, 0.0), 3: "E", 4: (9.0, 12.0, 0.0)}
    content = encoded(noise(1), "JPEG", exif=samples.exif({0x010E: "Ana at the lake"}, gps=gps))
    found = await shown(house, "a.jpg", samples.with_xmp(content, samples.xmp("<dc:title>secret</dc:title>")))
    assert found["metadata"]["location"]
    for accept in ("image/webp", "image/jpeg"):
        body = (await house.ana.get(found["links"]["thumbnail"], headers={"Accept": accept})).body
        assert not picture(body).getexif()
        assert b"lake" not in body
        assert b"secret" not in body


@pytest.mark.parametrize(
    ("accept", "mime_type"),
    [
        ("image/avif,image/webp,image/*,*/*;q=0.8", "image/webp"),
        ("*/*", "image/webp"),
        ("image/*", "image/webp"),
        ("image/jpeg", "image/jpeg"),
        ("image/png,image/jpeg;q=0.5", "image/jpeg"),
        ("image/webp;q=0,image/jpeg", "image/jpeg"),
        ("image/webp ; q=0.000, image/*", "image/jpeg"),
        ("image/webp;q=0.001,image/*;q=0", "image/webp"),
        ("image/*;q=0,*/*", "image/jpeg"),
        ("*/*;q=0.5;x=1,image/*", "image/webp"),
        ("image/webp;level=1;Q=0.0", "image/jpeg"),
        ("image/webp;q=much", "image/webp"),
        ("IMAGE/WEBP", "image/webp"),
        ("nonsense", "image/jpeg"),
    ],
)
async def test_it_is_webp_where_that_is_accepted(house: House, accept: str, mime_type: str) -> None:
    photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    answer = await house.ana.get(found["links"]["thumbnail"], headers={"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, mime_type)
    assert answer.headers["Vary"] == "Accept"
    assert Image.MIME[picture(answer.body).format or ""] == mime_type


async def test_it_is_cached_by_its_content(house: House) -> None:
    photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    address = found["links"]["thumbnail"]
    first = await house.ana.get(address)
    etag = first.headers["ETag"]
    assert found["sha256"] in etag
    assert "immutable" in first.headers["Cache-Control"]
    assert "private" in first.headers["Cache-Control"]
    again = await house.ana.get(address, headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    for name in ("ETag", "Vary", "Cache-Control"):
        assert again.headers[name] == first.headers[name]
    for known, status in (("*", 304), (f'"other", W/{etag}', 304), ('"other"', 200), (f'"{etag[1:-2]}"', 200)):
        assert (await house.ana.get(address, headers={"If-None-Match": known})).status == status, known
    others = {
        (await house.ana.get(f"{address}?size=512")).headers["ETag"],
        (await house.ana.get(address, headers={"Accept": "image/jpeg"})).headers["ETag"],
    }
    assert len(others | {etag}) == 3


async def test_with_its_hash_in_the_address_it_may_be_kept_for_ever(house: House) -> None:
    photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    address = found["links"]["thumbnail"]
    for query, age in ((f"v={found['sha256'][:12]}", 31536000), ("v=000000000000", 3600), ("", 3600)):
        answer = await house.ana.get(f"{address}?{query}")
        assert answer.status == 200
        assert f"max-age={age}" in answer.headers["Cache-Control"]


async def test_a_photo_that_is_not_there_has_none(house: House) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    assert (await house.ana.get(f"/photos/{unknown}/thumbnail")).status == 404
    assert (await house.ana.get("/photos/no-id/thumbnail")).status == 422
    photo(house.library / "a.jpg", 1)
    await house.scan()
    found = await house.photo("a.jpg")
    assert (await house.eve.get(found["links"]["thumbnail"])).status == 401
    assert (await house.ana.post(found["links"]["thumbnail"])).status == 405


async def test_one_that_is_asked_for_before_the_background_came_is_made_at_once(house: House) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (400, 300))
    await house.ana.post("/rescan")
    oldest = await house.photo("120000.jpg")
    assert oldest["sha256"] is None
    answers = await asyncio.gather(*(house.ana.get(oldest["links"]["thumbnail"]) for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert picture(answers[0].body).size == (256, 192)
    assert (await house.photo("120000.jpg"))["sha256"] in answers[0].headers["ETag"]
    # Others waited meanwhile.
    assert any(found["sha256"] is None for found in await house.photos("limit=100"))
    await house.settled()


class Counting(Looking):
    """Notes how often it was asked for thumbnails, and for which."""

    asked: list[list[int]]

    async def thumbnails(self, key: str, places: dict[int, str], image_format: str) -> dict[str, Any]:
        self.asked.append(sorted(places))
        return await super().thumbnails(key, places, image_format)


@pytest.fixture
async def counting(house: House) -> AsyncIterator[Counting]:
    """Workers of its own, whose work is counted."""
    workers = Workers(2)
    looking = Counting(house.app[STORAGE], workers, 2)
    looking.asked = []
    yield looking
    await workers.close()


async def test_one_decode_serves_all_who_ask_at_once_in_whatever_size(
    house: House, counting: Counting, tmp_path: Path
) -> None:
    photo(house.library / "a.jpg", 1, (2400, 1600))
    await house.scan()
    found = await house.photo("a.jpg")
    row = await house.db.row("photos.file", id=found["id"])
    assert row is not None
    thumbs = Thumbs(tmp_path / "cache", counting, 1 << 30, 0)
    await asyncio.gather(*(thumbs.make(row, found["sha256"], size, "webp") for size in (2048, 256, 512, 1024) * 10))
    assert counting.asked == [[256, 512, 1024, 2048]]
    assert {path.parts[-3] for path in cached(tmp_path / "cache")} == {str(size) for size in SIZES}
    await thumbs.make(row, found["sha256"], 1024, "webp")
    assert len(counting.asked) == 1
    await thumbs.close()


async def test_whoever_goes_away_takes_nothing_from_those_who_wait(
    house: House, counting: Counting, tmp_path: Path
) -> None:
    photo(house.library / "a.jpg", 1, (2400, 1600))
    await house.scan()
    found = await house.photo("a.jpg")
    row = await house.db.row("photos.file", id=found["id"])
    assert row is not None
    thumbs = Thumbs(tmp_path / "cache", counting, 1 << 30, 0)
    tasks = [asyncio.create_task(thumbs.make(row, found["sha256"], 2048, "webp")) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2:] == [None] * 3
    assert len(counting.asked) == 1
    await thumbs.close()


async def test_the_cache_stays_within_its_bound_and_keeps_the_grid_longest(house: House, tmp_path: Path) -> None:
    for number in range(12):
        photo(house.library / f"{number}.jpg", number, (700, 500))
    await house.scan()
    cache = tmp_path / "cache"
    bound = 600_000
    thumbs = Thumbs(cache, house.app[LOOKING], bound, 0)
    for found in await house.photos():
        row = await house.db.row("photos.file", id=found["id"])
        assert row is not None
        await thumbs.make(row, found["sha256"], 1024, "webp")
        await thumbs.close()
    files = [path for path in cache.rglob("*") if path.is_file()]
    by_size = {size: len(list((cache / str(size)).rglob("*.webp"))) for size in (256, 1024)}
    assert 0 < sum(path.stat().st_size for path in files) <= bound
    assert by_size[256] > by_size[1024]


async def test_a_bound_that_was_lowered_is_kept_after_a_restart(house: House, tmp_path: Path) -> None:
    for number in range(2):
        photo(house.library / f"{number}.jpg", number, (700, 500))
    await house.scan()
    cache = tmp_path / "cache"
    write(cache / "1024/00/old.webp", bytes(500_000))
    write(cache / "256/00/old.webp", bytes(100_000))
    thumbs = Thumbs(cache, house.app[LOOKING], 300_000, 0)
    [found, *_] = await house.photos()
    row = await house.db.row("photos.file", id=found["id"])
    assert row is not None
    await thumbs.make(row, found["sha256"], 256, "webp")
    await thumbs.close()
    assert not (cache / "1024/00/old.webp").exists()
    assert (cache / "256/00/old.webp").exists()


async def test_what_is_deleted_to_make_room_is_not_kept_open(house: House, tmp_path: Path) -> None:
    photo(house.library / "a.jpg", 1)
    await house.scan()
    cache = tmp_path / "cache"
    thumbs = Thumbs(cache, house.app[LOOKING], 60_000, 0)
    small, large = (write(cache / f"1024/00/{size}.webp", bytes(size)) for size in (50_000, 70_000))
    assert await thumbs.read(str(small)) == bytes(50_000)
    assert await thumbs.read(str(large)) == bytes(70_000)
    assert {path for path in open_files() if path.startswith(str(cache))} == {str(small)}, "large ones are closed"
    found = await house.photo("a.jpg")
    row = await house.db.row("photos.file", id=found["id"])
    assert row is not None
    await thumbs.make(row, found["sha256"], 256, "webp")

    async def made_room() -> bool:
        return not small.exists() and not [path for path in open_files() if path.startswith(str(cache))]

    await until(made_room)
    await thumbs.close()


async def test_what_was_half_made_when_the_service_was_killed_is_deleted(tmp_path: Path) -> None:
    cache = tmp_path / "cache/thumbnails"
    for name in ("new/a.webp", "new/earlier/a.webp", "new/earlier/.b.webp.123.part", "256/00/.b.webp.123.part"):
        write(cache / name, b"half")
    whole = write(cache / "256/00/whole.webp", b"whole")
    async with running(tmp_path) as house:

        async def clear() -> bool:
            return cached(cache) == [whole]

        await until(clear)
        photo(house.library / "a.jpg", 1)
        await house.scan()
        assert (await house.ana.get((await house.photo("a.jpg"))["links"]["thumbnail"])).status == 200


async def test_a_link_out_of_the_library_is_not_followed(house: House, tmp_path: Path) -> None:
    path = photo(house.library / "2024/a.jpg", 1)
    secret = photo(tmp_path / "photos2/secret.jpg", 2)
    await house.scan()
    found = await house.photo("a.jpg")
    before = cached(house.config.data_dir / "cache")
    path.unlink()
    path.symlink_to(secret)
    for size in (512, 2048):
        answer = await house.ana.get(f"{found['links']['thumbnail']}?size={size}")
        assert (answer.status, answer.json["code"]) == (410, "file_missing")
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(secret.parent)
    shutil.copyfile(secret, secret.parent / "a.jpg")
    assert (await house.ana.get(f"{found['links']['thumbnail']}?size=2048")).status == 410
    assert cached(house.config.data_dir / "cache") == before
    shutil.rmtree(secret.parent)


async def test_one_that_was_never_read_is_not_looked_for_outside_either(house: House, tmp_path: Path) -> None:
    for number in range(40):
        photo(house.library / f"IMG_20240101_1200{number:02}.jpg", number, (400, 300))
    await house.ana.post("/rescan")
    oldest = await house.photo("120000.jpg")
    path = house.library / oldest["object_key"]
    secret = tmp_path / "secret.jpg"
    shutil.copyfile(path, secret)
    path.unlink()
    path.symlink_to(secret)
    assert (await house.ana.get(oldest["links"]["thumbnail"])).status in (410, 503)
    await house.settled()
    assert (await house.photo("120000.jpg"))["sha256"] is None


@pytest.mark.parametrize("same_length", [True, False])
async def test_a_file_that_was_edited_since_the_scan_is_never_cached_under_the_old_hash(
    house: House, same_length: bool
) -> None:
    path = large(house.library / "a.bmp", 1)
    await house.scan()
    found = await house.photo("a.bmp")
    before = cached(house.config.data_dir / "cache")
    if same_length:
        poke(path, 100_000)
    else:
        photo(path, 2, (300, 200))
    answer = await house.ana.get(f"{found['links']['thumbnail']}?size=2048")
    assert (answer.status, answer.json["code"]) == (503, "file_changing")
    assert answer.headers["Retry-After"] == "2"
    assert cached(house.config.data_dir / "cache") == before
    await house.scan()
    again = await house.ana.get(f"{found['links']['thumbnail']}?size=2048")
    assert again.status == 200
    assert found["sha256"] not in again.headers["ETag"]


async def test_where_the_library_is_no_local_disk_they_are_made_of_a_copy(tmp_path: Path) -> None:
    async with running(tmp_path, PHOTO_STORAGE_BACKEND="memory") as house:
        await store(house, encoded(noise(1, (800, 600)), "JPEG"))
        await house.scan()
        [found] = await house.photos()
        answer = await house.ana.get(f"{found['links']['thumbnail']}?size=512")
        assert picture(answer.body).size == (512, 384)
        await store(house, encoded(noise(2, (640, 600)), "JPEG"))
        answer = await house.ana.get(f"{found['links']['thumbnail']}?size=1024")
        assert (answer.status, answer.json["code"]) == (503, "file_changing")


async def store(house: House, content: bytes) -> None:
    """Put a.jpg into a library in memory."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await house.memory.store("a.jpg", chunks(), overwrite=True)


async def test_a_cache_that_was_deleted_is_made_again(house: House) -> None:
    photo(house.library / "a.jpg", 1, (800, 600))
    await house.scan()
    found = await house.photo("a.jpg")
    address = f"{found['links']['thumbnail']}?size=512"
    first = await house.ana.get(address)
    shutil.rmtree(house.config.data_dir / "cache")
    again = await house.ana.get(address)
    assert (again.status, again.body) == (200, first.body)


async def test_an_empty_file_in_the_cache_is_made_again(house: House) -> None:
    photo(house.library / "a.jpg", 1, (800, 600))
    await house.scan()
    found = await house.photo("a.jpg")
    place = house.app[THUMBS].place(found["sha256"], 256)
    os.truncate(place, 0)
    assert picture((await house.ana.get(found["links"]["thumbnail"])).body).size == (256, 192)


async def test_where_the_disk_must_keep_a_reserve_none_are_made_and_those_there_are_served(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        photo(house.library / "a.jpg", 1, (800, 600))
        await house.scan()
        found = await house.photo("a.jpg")
    async with running(tmp_path, TAGLINE_RESERVE_MB="10000000") as house:
        assert (await house.ana.get(found["links"]["thumbnail"])).status == 200
        answer = await house.ana.get(f"{found['links']['thumbnail']}?size=1024")
        assert (answer.status, answer.json["code"]) == (507, "disk_full")
        assert (await house.ana.get(found["links"]["image"])).status == 200


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG that says it is so large, whatever its rows are."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def tiff(width: int, height: int) -> bytes:
    """A TIFF that says it is so large, and is tiny."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: width * height % 2**32}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


HOSTILE = {
    "a bomb": (png(30_000, 30_000, bytes(30_000_000)), "too_many_pixels"),
    "as large as numbers go": (png(2**31 - 1, 2**31 - 1, b""), "too_many_pixels"),
    "a huge TIFF": (tiff(60_000, 60_000), "too_many_pixels"),
    "truncated": (encoded(noise(1, (64, 64)), "WEBP", lossless=True)[:80], "broken_image"),
    "rows of nonsense": (png(100, 100, b"\xff" * 50), "broken_image"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_pixels_are_refused_calmly(house: House, name: str) -> None:
    content, code = HOSTILE[name]
    photo(house.library / "good.jpg", 1)
    write(house.library / "hostile", content)
    clock = asyncio.get_running_loop().time
    began = clock()
    result = await house.scan()
    if result["errors"]:
        assert [(error["path"], error["code"]) for error in result["errors"]] == [("hostile", code)]
    else:
        found = await house.photo("hostile")
        answer = await house.ana.get(f"{found['links']['thumbnail']}?size=2048")
        if answer.status != 200:
            assert (answer.status, answer.json["code"]) == (415, code)
            assert answer.json["detail"].endswith(".")
            assert len(answer.json["detail"]) < 120
            assert (await house.ana.get(found["links"]["image"])).status == 200
    assert clock() - began < 20
    assert (await house.ana.get((await house.photo("good.jpg"))["links"]["thumbnail"])).status == 200


@pytest.mark.slow
async def test_a_decoder_that_takes_too_long_ends_with_its_worker(tmp_path: Path) -> None:
    # 169 megapixels in a file of 164 KB take about as long as the limit allows, or longer.
    async with running(tmp_path, TAGLINE_WORKER_TIMEOUT="1", TAGLINE_WORKERS="1") as house:
        photo(house.library / "good.jpg", 1)
        write(house.library / "slow.png", png(13_000, 13_000, bytes(13_000 * 13_001)))
        await house.scan()
        found = await house.photo("slow.png")
        assert found["sha256"]
        assert found["problem"] in (None, "worker_timeout", "out_of_memory")
        answer = await house.ana.get(f"{found['links']['thumbnail']}?size=2048")
        if answer.status != 200:
            assert (answer.status, answer.json["code"]) in [(415, "worker_timeout"), (415, "out_of_memory")]
        assert (await house.ana.get((await house.photo("good.jpg"))["links"]["thumbnail"])).status == 200


if shutil.which("ffmpeg"):

    async def test_a_film_shows_a_frame_of_itself(house: House) -> None:
        film(house.library / "film.mp4", "640x360")
        await house.scan()
        found = await house.photo("film.mp4")
        assert found["placeholder"]
        for size, wanted in ((256, (256, 144)), (512, (512, 288)), (1024, (640, 360))):
            answer = await house.ana.get(f"{found['links']['thumbnail']}?size={size}")
            assert picture(answer.body).size == wanted


if CORPUS.is_dir():

    @pytest.mark.slow
    async def test_the_real_photos_of_all_orientations_are_upright(house: House) -> None:
        shutil.copytree(CORPUS / "orientation", house.library / "orientation")
        await house.scan()
        found = await house.photos("limit=100")
        assert len(found) == 16
        thumbnails: dict[str, list[Image.Image]] = {}
        for one in found:
            shape = Path(one["object_key"]).name.split("_")[0]
            body = (await house.ana.get(f"{one['links']['thumbnail']}?size=256")).body
            thumbnails.setdefault(shape, []).append(picture(body).convert("L").resize((32, 32)))
        for shape, images in thumbnails.items():
            first, *others = images
            for other in others:
                difference = sum(abs(a - b) for a, b in zip(first.tobytes(), other.tobytes(), strict=True)) / 1024
                assert difference < 6, shape
