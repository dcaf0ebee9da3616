import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags

from tagline.media import captured, metadata
from tagline.media.formats import JPEG
from tagline.media.metadata import Metadata
from tests.media.samples import corners, exif, saved, with_xmp, xmp

Base, GPS = ExifTags.Base, ExifTags.GPS
TAKEN = "2024:07:01 16:02:11"


@pytest.fixture(autouse=True)
def _house_in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(content: bytes, name: str = "") -> Metadata:
    return metadata.read(io.BytesIO(content), JPEG, name, 10**18)


def taken(
    main: dict[int, Any] | None = None,
    details: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> Metadata:
    return read(saved(corners(), "JPEG", exif=exif(main, details, gps)))


def micros(*parts: int, offset: int = 0) -> int:
    """Microseconds since 1970 of a clock `offset` minutes east of UTC."""
    zone = timezone(timedelta(minutes=offset))
    return (datetime(*parts, tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)  # type: ignore[arg-type,misc]


def test_exif_with_offset_and_subseconds_is_exact() -> None:
    found = taken(
        details={
            Base.DateTimeOriginal: TAKEN,
            Base.SubsecTimeOriginal: "123",
            Base.OffsetTimeOriginal: "-03:30",
        }
    )
    assert found.taken_at == micros(2024, 7, 1, 16, 2, 11, 123000, offset=-210)
    assert (found.taken_offset, found.taken_at_source) == (-210, "exif")


def test_without_an_offset_the_satellites_tell_it() -> None:
    gps: dict[int, Any] = {GPS.GPSDateStamp: "2024:07:01", GPS.GPSTimeStamp: (7.0, 1.0, 58.0)}
    found = taken(details={Base.DateTimeOriginal: TAKEN}, gps=gps)
    assert (found.taken_at, found.taken_offset) == (micros(2024, 7, 1, 16, 2, 11, offset=540), 540)


def test_satellites_that_are_days_off_are_not_believed() -> None:
    gps: dict[int, Any] = {GPS.GPSDateStamp: "2024:06:28", GPS.GPSTimeStamp: (7.0, 1.0, 58.0)}
    assert taken(details={Base.DateTimeOriginal: TAKEN}, gps=gps).taken_offset == 120


@pytest.mark.parametrize(("date", "offset"), [("2024:07:01 16:02:11", 120), ("2024:01:01 16:02:11", 60)])
def test_otherwise_the_zone_of_the_house_on_that_day_counts(date: str, offset: int) -> None:
    found = taken(details={Base.DateTimeOriginal: date})
    assert found.taken_offset == offset
    assert found.taken_at == micros(2024, int(date[5:7]), 1, 16, 2, 11, offset=offset)


def test_digitised_and_written_stand_in_for_taken() -> None:
    written = {int(Base.DateTime): "2020:01:01 00:00:00"}
    assert taken(written, {Base.DateTimeDigitized: TAKEN}).taken_at == micros(2024, 7, 1, 14, 2, 11)
    assert taken(written, {Base.DateTimeOriginal: "0000:00:00 00:00:00"}).taken_at == micros(2019, 12, 31, 23)


@pytest.mark.parametrize(
    "nonsense",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "2024:13:01 00:00:00", "1800:01:01 00:00:00",
     "2024:02:30 10:00:00", "9999:01:01 00:00:00", "2024:07:01 25:00:00", "yesterday"],
)  # fmt: skip
def test_nonsense_counts_as_absent(nonsense: str) -> None:
    assert taken(details={Base.DateTimeOriginal: nonsense}).taken_at_source == "mtime"


def test_times_before_1970_are_negative() -> None:
    found = taken(details={Base.DateTimeOriginal: "1934:05:06 12:00:00", Base.OffsetTimeOriginal: "+00:00"})
    assert found.taken_at == micros(1934, 5, 6, 12)
    assert found.taken_at < 0


@pytest.mark.parametrize(
    ("attributes", "moment", "offset"),
    [
        ('exif:DateTimeOriginal="2024-07-01T16:02:11.5+02:00"', micros(2024, 7, 1, 14, 2, 11, 500000), 120),
        ('photoshop:DateCreated="2024-07-01"', micros(2024, 7, 1, 10), 120),
        ('xmp:CreateDate="2024-01-01T10:00Z" exif:DateTimeOriginal="2024"', micros(2024, 1, 1, 10), 0),
        ('xmp:CreateDate="2024-01-01T10:00:00"', micros(2024, 1, 1, 9), 60),
    ],
)
def test_xmp_tells_the_time_where_exif_does_not(attributes: str, moment: int, offset: int) -> None:
    found = read(with_xmp(saved(corners(), "JPEG"), xmp("", attributes)), "IMG_20200101_000000.jpg")
    assert (found.taken_at, found.taken_offset, found.taken_at_source) == (moment, offset, "xmp")


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("IMG_20240701_160211.jpg", micros(2024, 7, 1, 14, 2, 11)),
        ("2024-07-01 16.02.11.jpg", micros(2024, 7, 1, 14, 2, 11)),
        ("PXL_20240701_140211123.jpg", micros(2024, 7, 1, 14, 2, 11, 123000)),
        ("Screenshot_20240701-160211.png", micros(2024, 7, 1, 14, 2, 11)),
        ("Screenshot 2024-07-01 at 16.02.11.png", micros(2024, 7, 1, 14, 2, 11)),
        ("IMG-20240701-WA0001.jpg", micros(2024, 7, 1, 10)),
        ("20240701_160211.jpg", micros(2024, 7, 1, 14, 2, 11)),
        ("20240701_160211(1).jpg", micros(2024, 7, 1, 14, 2, 11)),
        ("IMG20240701160211.jpg", micros(2024, 7, 1, 14, 2, 11)),
        ("VID_20240101_100000.mp4", micros(2024, 1, 1, 9)),
        ("1934-05-06 Oma.jpg", micros(1934, 5, 6, 11)),
    ],
)
def test_names_of_phones_and_people_tell_the_time(name: str, moment: int) -> None:
    found = read(saved(corners(), "JPEG"), name)
    assert (found.taken_at, found.taken_at_source) == (moment, "name")


@pytest.mark.parametrize(
    "name",
    ["IMG_0042.jpg", "DSC01234.jpg", "20241301.jpg", "120240701.jpg", "20240230.jpg", "18990101.jpg",
     "21990101.jpg", ""],
)  # fmt: skip
def test_other_names_tell_nothing(name: str) -> None:
    assert read(saved(corners(), "JPEG"), name).taken_at_source == "mtime"


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_none(text: str) -> None:
    for told in (captured.by_name(text), captured.by_iso(text), captured.by_iso("2024-07-01" + text)):
        assert told is None or abs(told.offset) <= 15 * 60
    captured.naive(text)
    captured.offset_minutes(text)


@given(st.integers(-(2**70), 2**70))
def test_any_mtime_is_a_time_or_none(mtime_ns: int) -> None:
    told = captured.by_mtime(mtime_ns)
    assert told is None or told.at == mtime_ns // 1000
