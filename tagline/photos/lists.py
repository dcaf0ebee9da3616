"""Lists of photos: orders, and pages by cursor or offset."""

from typing import Annotated, Any, Literal

import msgspec

from tagline.db import Database
from tagline.errors import Invalid
from tagline.photos import counts, cursors
from tagline.photos.filters import Filters, filters_of, narrowing, ranks
from tagline.photos.memo import Memo
from tagline.photos.photo import MAX_RANK, MIN_RANK, Photo

Sort = Literal[
    "taken_at", "-taken_at", "imported_at", "-imported_at", "last_modified", "-last_modified", "name", "-name"
]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**40)]

# What one number or text sorts before or after everything, by direction: where a first page starts.
_BEFORE_ALL: dict[str, tuple[Any, Any]] = {
    "imported": (-1, 2**62),
    "modified": (-1, 2**62),
    "name": ("", "\U0010ffff" * 1024),
}
_ORDERS = {"taken_at": "taken", "imported_at": "imported", "last_modified": "modified", "name": "name"}


class ListQuery(Filters, frozen=True, kw_only=True):
    """A page of photos: filters, order, and where it starts. A cursor goes before an offset."""

    sort: Sort = "-taken_at"
    limit: Limit = 50
    offset: Offset = 0
    cursor: str | None = None


class PhotoPage(msgspec.Struct):
    """One page. `photo_ids` are those of `items`; `next_cursor` is null on the last page."""

    total: int
    limit: int
    offset: int
    photo_ids: list[str]
    items: list[Photo]
    next_cursor: str | None


async def page(db: Database, memo: Memo, query: ListQuery) -> bytes:
    """A PhotoPage as JSON."""
    start = _read_cursor(query.cursor, query.sort) if query.cursor else None
    filters = await filters_of(db, query)
    total = await counts.total(db, memo, filters) if filters else 0
    if not filters or not total:
        return _encode(query, 0, b"", b"", None)
    skip = 0 if start else query.offset
    used = narrowing(filters)
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
    last_rank = MAX_RANK if descending else MIN_RANK
    if order != "taken":
        key, rank = start or (_BEFORE_ALL[order][descending], last_rank)
        return f"lists.by_{order}_{direction}", {**filters, "sort_key": key, "rank": rank}
    rank = start[1] if start else last_rank
    filters = {**filters, **ranks(filters)}
    # A page begins at its cursor or at the end of the time asked for, whichever comes later: nothing before is read.
    if descending:
        rank = filters["to_rank"] = min(rank, filters["to_rank"])
    else:
        rank = max(rank, filters["from_rank"] - 1)
        filters["from_rank"] = min(rank + 1, MAX_RANK)
    plain = {"shelf": filters["shelf"], "rank": rank}
    if not used:
        return ("lists.newest" if descending else "lists.oldest"), plain
    if descending and used == {"untold"} and filters["untold"]:
        return "lists.untold", plain
    if descending and used == {"favourite"} and filters["favourite"]:
        return "lists.favourites", plain
    if descending and used == {"kind"} and filters["kind"] == "video":
        return "lists.videos", plain
    if descending and used == {"folder"}:
        return "lists.in_folder", {**plain, "folder": filters["folder"]}
    if descending and "words" in used:
        return "lists.found", {**filters, "rank": rank}
    if descending and "keyword" in used:
        return "lists.with_keyword", {**filters, "rank": rank}
    return f"lists.by_taken_{direction}", {**filters, "rank": rank}


def _read_cursor(cursor: str, sort: Sort) -> tuple[Any, int]:
    made_for, key, rank = cursors.read(cursor, tuple[Sort, cursors.Number | str, cursors.Number])
    if made_for != sort or isinstance(key, str) != sort.endswith("name"):
        raise Invalid("cursor", "belongs to another order; start again without it")
    return key, rank
