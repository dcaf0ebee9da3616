import io
import random
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline.media import metadata, video
from tagline.media.formats import MOV
from tests.media.samples import apple_meta, box, mov, mvhd, video_track

CREATED = int((datetime(2024, 7, 1, 14, 2, 11, tzinfo=UTC) - datetime(1904, 1, 1, tzinfo=UTC)).total_seconds())
TAKEN = int(datetime(2024, 7, 1, 14, 2, 11, tzinfo=UTC).timestamp()) * 1_000_000
APPLE = "com.apple.quicktime."
WORDS = {
    APPLE + "creationdate": "2024-07-01T16:02:11+0200",
    APPLE + "location.ISO6709": "+46.1250-009.2000+203.1/",
    APPLE + "make": "Apple",
    APPLE + "model": "iPhone 8",
    APPLE + "description": "Ana at the lake",
}


@pytest.mark.parametrize(
    ("matrix", "size"),
    [((1, 0, 0, 1), (1920, 1080)), ((0, 1, -1, 0), (1080, 1920)), ((-1, 0, 0, -1), (1920, 1080)),
     ((0, -1, 1, 0), (1080, 1920))],
)  # fmt: skip
def test_size_is_as_displayed(matrix: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    sound = box(b"trak", box(b"tkhd", bytes(84)), box(b"mdia", box(b"hdlr", bytes(8), b"soun", bytes(13))))
    film = video.read(io.BytesIO(mov(mvhd(CREATED), sound, video_track(1920, 1080, matrix))))
    assert (film.width, film.height) == size
    assert film.duration == 2.5
    assert film.taken is not None
    assert film.taken.at == TAKEN


def test_phones_tell_time_place_and_words() -> None:
    content = mov(mvhd(), video_track(64, 48), apple_meta(WORDS))
    found = metadata.read(io.BytesIO(content), MOV, "IMG_1.mov", 10**18)
    assert (found.taken_at, found.taken_offset, found.taken_at_source) == (TAKEN, 120, "container")
    assert (found.lat, found.lon) == (46.125, -9.2)
    assert (found.camera, found.caption) == ("Apple iPhone 8", "Ana at the lake")


def test_old_quicktime_and_android_user_data_is_read() -> None:
    place = b"+46.1250+009.2000/"
    user_data = box(b"udta", box(b"\xa9xyz", struct.pack(">HH", len(place), 0x15C7), place))
    film = video.read(io.BytesIO(mov(mvhd(), video_track(64, 48), user_data)))
    assert (film.lat, film.lon) == (46.125, 9.2)


def test_wide_headers_and_boxes_of_64_bits_are_read() -> None:
    body = struct.pack(">IQQIQ", 1 << 24, CREATED, CREATED, 600, 6000) + bytes(80)
    head = struct.pack(">I", 1) + b"mvhd" + struct.pack(">Q", len(body) + 16) + body
    film = video.read(io.BytesIO(mov(head)))
    assert film.duration == 10
    assert film.taken is not None
    assert film.taken.at == TAKEN


@pytest.mark.parametrize("created", [0, 1, 2_082_844_800, 0xFFFFFFFF + 0])
def test_a_clock_that_was_not_set_tells_no_time(created: int) -> None:
    taken = video.read(io.BytesIO(mov(mvhd(created)))).taken
    assert taken is None or created == 0xFFFFFFFF


def test_a_film_without_moov_has_nothing_to_tell() -> None:
    assert video.read(io.BytesIO(box(b"ftyp", b"qt  ") + box(b"mdat", bytes(99)))).width is None


def test_hostile_lengths_end_the_reading() -> None:
    endless = struct.pack(">I", 8) + b"free"
    content = box(b"ftyp", b"qt  ", bytes(4)) + endless * 20_000 + box(b"moov", mvhd())
    assert video.read(io.BytesIO(content)).duration is None
    assert video.read(io.BytesIO(b"\0\0\0\x01moov" + b"\xff" * 8)).width is None


SEED = mov(mvhd(CREATED), video_track(1920, 1080), apple_meta(WORDS))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_damaged_films_never_raise(seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(SEED)
    for _ in range(chance.randint(1, 10)):
        content[chance.randrange(len(content))] = chance.choice((0, 1, 255, chance.randrange(256)))
    found = metadata.read(io.BytesIO(bytes(content[: chance.randrange(len(content) + 1)])), MOV)
    for text in (found.caption or "", found.camera or "", *found.keywords):
        text.encode("utf-8")


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(content: bytes) -> None:
    for start in (b"", b"\0\0\1\0moov", b"\0\0\1\0moov\0\0\0\xf0meta"):
        video.read(io.BytesIO(start + content))
