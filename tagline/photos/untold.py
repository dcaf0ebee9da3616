"""The queue of photos that still have no line, in groups that one line may cover."""

from datetime import date, timedelta
from functools import partial
from typing import Annotated, Literal

import msgspec

from tagline.db import Database, Row
from tagline.photos import cursors
from tagline.photos.memo import Memo
from tagline.photos.photo import MAX_RANK, Photo

# Photos of one day of which each was taken at most so long (µs) after the one before belong together.
BURST_GAP = 120 * 1_000_000


class UntoldQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of groups with about `limit` photos; a burst is kept whole where it fits."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    cursor: str | None = None


class Group(msgspec.Struct):
    """A burst: photos of one day, taken close after each other, newest first. `from` and `to` are its ends."""

    day: str
    from_: str = msgspec.field(name="from")
    to: str
    count: int
    photos: list[Photo]


class Year(msgspec.Struct):
    """How far one year is told."""

    year: int
    photos: int
    untold: int


class Untold(msgspec.Struct):
    """Groups of untold photos, newest first, and the progress by year. `total` counts all untold photos."""

    total: int
    groups: list[Group]
    years: list[Year]
    next_cursor: str | None


async def untold(db: Database, memo: Memo, query: UntoldQuery) -> bytes:
    """An Untold as JSON."""
    before = cursors.read(query.cursor, tuple[Literal["untold"], cursors.Number])[1] if query.cursor else MAX_RANK
    rows = await db.rows("untold.page", before=before, take=query.limit + 1)
    bursts = _bursts(rows)
    more = len(rows) > query.limit
    if more:
        # The last burst may go on behind the page: it opens the next one, unless it is all that there is.
        bursts = bursts[:-1] if len(bursts) > 1 else [rows[: query.limit]]
    years = await memo.get("years", partial(_years, db))
    cursor = cursors.write("untold", bursts[-1][-1]["taken_rank"]) if more else None
    groups = b",".join(_group(burst) for burst in bursts)
    return (
        b'{"total":%d,"groups":[' % sum(year.untold for year in years)
        + groups
        + b'],"years":'
        + msgspec.json.encode(years)
        + b',"next_cursor":'
        + msgspec.json.encode(cursor)
        + b"}"
    )


def _bursts(rows: list[Row]) -> list[list[Row]]:
    """Cut photos, newest first, wherever a day or a burst ends."""
    bursts: list[list[Row]] = []
    for row in rows:
        newer = bursts[-1][-1] if bursts else None
        if newer and newer["taken_day"] == row["taken_day"] and newer["taken_at"] - row["taken_at"] <= BURST_GAP:
            bursts[-1].append(row)
        else:
            bursts.append([row])
    return bursts


def _group(burst: list[Row]) -> bytes:
    day = (date(1970, 1, 1) + timedelta(days=burst[0]["taken_day"])).isoformat()
    head = msgspec.json.encode({"day": day, "from": burst[-1]["at"], "to": burst[0]["at"], "count": len(burst)})
    return head[:-1] + b',"photos":[' + b",".join([row["item"].encode() for row in burst]) + b"]}"


async def _years(db: Database) -> list[Year]:
    return [Year(row["year"], row["photos"], row["untold"]) for row in await db.rows("untold.years")]
