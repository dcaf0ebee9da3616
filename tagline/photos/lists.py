"""Lists of photos: filters, orders, pages by cursor or offset, totals, and the timeline."""

import re
from collections import OrderedDict
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from tagline import times
from tagline.changes import Change
from tagline.db import Database, Row
from tagline.errors import Invalid
from tagline.photos import cursors, words
from tagline.photos.lines import clean_keyword
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


class Totals:
    """Totals by filters, kept until a photo changes: pages of one list share one count."""

    MOST = 256

    def __init__(self) -> None:
        self._totals: OrderedDict[Any, int] = OrderedDict()
        # Counts that began before a change are not kept after it.
        self.state = 0

    def get(self, key: Any) -> int | None:
        """The total under these filters, if the library is as it was counted."""
        return self._totals.get(key)

    def put(self, key: Any, total: int, state: int) -> None:
        """Keep a total that was counted since `state`."""
        if state == self.state:
            self._totals[key] = total
            if len(self._totals) > self.MOST:
                self._totals.popitem(last=False)

    def forget(self, changes: list[Change]) -> None:
        """Listen to the change feed."""
        if any(change.entity == "photo" for change in changes):
            self.state += 1
            self._totals.clear()


TOTALS = web.AppKey("totals", Totals)


class _Page(msgspec.Struct, frozen=True):
    """What a query found: items and ids side by side, and the key that a cursor behind each would have."""

    items: list[str]
    ids: list[str]
    keys: list[tuple[Any, int]]


async def page(db: Database, totals: Totals, query: ListQuery) -> bytes:
    """A PhotoPage as JSON."""
    filters = await _parameters(db, query)
    if filters is None:
        return _encode(query, 0, _Page([], [], []), None)
    total = await _total(db, totals, filters)
    start = _read_cursor(query.cursor, query.sort) if query.cursor else None
    skip = 0 if start else query.offset
    used = _used(filters)
    if query.sort == "-taken_at" and not used and skip > total // 2:
        # A far offset is near the other end: read from there, and turn the page around.
        take = max(0, min(query.limit, total - skip))
        plain = {"shelf": filters["shelf"], "rank": MIN_RANK}
        found = _found(await db.row("lists.oldest", skip=total - skip - take, take=take, **plain))
        found = _Page(found.items[::-1], found.ids[::-1], found.keys[::-1])
        more = skip + take < total
    else:
        name, parameters = _query(query.sort, filters, used, start)
        found = _found(await db.row(name, skip=skip, take=query.limit + 1, **parameters))
        more = len(found.ids) > query.limit
    cursor = cursors.write(query.sort, *found.keys[min(query.limit, len(found.keys)) - 1]) if more else None
    return _encode(query, total, found, cursor)


_keys = msgspec.json.Decoder(list[tuple[Any, int]]).decode


def _found(row: Row | None) -> _Page:
    if row is None or row[0] is None:
        return _Page([], [], [])
    return _Page(row[0].split("\n"), row[1].split(","), _keys(row[2]))


def _encode(query: ListQuery, total: int, found: _Page, cursor: str | None) -> bytes:
    ids = '","'.join(found.ids[: query.limit])
    listed = f'"{ids}"' if ids else ""
    items = ",".join(found.items[: query.limit])
    offset = 0 if query.cursor else query.offset
    following = f'"{cursor}"' if cursor else "null"
    return (
        f'{{"total":{total},"limit":{query.limit},"offset":{offset},"photo_ids":[{listed}],'
        f'"items":[{items}],"next_cursor":{following}}}'
    ).encode()


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


async def _total(db: Database, totals: Totals, filters: dict[str, Any]) -> int:
    key = tuple(filters.values())
    total = totals.get(key)
    if total is None:
        state = totals.state
        if _used(filters) <= _COUNTED_BY_DAY:
            total = await db.value("lists.count_days", **_by_day(filters))
        else:
            total = await db.value("lists.count_found" if _is_rare(filters) else "lists.count", **filters)
        totals.put(key, total, state)
    return int(total)


def _is_rare(filters: dict[str, Any]) -> bool:
    """Whether an index tells what to look at, rather than the whole shelf."""
    return filters["words"] is not None or filters["keyword"] is not None


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
