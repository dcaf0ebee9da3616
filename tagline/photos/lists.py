"""Lists of photos: filters, orders, pages by cursor or offset, totals, and the timeline."""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import msgspec

from tagline import times
from tagline.db import Database, Row
from tagline.errors import Invalid
from tagline.photos import cursors, words
from tagline.photos.lines import clean_keyword
from tagline.photos.memo import Memo
from tagline.photos.photo import MAX_RANK, MIN_RANK, Kind, Photo, first_rank

Sort = Literal[
    "taken_at", "-taken_at", "imported_at", "-imported_at", "last_modified", "-last_modified", "name", "-name"
]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Day = timedelta(days=1)

# What one number or text sorts before or after everything, by direction: where a first page starts.
_BEFORE_ALL: dict[str, tuple[Any, Any]] = {
    "imported": (-1, 2**62),
    "modified": (-1, 2**62),
    "name": ("", "\U0010ffff" * 1024),
}
_ORDERS = {"taken_at": "taken", "imported_at": "imported", "last_modified": "modified", "name": "name"}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which photos: all filters combine. Days are those of the photo's own place; `to` is included when it is a day."""

    q: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    untold: bool | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    keyword: str | None = None
    album: str | None = None
    favourite: bool | None = None
    kind: Kind | None = None
    bbox: str | None = None
    missing: bool = False
    trashed: bool = False


class ListQuery(Filters, frozen=True, kw_only=True):
    """A page of photos: filters, order, and where it starts. A cursor goes before an offset."""

    sort: Sort = "-taken_at"
    limit: Limit = 50
    offset: Offset = 0
    cursor: str | None = None


class TimelineQuery(Filters, frozen=True, kw_only=True):
    """Counts by day or by month, under the same filters."""

    by: Literal["day", "month"] = "day"


class PhotoPage(msgspec.Struct):
    """One page. `photo_ids` are those of `items`; `next_cursor` is null on the last page."""

    total: int
    limit: int
    offset: int
    photo_ids: list[str]
    items: list[Photo]
    next_cursor: str | None


class Count(msgspec.Struct):
    """How many photos one day (`2024-07-01`) or month (`2024-07`) has."""

    date: str
    count: int


class Timeline(msgspec.Struct):
    """Newest first."""

    by: str
    total: int
    items: list[Count]


async def page(db: Database, memo: Memo, query: ListQuery) -> bytes:
    """A PhotoPage as JSON."""
    filters = await _parameters(db, query)
    if filters is None:
        return _encode(query, 0, b"", b"", None)
    total = await _total(db, memo, filters)
    start = _read_cursor(query.cursor, query.sort) if query.cursor else None
    skip = 0 if start else query.offset
    used = _used(filters)
    if query.sort == "-taken_at" and not used and skip > total // 2:
        return await _far_page(db, query, total, filters["shelf"])
    name, parameters = _query(query.sort, filters, used, start)
    items, ids, keys = await _found(db, name, skip=skip, take=query.limit + 1, **parameters)
    if keys.count(b"\n") < query.limit:
        return _encode(query, total, items, ids, None)
    # One more than asked for: there is another page, which begins behind the last but one.
    key = keys.rsplit(b"\n", 2)[-2]
    return _encode(
        query,
        total,
        items[: items.rindex(b",\n")],
        ids[: ids.rindex(b",")],
        cursors.write(query.sort, *msgspec.json.decode(key)),
    )


async def _far_page(db: Database, query: ListQuery, total: int, shelf: str) -> bytes:
    """A far offset is near the other end: read from there, and turn the page around."""
    take = max(0, min(query.limit, total - query.offset))
    skip = total - query.offset - take
    items, ids, keys = await _found(db, "lists.oldest", shelf=shelf, rank=MIN_RANK, skip=skip, take=take)
    cursor = cursors.write(query.sort, *msgspec.json.decode(keys.partition(b"\n")[0])) if skip and items else None
    return _encode(query, total, _turned(items, b",\n"), _turned(ids, b","), cursor)


def _turned(joined: bytes, separator: bytes) -> bytes:
    return separator.join(reversed(joined.split(separator)))


async def _found(db: Database, name: str, **parameters: Any) -> tuple[bytes, bytes, bytes]:
    """Items and ids as the inside of JSON arrays, and line by line the key that a cursor behind each has."""
    row = await db.row(name, **parameters)
    return (row[0], row[1], row[2]) if row and row[0] is not None else (b"", b"", b"")


def _encode(query: ListQuery, total: int, items: bytes, ids: bytes, cursor: str | None) -> bytes:
    offset = 0 if query.cursor else query.offset
    following = b'"%s"' % cursor.encode() if cursor else b"null"
    head = b'{"total":%d,"limit":%d,"offset":%d,"photo_ids":[' % (total, query.limit, offset)
    return b"".join((head, ids, b'],"items":[', items, b'],"next_cursor":', following, b"}"))


def _query(
    sort: Sort, filters: dict[str, Any], used: set[str], start: tuple[Any, int] | None
) -> tuple[str, dict[str, Any]]:
    """The query for an order and filters, and what it takes beside `skip` and `take`."""
    descending = sort.startswith("-")
    order = _ORDERS[sort.lstrip("-")]
    direction = "desc" if descending else "asc"
    first_rank = MAX_RANK if descending else MIN_RANK
    if order != "taken":
        key, rank = start or (_BEFORE_ALL[order][descending], first_rank)
        return f"lists.by_{order}_{direction}", {**filters, "sort_key": key, "rank": rank}
    rank = start[1] if start else first_rank
    plain = {"shelf": filters["shelf"], "rank": rank}
    if not used:
        return ("lists.newest" if descending else "lists.oldest"), plain
    if descending and used == {"untold"} and filters["untold"]:
        return "lists.untold", plain
    if descending and used == {"favourite"} and filters["favourite"]:
        return "lists.favourites", plain
    if descending and used == {"folder"}:
        return "lists.in_folder", {**plain, "folder": filters["folder"]}
    if descending and "words" in used:
        return "lists.found", {**filters, "rank": rank}
    if descending and "keyword" in used:
        return "lists.with_keyword", {**filters, "rank": rank}
    return f"lists.by_taken_{direction}", {**filters, "rank": rank}


def _used(filters: dict[str, Any]) -> set[str]:
    """The names of the filters that leave something out."""
    neutral = {"shelf": filters["shelf"], "from_rank": MIN_RANK, "to_rank": MAX_RANK}
    return {name for name, value in filters.items() if value != neutral.get(name)}


_COUNTED_BY_DAY = {"first_day", "last_day", "kind", "favourite", "untold"}


def _is_rare(filters: dict[str, Any]) -> bool:
    """Whether an index of its own tells which photos it can be, so that the others need not be looked at."""
    return filters["words"] is not None or filters["keyword"] is not None


async def _total(db: Database, memo: Memo, filters: dict[str, Any]) -> int:
    async def count() -> int:
        if _used(filters) <= _COUNTED_BY_DAY:
            return int(await db.value("lists.count_days", **_by_day(filters)))
        return int(await db.value("lists.count_found" if _is_rare(filters) else "lists.count", **filters))

    return await memo.get(tuple(filters.values()), count)


def _by_day(filters: dict[str, Any]) -> dict[str, Any]:
    return {name: filters[name] for name in ("shelf", *_COUNTED_BY_DAY)}


async def timeline(db: Database, query: TimelineQuery) -> Timeline:
    """How many photos each day or month has. Costs the number of days with photos, unless a search has to be counted."""
    filters = await _parameters(db, query)
    rows: list[Row] = []
    if filters is not None:
        if _used(filters) <= _COUNTED_BY_DAY:
            rows = await db.rows("lists.days_counted", **_by_day(filters))
        else:
            rows = await db.rows("lists.days_found" if _is_rare(filters) else "lists.days", **filters)
    counts: dict[str, int] = {}
    for row in rows:
        day = (date(1970, 1, 1) + row["day"] * Day).isoformat()
        name = day if query.by == "day" else day[:7]
        counts[name] = counts.get(name, 0) + row["photos"]
    return Timeline(query.by, sum(counts.values()), [Count(name, count) for name, count in counts.items()])


async def _parameters(db: Database, query: Filters) -> dict[str, Any] | None:
    """The filters as SQL takes them; None if nothing can pass them. Raises Invalid for what makes no sense."""
    match = words.match(query.q) if query.q.strip() else None
    folder = None
    if query.album is not None:
        folder = await _folder(db, query.album)
    if (query.q.strip() and match is None) or (query.album is not None and folder is None):
        return None
    first_day, from_rank = _bound("from", query.from_)
    last_day, to_rank = _bound("to", query.to)
    west, south, east, north = _box(query.bbox)
    return {
        "shelf": "trash" if query.trashed else "missing" if query.missing else "library",
        "from_rank": MIN_RANK if from_rank is None else from_rank,
        "to_rank": MAX_RANK if to_rank is None else to_rank,
        "first_day": first_day, "last_day": last_day,
        "favourite": query.favourite, "untold": query.untold, "kind": query.kind, "folder": folder,
        "keyword": None if query.keyword is None else clean_keyword(query.keyword), "words": match, "south": south, "north": north, "west": west, "east": east,
    }  # fmt: skip


_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


async def _folder(db: Database, album_id: str) -> str | None:
    if not _ID.fullmatch(album_id):
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


def _read_cursor(cursor: str, sort: Sort) -> tuple[Any, int]:
    made_for, key, rank = cursors.read(cursor, tuple[Sort, cursors.Number | str, cursors.Number])
    if made_for != sort or isinstance(key, str) != sort.endswith("name"):
        raise Invalid("cursor", "belongs to another order; start again without it")
    return key, rank
