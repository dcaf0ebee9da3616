"""When a photo was taken: the many ways in which files write a time, made one moment."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

_EXIF = re.compile(r"\s*(\d{4})[:/.\-](\d{1,2})[:/.\-](\d{1,2})[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?:\.(\d{1,9}))?")
_ISO = re.compile(
    r"\s*(\d{4})-(\d{2})(?:-(\d{2})"
    r"(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|[+\-]\d{2}:?\d{2})?)?)?"
)
_OFFSET = re.compile(r"\s*(Z|([+\-])(\d{1,2}):?(\d{2})?)")
# 20240701_160211123, 2024-07-01 16.02.11, 20240701-160211; the digits around it must not go on.
_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-._ ]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:(?:[-_ .T]|[ _]at[ _])*([01]\d|2[0-3])([-._ h:]?)([0-5]\d)\6([0-5]\d)(?:[-._]?(\d{3}))?)?(?!\d)"
)


class Moment(NamedTuple):
    """A time of capture: microseconds since 1970 UTC, and how many minutes east of UTC the clock was."""

    at: int
    offset: int


def naive(text: str, subseconds: str = "") -> datetime | None:
    """EXIF's "2024:07:01 16:02:11" with its SubSecTime digits; None for blank or nonsense."""
    match = _EXIF.match(text)
    if match is None:
        return None
    return _datetime(match.groups()[:6], match[7] or _digits(subseconds))


def offset_minutes(text: str) -> int | None:
    """ "+02:00", "-0330" or "Z" as minutes east of UTC; None for blank or nonsense."""
    match = _OFFSET.match(text)
    if match is None:
        return None
    if match[1] == "Z":
        return 0
    minutes = int(match[3]) * 60 + int(match[4] or 0)
    if minutes > 15 * 60:
        return None
    return -minutes if match[2] == "-" else minutes


def at_offset(local: datetime, minutes: int) -> Moment:
    """The moment at which a clock `minutes` east of UTC showed `local`."""
    return _moment(local - timedelta(minutes=minutes), minutes)


def at_home(local: datetime) -> Moment | None:
    """The moment at which a clock of this machine's time zone showed `local`; the zone's offset is kept."""
    try:
        aware = local.astimezone()
    except (OverflowError, ValueError, OSError):
        return None
    shift = aware.utcoffset() or timedelta()
    return _moment(local - shift, round(shift / timedelta(minutes=1)))


def beside_utc(local: datetime, utc: datetime) -> int | None:
    """The offset of a clock that showed `local` when it was `utc` (GPS), to the quarter of an hour.

    None when they lie more than 15 hours apart: then one of them is wrong.
    """
    minutes = round((local - utc) / timedelta(minutes=15)) * 15
    return minutes if abs(minutes) <= 15 * 60 else None


def by_iso(text: str) -> Moment | None:
    """XMP's date (ISO 8601, any precision from the day on, XMP specification part 1 §8.2.1.1)."""
    match = _ISO.match(text)
    if match is None:
        moment = naive(text)
        return at_home(moment) if moment else None
    if match[3] is None:
        return None
    if match[4] is None:
        local = _datetime((*match.groups()[:3], "12", "0", "0"), "")
    else:
        local = _datetime(match.groups()[:6], match[7] or "")
    if local is None:
        return None
    minutes = offset_minutes(match[8] or "")
    return at_home(local) if minutes is None else at_offset(local, minutes)


def by_name(name: str) -> Moment | None:
    """The date in a file's name; a date without a time counts as noon, in this machine's time zone.

    Pixel phones write UTC into their names (PXL_20240701_140211123.jpg).
    """
    for match in _NAME.finditer(name):
        year, _, month, day, hour, _, minute, second, milliseconds = match.groups()
        if hour is None:
            hour, minute, second = "12", "0", "0"
        elif name.startswith("PXL_"):
            utc = _datetime((year, month, day, hour, minute, second), milliseconds or "")
            if utc is not None:
                return by_utc(utc)
        local = _datetime((year, month, day, hour, minute, second), milliseconds or "")
        if local is not None:
            return at_home(local)
    return None


def by_mtime(mtime_ns: int) -> Moment | None:
    """The file's own time."""
    try:
        return by_utc(datetime(1970, 1, 1) + timedelta(microseconds=mtime_ns // 1000))
    except OverflowError:
        return None


def by_utc(utc: datetime) -> Moment | None:
    """A moment of which only UTC (`utc`, naive) is known: it is shown as the clocks at home showed it."""
    try:
        shift = utc.replace(tzinfo=UTC).astimezone().utcoffset() or timedelta()
    except (OverflowError, ValueError, OSError):
        return None
    return _moment(utc, round(shift / timedelta(minutes=1)))


def _moment(naive_utc: datetime, minutes: int) -> Moment:
    return Moment((naive_utc.replace(tzinfo=UTC) - EPOCH) // MICROSECOND, minutes)


def _datetime(parts: tuple[str | None, ...], fraction: str) -> datetime | None:
    """Year to second and the digits behind the point; None for nonsense, before 1826 and after 2100."""
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    if not 1826 <= year <= 2100:
        return None
    try:
        # Second 60 is a leap second, or a camera that rounds; both mean the next minute.
        moment = datetime(year, month, day, hour, minute, min(second, 59), int((fraction + "000000")[:6]))
    except ValueError:
        return None
    if second > 60:
        return None
    return moment + timedelta(seconds=1) if second == 60 else moment


def _digits(text: str) -> str:
    text = text.strip()
    return text if text.isascii() and text.isdigit() else ""
