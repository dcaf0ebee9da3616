"""Albums and keywords: the library by folder and by what people call things."""

from typing import Annotated

import msgspec

from tagline import times
from tagline.db import Database, Row
from tagline.errors import NotFound
from tagline.photos.lists import Limit


class AlbumQuery(msgspec.Struct, frozen=True):
    """A page of albums."""

    limit: Limit = 50
    cursor: str = ""


class KeywordQuery(msgspec.Struct, frozen=True):
    """A page of keywords, of those that start with `prefix`."""

    prefix: Annotated[str, msgspec.Meta(max_length=200)] = ""
    limit: Limit = 50
    cursor: str = ""


class Album(msgspec.Struct):
    """An album; a folder (the only kind yet) is one that cannot be edited. Times are those of its first and last photo."""

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
    items: list[Album]
    next_cursor: str | None


class Keyword(msgspec.Struct):
    """A keyword, and how many photos have it."""

    keyword: str
    count: int


class KeywordPage(msgspec.Struct):
    """Keywords from a to z."""

    limit: int
    items: list[Keyword]
    next_cursor: str | None


async def albums(db: Database, query: AlbumQuery) -> AlbumPage:
    """Folders with photos. A cursor is the path of the last folder seen."""
    after = query.cursor or None
    rows = await db.rows("albums.folders", after=after, take=query.limit + 1)
    items = [_album(row) for row in rows[: query.limit]]
    total = await db.value("albums.total")
    following = items[-1].folder if len(rows) > query.limit else None
    return AlbumPage(total, query.limit, items, following)


async def album(db: Database, album_id: str) -> Album:
    """One album; raises NotFound."""
    row = await db.row("albums.album", id=album_id)
    if not row:
        raise NotFound("Album not found")
    return _album(row)


def _album(row: Row) -> Album:
    first_at, last_at = times.to_text(row["first_at"]), times.to_text(row["last_at"])
    return Album(row["id"], row["title"], row["folder"], True, row["photos"], first_at, last_at)


async def keywords(db: Database, query: KeywordQuery) -> KeywordPage:
    """Keywords with their counts. A cursor is the last keyword seen."""
    rows = await db.rows("photos.keywords", prefix=query.prefix, after=query.cursor, take=query.limit + 1)
    items = [Keyword(row["keyword"], row["photos"]) for row in rows[: query.limit]]
    return KeywordPage(query.limit, items, items[-1].keyword if len(rows) > query.limit else None)
