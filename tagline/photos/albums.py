"""Albums and keywords: the library by folder and by what people call things."""

from functools import partial
from typing import Annotated, Literal

import msgspec

from tagline import times
from tagline.db import Database, Row
from tagline.errors import NotFound
from tagline.photos import cursors
from tagline.photos.lines import MAX_KEYWORD, clean_keyword
from tagline.photos.lists import Limit, Offset
from tagline.photos.memo import Memo


class AlbumQuery(msgspec.Struct, frozen=True):
    """A page of albums."""

    limit: Limit = 50
    offset: Offset = 0
    cursor: str | None = None


class KeywordQuery(msgspec.Struct, frozen=True):
    """A page of keywords, of those that start with `prefix`."""

    prefix: Annotated[str, msgspec.Meta(max_length=200)] = ""
    limit: Limit = 50
    offset: Offset = 0
    cursor: str | None = None


class Album(msgspec.Struct):
    """An album; a folder (the only kind yet) cannot be edited. Times are those of its first and last photo."""

    id: str
    title: str
    folder: str | None
    read_only: bool
    photos: int
    first_at: str
    last_at: str


class AlbumPage(msgspec.Struct):
    """Albums by path."""

    total: int
    limit: int
    offset: int
    items: list[Album]
    next_cursor: str | None


class Keyword(msgspec.Struct):
    """A keyword, and how many photos have it."""

    keyword: str
    count: int


class KeywordPage(msgspec.Struct):
    """Keywords from a to z."""

    total: int
    limit: int
    offset: int
    items: list[Keyword]
    next_cursor: str | None


async def albums(db: Database, query: AlbumQuery) -> AlbumPage:
    """Folders with photos."""
    after, skip = None, query.offset
    if query.cursor:
        after, skip = cursors.read(query.cursor, tuple[Literal["albums"], str])[1], 0
    rows = await db.rows("albums.folders", after=after, skip=skip, take=query.limit + 1)
    items = [_album(row) for row in rows[: query.limit]]
    cursor = cursors.write("albums", items[-1].folder) if len(rows) > query.limit else None
    return AlbumPage(await db.value("albums.total"), query.limit, skip, items, cursor)


async def album(db: Database, album_id: str) -> Album:
    """One album; raises NotFound."""
    row = await db.row("albums.album", id=album_id)
    if not row:
        raise NotFound("Album not found")
    return _album(row)


def _album(row: Row) -> Album:
    first_at, last_at = times.to_text(row["first_at"]), times.to_text(row["last_at"])
    return Album(row["id"], row["title"], row["folder"], True, row["photos"], first_at, last_at)


async def keywords(db: Database, memo: Memo, query: KeywordQuery) -> KeywordPage:
    """Keywords with their counts."""
    after, skip = "", query.offset
    if query.cursor:
        after, skip = cursors.read(query.cursor, tuple[Literal["keywords"], str])[1], 0
    prefix = clean_keyword(query.prefix)
    span = {"first": prefix, "last": prefix + "\U0010ffff" * MAX_KEYWORD}
    total = await memo.get(("keywords", prefix), partial(db.value, "photos.keywords_total", **span))
    rows = await db.rows("photos.keywords", after=after, skip=skip, take=query.limit + 1, **span)
    items = [Keyword(row["keyword"], row["photos"]) for row in rows[: query.limit]]
    cursor = cursors.write("keywords", items[-1].keyword) if len(rows) > query.limit else None
    return KeywordPage(total, query.limit, skip, items, cursor)
