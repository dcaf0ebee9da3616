"""Lists held against a plain Python oracle: random libraries, filters, orders, offsets and cursors."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagline.db import Database
from tagline.photos import counts, lines, lists
from tagline.photos.counts import TimelineQuery
from tagline.photos.lines import Based, LineEdit
from tagline.photos.lists import ListQuery
from tagline.photos.memo import Memo
from tests.photos.library import ANA, START, add, at, found, library, lose

HOUR = 3_600_000_000
WORDS = ["lake", "lakeside", "boat", "ana", "fair"]
SORTS = ["taken_at", "-taken_at", "imported_at", "-imported_at", "last_modified", "-last_modified", "name", "-name"]
DAYS = ["2024-06-30", "2024-07-01", "2024-07-02"]
TIMES = ["2024-06-30T20:00:00Z", "2024-07-01T02:00:00+02:00", "2024-07-01T12:00:00-05:00"]
BOXES = ["0,0,10,10", "170,-10,-170,10", "-180,-90,180,90", "10,0,0,10"]


class Model(msgspec.Struct):
    """A photo as the oracle knows it."""

    folder: str
    taken: int
    offset: int | None
    caption: str
    keywords: list[str]
    kind: str
    place: tuple[float, float] | None
    favourite: bool
    needs_line: bool
    shelf: str
    number: int = 0
    id: str = ""
    item: Any = None

    @property
    def key(self) -> str:
        return f"{self.folder}{self.number:03}.jpg"

    @property
    def day(self) -> str:
        wall = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.taken, minutes=self.offset or 0)
        return wall.date().isoformat()

    @property
    def words(self) -> list[str]:
        return re.findall(r"[a-z0-9]+", " ".join([self.caption, *self.keywords, self.key]))


models = st.builds(
    Model,
    folder=st.sampled_from(["", "a/", "a/b/", "fair/"]),
    taken=st.integers(0, 40).map(lambda hours: START + hours * HOUR)
    | st.integers(0, 5).map(lambda ms: START + ms * 500),
    offset=st.sampled_from([None, 0, 120, -600, 765]),
    caption=st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    keywords=st.lists(st.sampled_from(WORDS), unique=True, max_size=2),
    kind=st.sampled_from(["photo", "photo", "video"]),
    place=st.none() | st.tuples(st.sampled_from([-5.0, 0.0, 5.0]), st.sampled_from([-180.0, -175.0, 0.0, 5.0, 175.0])),
    favourite=st.booleans(),
    needs_line=st.booleans(),
    shelf=st.sampled_from(["library"] * 5 + ["trash", "missing"]),
)
filters = st.fixed_dictionaries(
    {},
    optional={
        "q": st.lists(
            st.sampled_from(["lak", "lake", "lakeside", "boat", "a", "0", '"ana"']), min_size=1, max_size=2
        ).map(" ".join),
        "untold": st.booleans(),
        "favourite": st.booleans(),
        "kind": st.sampled_from(["photo", "video"]),
        "from": st.sampled_from(DAYS + TIMES),
        "to": st.sampled_from(DAYS + TIMES),
        "keyword": st.sampled_from(WORDS),
        "album": st.sampled_from(["", "a/", "a/b/", "fair/"]),
        "bbox": st.sampled_from(BOXES),
        "missing": st.booleans(),
        "trashed": st.booleans(),
    },
)
# Half of the lists with few filters: those have queries of their own.
queries = st.tuples(
    st.one_of(filters, filters.map(lambda chosen: dict(list(chosen.items())[:1])), st.just({})),
    st.sampled_from(SORTS),
    st.integers(0, 40),
    st.integers(1, 9),
)


def passes(photo: Model, wanted: dict[str, Any]) -> bool:
    """The filters, as the specification says them."""
    shelf = "trash" if wanted.get("trashed") else "missing" if wanted.get("missing") else "library"
    if photo.shelf != shelf or wanted.get("keyword") not in (None, *photo.keywords):
        return False
    if wanted.get("album") not in (None, photo.folder) or wanted.get("kind") not in (None, photo.kind):
        return False
    if wanted.get("favourite") not in (None, photo.favourite):
        return False
    if wanted.get("untold") not in (None, photo.caption == "" and photo.needs_line):
        return False
    for term in wanted.get("q", "").split():
        whole = term.strip('"')
        if not any(word == whole if term != whole else word.startswith(whole) for word in photo.words):
            return False
    start, end = wanted.get("from"), wanted.get("to")
    if start and (photo.day < start if len(start) == 10 else photo.taken < at(start)):
        return False
    if end and (photo.day > end if len(end) == 10 else photo.taken >= at(end)):
        return False
    if "bbox" in wanted:
        west, south, east, north = map(float, wanted["bbox"].split(","))
        if photo.place is None or not south <= photo.place[0] <= north:
            return False
        lon = photo.place[1]
        return west <= lon <= east if west <= east else lon >= west or lon <= east
    return True


def in_order(photos: list[Model], sort: str) -> list[Model]:
    """By the sort, equal ones by capture (a millisecond apart or more), those by arrival."""
    name = sort.lstrip("-")

    def key(photo: Model) -> Any:
        first = {"taken_at": 0, "name": photo.key.encode()}.get(name)
        return (photo.item[name] if first is None else first, photo.taken // 1000, photo.number)

    return sorted(photos, key=key, reverse=sort.startswith("-"))


async def furnish(db: Database, photos: list[Model]) -> dict[str, str]:
    """Put the oracle's photos into the library; album ids by folder."""
    for number, photo in enumerate(photos):
        photo.number = number
        lat, lon = photo.place or (None, None)
        # Batches of three share their time of import.
        if number % 3 == 0:
            batch: list[Any] = []
        batch.append(
            found(
                photo.key,
                taken_at=photo.taken,
                taken_offset=photo.offset,
                caption=photo.caption,
                keywords=photo.keywords,
                kind=photo.kind,
                lat=lat,
                lon=lon,
            )
        )
        if number % 3 == 2 or number == len(photos) - 1:
            ids = await add(db, batch)
            for one, photo_id in zip(photos[number - len(ids) + 1 : number + 1], ids, strict=True):
                one.id = photo_id
    for photo in reversed(photos):
        edit = LineEdit(favourite=photo.favourite, needs_line=photo.needs_line)
        await db.write(lines.edit, ANA, photo.id, edit, Based())
        if photo.shelf == "trash":
            await db.write(lines.set_trashed, ANA, photo.id, True)
        elif photo.shelf == "missing":
            await lose(db, photo.key, photo.id)
        row = await db.row("photos.item", id=photo.id)
        assert row is not None
        photo.item = msgspec.json.decode(row["item"])
    return {row["folder"]: row["id"] for row in await db.rows("albums.folders", after=None, skip=0, take=500)}


async def check(photos: list[Model], asked: list[tuple[dict[str, Any], str, int, int]]) -> None:
    async with library() as db:
        albums = await furnish(db, photos)
        memo = Memo()
        for wanted, sort, offset, limit in asked:
            if "album" in wanted and wanted["album"] not in albums:
                continue
            expected = [photo.id for photo in in_order([photo for photo in photos if passes(photo, wanted)], sort)]
            sent = {**wanted, **({"album": albums[wanted["album"]]} if "album" in wanted else {})}

            async def page(sent: dict[str, Any] = sent, sort: str = sort, limit: int = limit, **more: Any) -> Any:
                query = msgspec.convert({**sent, "sort": sort, "limit": limit, **more}, ListQuery)
                return msgspec.json.decode(await lists.page(db, memo, query))

            one = await page(offset=offset)
            assert one["photo_ids"] == expected[offset : offset + limit], (wanted, sort, offset)
            assert one["total"] == len(expected), (wanted, sort)
            assert [item["id"] for item in one["items"]] == one["photo_ids"]
            walked, cursor = one["photo_ids"], one["next_cursor"]
            while cursor:
                one = await page(cursor=cursor)
                walked, cursor = walked + one["photo_ids"], one["next_cursor"]
            assert walked == expected[offset:], (wanted, sort, offset)

            kept = [photo for photo in photos if photo.id in set(expected)]
            for by, length in (("day", 10), ("month", 7)):
                timeline = await counts.timeline(db, msgspec.convert({**sent, "by": by}, TimelineQuery))
                dates = [photo.day[:length] for photo in kept]
                assert [(count.date, count.count) for count in timeline.items] == [
                    (date, dates.count(date)) for date in sorted(set(dates), reverse=True)
                ]
                assert timeline.total == len(kept)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(models, max_size=18), st.lists(queries, min_size=1, max_size=12))
def test_any_list_is_what_filtering_and_sorting_by_hand_gives(
    photos: list[Model], asked: list[tuple[dict[str, Any], str, int, int]]
) -> None:
    asyncio.run(check(photos, asked))
