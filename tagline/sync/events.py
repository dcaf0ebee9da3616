"""Events: what happens, as it happens, for everybody who listens over a lasting connection.

Each listener reads the change feed from a point of its own, and its next events are read when the last ones are on
their way. So nothing is queued for anybody: memory does not grow with who is slow, many changes of one thing become
one event, and who comes back with a cursor reads on from there. Who is at the same point shares one page of the feed,
and each form of it (a stream's bytes, a WebSocket's texts, a Socket.IO packet) is made once.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from tagline import times
from tagline.changes import Change
from tagline.db import Database
from tagline.errors import Gone, Invalid
from tagline.sync import cursors
from tagline.sync.cursors import Point
from tagline.sync.feed import Feed, Page
from tagline.sync.progress import Progress

# Changes that are read at once: a listener has at most so many on their way.
PAGE = 100
# Batches that are remembered for those who come to the same point a little later.
MOST_BATCHES = 8

_DONE = {"create": "created", "update": "updated", "delete": "deleted"}

T = TypeVar("T")


class Event(msgspec.Struct, frozen=True):
    """Something that happened: `photo_updated`, with the thing as JSON, and the cursor behind it.

    What is not in the feed has no cursor: the progress of jobs, which is told to who listens and to nobody later.
    """

    name: str
    data: bytes
    cursor: str | None = None


class Batch:
    """Events that go out together, and their forms on the wire."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self._forms: dict[Callable[[Event], Any], list[Any]] = {}

    def formed(self, form: Callable[[Event], T]) -> list[T]:
        """The events in a form, which is made once for all who ask for the same one."""
        if form not in self._forms:
            self._forms[form] = [form(event) for event in self.events]
        return self._forms[form]


class _Change(msgspec.Struct):
    """What an event needs of a change, as the feed tells it."""

    seq: int
    entity: str
    entity_id: str
    action: str
    at: str
    data: msgspec.Raw


class Events:
    """Gives listeners their events. `close` ends them all."""

    def __init__(self, db: Database, feed: Feed) -> None:
        self._feed = feed
        self._news = asyncio.Event()
        self._batches: OrderedDict[Point, tuple[Page, Batch]] = OrderedDict()
        self._progress_batch: tuple[int, int, Batch] | None = None
        self._head: Point | None = None
        self.progress = Progress(db, self._wake)
        self.closed = False

    def noticed(self, changes: list[Change]) -> None:
        """Listen to the hub, behind the feed, whose word counts on whether there is anything to read."""
        self.progress.noticed(changes)
        self._wake()

    async def close(self) -> None:
        """End all listeners, and let none begin."""
        self.closed = True
        self._wake()
        await self.progress.close()

    def _wake(self) -> None:
        # Everybody who waits has the old one; nobody's cancellation reaches the others.
        self._news.set()
        self._news = asyncio.Event()

    async def listener(self, cursor: str | None) -> "Listener":
        """Somebody who listens from a cursor on, or from now. `reset` says that the cursor does not hold any more."""
        self.progress.listen()
        heard = self.progress.newest
        if cursor:
            try:
                point = await self._feed.resume(cursor)
                # In the middle of the whole state there is more to be read than events can tell.
                if isinstance(point, Point):
                    return Listener(self, point, heard, reset=False)
            except (Invalid, Gone):
                pass
        return Listener(self, await self._now(), heard, reset=bool(cursor))

    async def _now(self) -> Point:
        """A point behind which nothing has happened yet, the same for all who begin in a quiet time."""
        if self._head is None or await self._feed.beyond(self._head.seq, 0):
            self._head = await self._feed.now()
        return self._head

    async def wait(self, point: Point, heard: int, seconds: float) -> bool:
        """Wait until there is something behind a point, or a job was heard of; False when that takes longer."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while not self.closed:
            news = self._news
            if self.progress.newest > heard or await self._feed.beyond(point.seq, 0):
                return True
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                return False
        return False

    async def batch(self, point: Point) -> tuple[Point, Batch]:
        """What the feed has behind a point, and the point behind that."""
        page = await self._feed.page(point, PAGE)
        assert isinstance(page.cursor, Point)
        known = self._batches.get(point)
        if known is None or known[0] is not page:
            known = (page, Batch(_events(point, page)))
            self._batches[point] = known
            if len(self._batches) > MOST_BATCHES:
                self._batches.popitem(last=False)
        return page.cursor, known[1]

    def heard(self, number: int) -> Batch:
        """The progress of jobs behind a number."""
        newest = self.progress.newest
        if self._progress_batch is None or self._progress_batch[:2] != (number, newest):
            states = self.progress.after(number)
            self._progress_batch = (number, newest, Batch([Event("job_progress", state) for state in states]))
        return self._progress_batch[2]


class Listener:
    """One client, and how far it is."""

    def __init__(self, events: Events, point: Point, heard: int, reset: bool) -> None:
        self._events = events
        self._point = point
        self._heard = heard
        self.reset = reset

    @property
    def closed(self) -> bool:
        """Whether there will be no more: the service ends."""
        return self._events.closed

    @property
    def first(self) -> Event:
        """What everybody is told first: from which cursor on there will be events."""
        cursor = cursors.write(self._point)
        return Event("reset" if self.reset else "ready", msgspec.json.encode({"cursor": cursor}), cursor)

    async def next(self, seconds: float) -> list[Batch]:
        """Wait for what happens next; nothing if that takes longer, or the service ends."""
        if not await self._events.wait(self._point, self._heard, seconds):
            return []
        told: list[Batch] = []
        if self._events.progress.newest > self._heard:
            told.append(self._events.heard(self._heard))
            self._heard = self._events.progress.newest
        self._point, batch = await self._events.batch(self._point)
        return [*told, batch]


def _events(point: Point, page: Page) -> list[Event]:
    """A page as events. Each has the cursor behind it: who stops in the middle reads on from there."""
    changes = [msgspec.json.decode(change, type=_Change) for change in page.each()]
    events = []
    for change in changes:
        own = Point(change.seq, times.from_text(change.at)[0], point.since)
        behind = page.cursor if change is changes[-1] else own
        gone = change.action == "delete" or change.data == b"null"
        data = msgspec.json.encode({"id": change.entity_id}) if gone else bytes(change.data)
        events.append(
            Event(f"{change.entity}_{_DONE['delete' if gone else change.action]}", data, cursors.write(behind))
        )
    return events


EVENTS = web.AppKey("events", Events)
