"""The change feed as clients follow it: the whole state first, then what changes, each thing once and nothing missed.

The number of a change is given inside its transaction, and SQLite has one writer at a time, in whatever process
(`begin immediate`): so changes are committed in the order of their numbers. Who has seen number n has seen everything
before it, and whatever comes later has a greater one: no gap is ever skipped.
"""

import asyncio
from functools import partial

import msgspec
from aiohttp import web

from tagline.changes import Change
from tagline.db import Database
from tagline.errors import Gone
from tagline.photos.photo import MAX_RANK
from tagline.sync import cursors
from tagline.sync.cursors import Cursor, Place, Point

# What is followed, in the order in which the whole state tells it: the query, and the key before all.
STATES = {"photo": ("sync.photos", MAX_RANK)}
MOST_CHANGES = 1000
# A page looks at so many rows of the feed for each change that it may tell, and at least at so many.
ROWS_EACH, LEAST_ROWS = 10, 1000
# Pages that are remembered for the clients that will ask for the same: they all come when something has changed.
MOST_PAGES = 4


class Page(msgspec.Struct, frozen=True):
    """Changes, as the inside of a JSON array with `,` and a line feed between them, and where to go on.

    `has_more`: there is more to tell already. An empty page has no changes and no more.
    """

    changes: bytes
    cursor: Cursor
    has_more: bool

    @property
    def json(self) -> bytes:
        """The page as `GET /sync/changes` answers it."""
        cursor = cursors.write(self.cursor).encode()
        more = b"true" if self.has_more else b"false"
        return b"".join((b'{"changes":[', self.changes, b'],"cursor":"', cursor, b'","has_more":', more, b"}"))

    def each(self) -> list[bytes]:
        """The changes one by one, each as JSON. A line feed is in none of them."""
        return self.changes.split(b",\n") if self.changes else []


class Feed:
    """Reads the change feed for those who follow it, and tells them when there is something to read.

    Those who are at the same point share one page, so that a change costs one query however many wait for it.
    """

    def __init__(self, db: Database, newest: int) -> None:
        self._db = db
        self._newest = newest
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = False
        self._pages: dict[tuple[Point, int], asyncio.Task[Page]] = {}

    def noticed(self, changes: list[Change]) -> None:
        """Listen to the hub."""
        followed = [change.seq for change in changes if change.entity in STATES]
        if followed:
            # What is being read now may be older than what the next to ask has just written.
            self._pages.clear()
            self._newest = max(self._newest, *followed)
            self._wake()

    def close(self) -> None:
        """Let everybody go who waits: the service ends."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set_result(None)
        self._news = asyncio.get_running_loop().create_future()

    async def beyond(self, seq: int, seconds: float) -> bool:
        """Wait until something after change `seq` is there to read; False when none came in time, or the service ends.

        Now and then there is nothing after all: then the page that is read is empty, and its cursor is further on.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while self._newest <= seq and not self._closed:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await asyncio.wait([self._news], timeout=left)
        return not self._closed

    async def now(self) -> Point:
        """The point behind everything that was written so far."""
        newest = await self._db.row("changes.newest")
        seq, at = (newest["seq"], newest["at"]) if newest else (0, 0)
        return Point(seq, at, seq)

    async def begin(self) -> Place:
        """Where somebody begins who knows nothing: the whole state, then what has changed since this moment.

        What changes while the state is read is told again behind it, so that nothing falls between its pages.
        """
        now = await self.now()
        entity, (_, key) = next(iter(STATES.items()))
        return Place(now.seq, now.at, entity, key)

    async def resume(self, text: str) -> Cursor:
        """A client's cursor; raises Invalid for none of ours, Gone for one that holds no longer."""
        cursor = cursors.read(text)
        holds = cursor.seq == cursor.at == 0 and await self._db.value("sync.first") in (None, 1)
        if not holds and await self._db.value("sync.at", seq=cursor.seq) != cursor.at:
            raise Gone(
                "This cursor is from before the server's library was put back from a copy, or from another server. "
                "Start anew without a cursor.",
                code="cursor_expired",
            )
        return cursor

    async def page(self, cursor: Cursor, limit: int = MOST_CHANGES) -> Page:
        """What comes next at a cursor that holds, at most `limit` changes."""
        if isinstance(cursor, Place):
            return await self._state(cursor, limit)
        key = (cursor, limit)
        if key not in self._pages:
            if len(self._pages) >= MOST_PAGES:
                del self._pages[next(iter(self._pages))]
            self._pages[key] = asyncio.create_task(self._changes(cursor, limit))
            self._pages[key].add_done_callback(partial(self._was_read, key))
        # Whoever goes away leaves the page to the others.
        return await asyncio.shield(self._pages[key])

    def _was_read(self, key: tuple[Point, int], reading: asyncio.Task[Page]) -> None:
        """Nobody who comes later wants to be told that there was nothing, or that it failed."""
        useless = reading.cancelled() or reading.exception() or not reading.result().changes
        if useless and self._pages.get(key) is reading:
            del self._pages[key]

    async def _changes(self, point: Point, limit: int) -> Page:
        reach = max(ROWS_EACH * limit, LEAST_ROWS)
        seq, at = point.seq, point.at
        while True:
            row = await self._db.row("sync.changes", seq=seq, since=point.since, take=limit, reach=reach)
            assert row is not None
            if row["last"] is None:
                return Page(b"", Point(seq, at, seq), False)
            seq, at = row["last"], row["at"]
            more = seq < row["newest"]
            if row["changes"] or not more:
                return Page(row["changes"] or b"", Point(seq, at, point.since if more else seq), more)

    async def _state(self, place: Place, limit: int) -> Page:
        if place.entity not in STATES:
            raise Gone("Nobody can follow this any more. Start anew without a cursor.", code="cursor_expired")
        row = await self._db.row(STATES[place.entity][0], key=place.key, take=limit)
        assert row is not None
        changes = row["changes"] or b""
        if row["told"] == limit:
            return Page(changes, Place(place.seq, place.at, place.entity, row["last"]), True)
        following = list(STATES)[list(STATES).index(place.entity) + 1 :]
        if following:
            return Page(changes, Place(place.seq, place.at, following[0], STATES[following[0]][1]), True)
        newest = (await self.now()).seq
        return Page(changes, Point(place.seq, place.at, place.seq), newest > place.seq)


FEED = web.AppKey("feed", Feed)
