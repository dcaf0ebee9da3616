"""How many photos: totals, and the timeline that a grid is laid out by."""

from datetime import date, timedelta
from functools import partial
from typing import Any, Literal

import msgspec

from tagline.db import Database, Row
from tagline.photos.filters import Filters, filters_of, narrowing, ranks
from tagline.photos.memo import Memo


class TimelineQuery(Filters, frozen=True, kw_only=True):
    """Counts by day or by month, under the same filters."""

    by: Literal["day", "month"] = "day"


class Count(msgspec.Struct):
    """How many photos one day (`2024-07-01`) or month (`2024-07`) has."""

    date: str
    count: int


class Timeline(msgspec.Struct):
    """Newest first."""

    by: str
    total: int
    items: list[Count]


# Photos that are missing or in the trash are looked at one by one to subtract them from a search's matches, if few.
FEW = 1000
_COUNTED_BY_DAY = {"first_day", "last_day", "kind", "favourite", "untold"}


def _is_rare(filters: dict[str, Any]) -> bool:
    """Whether an index of its own tells which photos it can be, so that the others need not be looked at."""
    return any(filters[name] is not None for name in ("words", "keyword", "folder"))


async def total(db: Database, memo: Memo, filters: dict[str, Any]) -> int:
    async def count() -> int:
        narrow = narrowing(filters)
        if narrow <= _COUNTED_BY_DAY:
            return int(await db.value("lists.count_days", **_by_day(filters)))
        if narrow == {"words"} and filters["shelf"] == "library" and await _elsewhere(db, memo) <= FEW:
            return int(await db.value("lists.count_matches", words=filters["words"]))
        query = "lists.count_found" if _is_rare(filters) else "lists.count"
        return int(await db.value(query, **{**filters, **ranks(filters)}))

    return await memo.get(tuple(filters.values()), count)


async def _elsewhere(db: Database, memo: Memo) -> int:
    """How many photos are not in the library, but missing or in the trash."""
    count: int = await memo.get("elsewhere", partial(db.value, "lists.count_elsewhere"))
    return count


def _by_day(filters: dict[str, Any]) -> dict[str, Any]:
    return {name: filters[name] for name in ("shelf", *_COUNTED_BY_DAY)}


async def timeline(db: Database, query: TimelineQuery) -> Timeline:
    """How many photos each day or month has. Costs the days that have photos, unless a search has to be counted."""
    filters = await filters_of(db, query)
    rows: list[Row] = []
    if filters is not None:
        if narrowing(filters) <= _COUNTED_BY_DAY:
            rows = await db.rows("lists.days_counted", **_by_day(filters))
        else:
            name = "lists.days_found" if _is_rare(filters) else "lists.days"
            rows = await db.rows(name, **{**filters, **ranks(filters)})
    counts: dict[str, int] = {}
    for row in rows:
        day = (date(1970, 1, 1) + timedelta(days=row["day"])).isoformat()
        label = day if query.by == "day" else day[:7]
        counts[label] = counts.get(label, 0) + row["photos"]
    return Timeline(query.by, sum(counts.values()), [Count(label, count) for label, count in counts.items()])
