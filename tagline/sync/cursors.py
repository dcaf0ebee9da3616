"""Cursors of the change feed: how far a client has come, as an opaque text.

Nothing is remembered for them. A cursor names a row of the feed by its number and its time, and holds as long as the
feed has that very row: so a database that was put back from a copy, rows that were purged, and another server's cursor
are all found out by one look. A forged one gives nothing that its account might not read anyway.
"""

from typing import Annotated, Any

import msgspec

from tagline.photos import cursors
from tagline.photos.photo import MAX_RANK

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_RANK)]


class Point(msgspec.Struct, frozen=True, array_like=True, tag="changes"):
    """Everything up to change `seq`, which was written at `at` (µs), has been told.

    `since` is where the client was when it last had everything: what was made after that is new to it.
    """

    seq: Number
    at: Number
    since: Number


class Place(msgspec.Struct, frozen=True, array_like=True, tag="state"):
    """In the middle of the whole state: `entity` was told as far as `key`. It goes on as a Point at `seq`, `at`."""

    seq: Number
    at: Number
    entity: str
    key: cursors.Number


Cursor = Point | Place


def write(cursor: Cursor) -> str:
    """A cursor as clients get it."""
    return cursors.write(*msgspec.to_builtins(cursor))


def read(text: str) -> Cursor:
    """What `write` was given; raises Invalid. Whether it still holds is for the feed to say."""
    either: Any = Cursor
    cursor: Cursor = cursors.read(text, either)
    return cursor
