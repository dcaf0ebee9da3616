"""Filters: which photos a list, a total or a timeline is about."""

import re
from datetime import date
from typing import Annotated, Any

import msgspec

from tagline import times
from tagline.api import UUID_PATTERN
from tagline.db import Database
from tagline.errors import Invalid
from tagline.photos import words
from tagline.photos.lines import clean_keyword
from tagline.photos.photo import MAX_RANK, MIN_RANK, Kind, first_rank

DAY = 24 * 3600 * 1_000_000  # µs


DayOrMoment = Annotated[str, msgspec.Meta(extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]})]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which photos: all filters combine. Days are those of the photo's own place; `to` is included when it is a day."""

    q: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    untold: bool | None = None
    from_: DayOrMoment | None = msgspec.field(default=None, name="from")
    to: DayOrMoment | None = None
    keyword: str | None = None
    album: Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})] | None = None
    favourite: bool | None = None
    kind: Kind | None = None
    bbox: Annotated[str, msgspec.Meta(description="west,south,east,north in degrees")] | None = None
    missing: bool = False
    trashed: bool = False


async def filters_of(db: Database, query: Filters) -> dict[str, Any] | None:
    """The filters as SQL takes them; None if nothing can pass them. Raises Invalid for what makes no sense."""
    match = words.match(query.q) if query.q.strip() else None
    folder = None
    if query.album is not None:
        folder = await _folder(db, query.album)
    first_day, from_rank = _bound("from", query.from_)
    last_day, to_rank = _bound("to", query.to)
    west, south, east, north = _box(query.bbox)
    if (query.q.strip() and match is None) or (query.album is not None and folder is None):
        return None
    return {
        "shelf": "trash" if query.trashed else "missing" if query.missing else "library",
        "from_rank": MIN_RANK if from_rank is None else from_rank,
        "to_rank": MAX_RANK if to_rank is None else to_rank,
        "first_day": first_day, "last_day": last_day,
        "favourite": query.favourite, "untold": query.untold, "kind": query.kind, "folder": folder,
        "keyword": None if query.keyword is None else clean_keyword(query.keyword), "words": match,
        "south": south, "north": north, "west": west, "east": east,
    }  # fmt: skip


async def _folder(db: Database, album_id: str) -> str | None:
    if not re.fullmatch(UUID_PATTERN, album_id):
        raise Invalid("album", "is not a UUID")
    folder: str | None = await db.value("albums.folder", id=album_id.lower())
    return folder


def _bound(field: str, text: str | None) -> tuple[int | None, int | None]:
    """A day (counted from 1970) for a date, a rank for a time, of which one is None."""
    if text is None:
        return None, None
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return (date.fromisoformat(text) - date(1970, 1, 1)).days, None
        # A plus sign that a client forgot to encode arrives as a space.
        return None, first_rank(times.from_text(re.sub(r" (\d\d:\d\d)$", r"+\1", text))[0])
    except (ValueError, OverflowError):
        raise Invalid(field, "is neither a day such as 2024-07-01 nor a time such as 2024-07-01T16:02:11Z") from None


def _box(text: str | None) -> tuple[float | None, float | None, float | None, float | None]:
    """`west,south,east,north` in degrees, as GeoJSON orders them; a box over the date line has west > east."""
    if text is None:
        return None, None, None, None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise Invalid("bbox", "is not west,south,east,north in degrees") from None
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise Invalid("bbox", "is not west,south,east,north in degrees")
    return west, south, east, north


def narrowing(filters: dict[str, Any]) -> set[str]:
    """The names of the filters that leave something out."""
    neutral = {"shelf": filters["shelf"], "from_rank": MIN_RANK, "to_rank": MAX_RANK}
    return {name for name, value in filters.items() if value != neutral.get(name)}


def ranks(filters: dict[str, Any]) -> dict[str, int]:
    """Bounds of the ranks that pass, so that an index is read only there.

    Those of times are exact. A day anywhere on earth is within one of UTC's.
    """
    low, high = filters["from_rank"], filters["to_rank"]
    if filters["first_day"] is not None:
        low = max(low, first_rank((filters["first_day"] - 1) * DAY))
    if filters["last_day"] is not None:
        high = min(high, first_rank((filters["last_day"] + 2) * DAY))
    return {"from_rank": low, "to_rank": high}
