"""EXIF (CIPA DC-008) as one tidy record: what is readable is taken, whatever else is broken."""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from PIL import Image

from tagline.media import captured
from tagline.media.text import decode, one_line

_EXIF_IFD: Final = 0x8769
_GPS_IFD: Final = 0x8825

_DESCRIPTION, _MAKE, _MODEL, _ORIENTATION, _DATE_TIME = 0x010E, 0x010F, 0x0110, 0x0112, 0x0132
_EXPOSURE_TIME, _F_NUMBER, _ISO, _ISO_SPEED, _LENS_MODEL = 0x829A, 0x829D, 0x8827, 0x8833, 0xA434
_RECOMMENDED_EXPOSURE = 0x8832
# (time, its fraction of a second, its offset), best first: taken, digitised, written.
_TIMES: Final = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012), (_DATE_TIME, 0x9290, 0x9010))
_LAT_REF, _LAT, _LON_REF, _LON, _GPS_TIME, _GPS_DATE = 1, 2, 3, 4, 7, 29

_TEXT_LENGTH: Final = 200
_COMPANY = re.compile(
    r"\b(?:corporation|corp|co|ltd|inc|company|optical|electronics?|electric|photo|techwin|imaging|digital"
    r"|camera|computer|ag|gmbh)\b\.?,?",
    re.IGNORECASE,
)

Tags = Mapping[int, Any]


class Exif(NamedTuple):
    """What was found; empty texts and None for what was not. `orientation` is 1 to 8."""

    orientation: int = 1
    taken: captured.Moment | None = None
    camera: str | None = None
    lens: str | None = None
    exposure: str | None = None
    f_number: float | None = None
    iso: int | None = None
    lat: float | None = None
    lon: float | None = None
    description: str = ""


NOTHING: Final = Exif()


def parse(block: bytes | None) -> Image.Exif | None:
    """An EXIF block (with or without its "Exif\\0\\0") as Pillow's tags, or None where it is none."""
    if not block:
        return None
    tags = Image.Exif()
    try:
        tags.load(block)
    except Exception:
        # Pillow raises anything between struct.error and TypeError for hostile blocks.
        return None
    return tags


def read(tags: Image.Exif | None) -> Exif:
    """The record in `tags`."""
    if tags is None:
        return NOTHING
    main = dict(_items(tags))
    details = _directory(tags, main, _EXIF_IFD)
    gps = _directory(tags, main, _GPS_IFD)
    both = {**details, **main}
    position = _position(gps)
    return Exif(
        orientation=_orientation(main),
        taken=_taken(both, gps),
        camera=camera_name(_text(main.get(_MAKE)), _text(main.get(_MODEL))),
        lens=_lens(_text(details.get(_LENS_MODEL))),
        exposure=_exposure(_number(both.get(_EXPOSURE_TIME))),
        f_number=_f_number(_number(both.get(_F_NUMBER))),
        iso=_iso(both),
        lat=position[0] if position else None,
        lon=position[1] if position else None,
        description=decode(main.get(_DESCRIPTION)),
    )


def orientation(tags: Image.Exif | None) -> int:
    """How the pixels must be turned to be upright, 1 (not at all) to 8; nonsense counts as 1."""
    return _orientation(dict(_items(tags, only=_ORIENTATION))) if tags is not None else 1


def camera_name(make: str, model: str) -> str | None:
    """Make and model as people say them: "Canon" and "Canon EOS 350D" are one Canon."""
    make, model = one_line(make, _TEXT_LENGTH), one_line(model, _TEXT_LENGTH)
    if not make or not model:
        return model or make or None
    brand = one_line(_COMPANY.sub(" ", make).strip(" ,."), _TEXT_LENGTH) or make
    if brand.split()[0].casefold() in model.casefold().replace("-", " ").split():
        return model
    # "NIKON CORPORATION" is a NIKON; "EASTMAN KODAK COMPANY" with "KODAK DX4900" says it already.
    if any(word.casefold() == model.casefold().split()[0] for word in brand.split()):
        return model
    return f"{brand} {model}"


def _items(tags: Image.Exif, only: int | None = None) -> list[tuple[int, Any]]:
    """Tags that can be read; each one that can't costs itself alone."""
    found = []
    try:
        keys = [only] if only is not None else list(tags)
    except Exception:
        # Broken in ways that only show when the directory is walked.
        return []
    for key in keys:
        try:
            found.append((key, tags.get(key)))
        except Exception:
            # One broken value; the next one may be good.
            continue
    return found


def _directory(tags: Image.Exif, main: Tags, pointer: int) -> dict[int, Any]:
    if not isinstance(main.get(pointer), int | dict):
        return {}
    try:
        return dict(tags.get_ifd(pointer))
    except Exception:
        # A pointer into nowhere: Pillow raises whatever comes up there.
        return {}


def _orientation(main: Tags) -> int:
    value = main.get(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _text(value: Any) -> str:
    return one_line(decode(value), _TEXT_LENGTH)


def _number(value: Any) -> float | None:
    """A finite number out of a tag of any type, or None."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _taken(both: Tags, gps: Tags) -> captured.Moment | None:
    for time_tag, fraction_tag, offset_tag in _TIMES:
        local = captured.naive(_text(both.get(time_tag)), _text(both.get(fraction_tag)))
        if local is None:
            continue
        minutes = captured.offset_minutes(_text(both.get(offset_tag)))
        if minutes is None:
            utc = _gps_time(gps)
            minutes = captured.beside_utc(local, utc) if utc else None
        return captured.at_home(local) if minutes is None else captured.at_offset(local, minutes)
    return None


def _gps_time(gps: Tags) -> datetime | None:
    """The satellites' time, UTC; None unless date and time are both there."""
    clock = gps.get(_GPS_TIME)
    if not isinstance(clock, tuple) or len(clock) != 3:
        return None
    hour, minute, second = (_number(part) for part in clock)
    day = captured.naive(f"{_text(gps.get(_GPS_DATE))} 00:00:00")
    if day is None or hour is None or minute is None or second is None:
        return None
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61):
        return None
    return day + timedelta(hours=hour, minutes=minute, seconds=second)


def _position(gps: Tags) -> tuple[float, float] | None:
    lat = _degrees(gps.get(_LAT), _text(gps.get(_LAT_REF)), "S")
    lon = _degrees(gps.get(_LON), _text(gps.get(_LON_REF)), "W")
    return sane_position(lat, lon)


def sane_position(lat: float | None, lon: float | None) -> tuple[float, float] | None:
    """A position on Earth to seven digits (a centimetre); None for the impossible, and for 0, 0."""
    if lat is None or lon is None or not (abs(lat) <= 90 and abs(lon) <= 180) or lat == lon == 0:
        return None
    return round(lat, 7), round(lon, 7)


def _degrees(value: Any, reference: str, negative: str) -> float | None:
    parts = value if isinstance(value, tuple) else (value,)
    numbers = [_number(part) for part in parts[:3]]
    if not numbers or numbers[0] is None:
        return None
    # Some writers leave out minutes or seconds, or write 0/0 there when they don't know them.
    if any(number is None for number in numbers):
        return None
    degrees: float = sum((number or 0.0) / 60**power for power, number in enumerate(numbers))
    return -degrees if reference.upper().startswith(negative) else degrees


def _lens(name: str) -> str | None:
    return None if not name.strip("-. 0") or name.casefold() in ("unknown", "none", "n/a") else name


def _exposure(seconds: float | None) -> str | None:
    """ "1/250" and "1/2", else seconds ("0.4", "2")."""
    if seconds is None or not 1e-6 < seconds < 1e6:
        return None
    if seconds < 0.3:
        return f"1/{round(1 / seconds)}"
    for parts in (2, 3):
        if math.isclose(1 / parts, seconds, rel_tol=0.02):
            return f"1/{parts}"
    return f"{seconds:.1f}".removesuffix(".0")


def _f_number(number: float | None) -> float | None:
    return round(number, 2) if number is not None and 0.1 < number < 1000 else None


def _iso(both: Tags) -> int | None:
    for tag in (_ISO, _RECOMMENDED_EXPOSURE, _ISO_SPEED):
        number = _number(both.get(tag))
        # 65535 says "more than fits here"; the true figure is in the next tag.
        if number is not None and 0 < number < 10_000_000 and number != 65535:
            return int(number)
    return None
