"""The database: one writer, a few readers, queries by name. Only this module and `sql/` know that it is SQLite.

A write is a plain function of a transaction, `def edit_line(tx, …)`, and runs whole on the writer's thread:
`await db.write(edit_line, …)`. So nothing else can be awaited inside a transaction, a cancelled request leaves
none half done, and writes that arrive together share one commit, which on an SD card is what a write costs
(docs/decisions/0001).
"""

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosql
import aiosqlite
from aiohttp import web

from tagline import times
from tagline.errors import FULL, DiskFull, Unavailable

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
Row = sqlite3.Row

READERS = 3
# Writes that wait for each other are committed together, up to so many or so long (s).
GROUP_WRITES = 64
GROUP_SECONDS = 0.02


@cache
def queries() -> dict[str, str]:
    """The text of every query in sql/queries, by `file.name`. Read once, by aiosql."""
    texts: dict[str, str] = {}
    for file in sorted(resources.files("tagline.sql").joinpath("queries").iterdir(), key=lambda file: file.name):
        # What only SQLite can stands in files of that name.
        feature, _, ending = file.name.replace("_sqlite.", ".").rpartition(".")
        if ending == "sql":
            loaded = aiosql.from_str(file.read_text(encoding="utf-8"), "sqlite3", mandatory_parameters=True)
            for name in loaded.available_queries:
                if not name.endswith("_cursor"):
                    texts[f"{feature}.{name}"] = getattr(loaded, name).sql
    return texts


class Tx:
    """A transaction on the writer's thread. `at` is its time, µs; `committed` is what to tell after the commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queries = queries()
        self.at = times.now()
        self.committed: list[Any] = []

    def rows(self, query: str, /, **parameters: Any) -> list[Row]:
        """All rows of a query."""
        return self._connection.execute(self._queries[query], parameters).fetchall()

    def row(self, query: str, /, **parameters: Any) -> Row | None:
        """The first row of a query, or None."""
        row: Row | None = self._connection.execute(self._queries[query], parameters).fetchone()
        return row

    def value(self, query: str, /, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.row(query, **parameters)
        return row[0] if row else None

    def run(self, query: str, /, **parameters: Any) -> int:
        """Execute a statement; gives the number of rows that it touched."""
        return self._connection.execute(self._queries[query], parameters).rowcount


class _Write:
    """A write in the writer's queue, and what became of it."""

    __slots__ = ("call", "committed", "durable", "error", "future", "result")

    def __init__(self, call: Callable[[Tx], Any], durable: bool, future: asyncio.Future[Any]) -> None:
        self.call = call
        self.durable = durable
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.committed: list[Any] = []


class Database:
    """Opened by `opened(path)`. Reads go to whichever reader is next; writes queue for the one writer."""

    def __init__(self, path: Path, tell: Callable[[list[Any]], None] | None = None) -> None:
        self.path = path
        self.tell = tell or (lambda changes: None)
        self._queries = queries()
        self._readers: list[aiosqlite.Connection] = []
        self._next_reader = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writer: sqlite3.Connection | None = None
        self._queue: deque[_Write] = deque()
        # What nobody waits for at a screen: it lets the others pass.
        self._later: deque[_Write] = deque()
        self._draining = False
        self._flushing = True

    async def open(self) -> None:
        """Open all connections."""
        self._writer = await asyncio.get_running_loop().run_in_executor(self._thread, _connect_writer, self.path)
        for _ in range(READERS):
            self._readers.append(await connect_reader(self.path))

    async def close(self) -> None:
        """Finish the writes that are queued, then close every connection."""
        in_thread = asyncio.get_running_loop().run_in_executor
        try:
            # Its turn comes behind what the writer does now, and a drain that follows from that is queued by then.
            await in_thread(self._thread, lambda: None)
        finally:
            for reader in self._readers:
                await reader.close()
        if self._writer:
            await in_thread(self._thread, self._writer.close)
        self._thread.shutdown()

    # Reading

    async def rows(self, query: str, /, **parameters: Any) -> list[Row]:
        """All rows of a query, from one of the readers."""
        self._next_reader = (self._next_reader + 1) % READERS
        try:
            rows = await self._readers[self._next_reader].execute_fetchall(self._queries[query], parameters)
        except sqlite3.Error as error:
            raise trouble(error) from error
        return rows  # type: ignore[return-value]  # a list, whatever aiosqlite declares

    async def row(self, query: str, /, **parameters: Any) -> Row | None:
        """The first row of a query, or None."""
        rows = await self.rows(query, **parameters)
        return rows[0] if rows else None

    async def value(self, query: str, /, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        rows = await self.rows(query, **parameters)
        return rows[0][0] if rows else None

    # Writing

    async def write(self, call: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `call(tx, …)` in one transaction and give its result once that is on the disk.

        An exception of `call` undoes what it wrote and is raised here; a full disk is DiskFull. A caller
        that is cancelled does not undo the write: it may have happened.
        """
        result: R = await self._queued(lambda tx: call(tx, *args, **kwargs), durable=True)
        return result

    async def write_again_if_lost(self, call: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for what is found out again if a power cut takes it (a scan's findings): it waits for no disk."""
        result: R = await self._queued(lambda tx: call(tx, *args, **kwargs), durable=False)
        return result

    def _queued(self, call: Callable[[Tx], Any], *, durable: bool) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        write = _Write(call, durable, loop.create_future())
        (self._queue if durable else self._later).append(write)
        if not self._draining:
            self._draining = True
            self._thread.submit(self._drain, loop)
        return write.future

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the writer's thread: commit what is queued, group by group, those first for which somebody waits."""
        while True:
            group: list[_Write] = []
            self._commit_group(group)
            loop.call_soon_threadsafe(self._deliver, group)
            if not self._queue and not self._later:
                loop.call_soon_threadsafe(self._drained, loop)
                return

    def _drained(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the event loop, as `write` is: a write that slipped in behind the last look starts the next drain."""
        if self._queue or self._later:
            self._thread.submit(self._drain, loop)
        else:
            self._draining = False

    def _commit_group(self, group: list[_Write]) -> None:
        """One transaction: the first write that waits and, each in a savepoint of its own, those behind it."""
        waiting = self._queue or self._later
        group.append(waiting.popleft())
        durable = group[0].durable
        assert self._writer is not None
        try:
            if durable != self._flushing:
                self._writer.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                self._flushing = durable
            self._writer.execute("begin immediate")
            deadline = time.monotonic() + GROUP_SECONDS
            self._attempt(self._writer, group[0])
            while waiting and len(group) < GROUP_WRITES and time.monotonic() < deadline:
                group.append(waiting.popleft())
                self._attempt(self._writer, group[-1])
            self._writer.execute("commit")
        except BaseException as error:  # then nothing of the group was written, and all of it is told so
            if self._writer.in_transaction:
                self._writer.execute("rollback")
            for write in group:
                write.error = write.error or trouble(error)

    def _attempt(self, writer: sqlite3.Connection, write: _Write) -> None:
        """Run one write. Its own fault undoes only itself; one that ended SQLite's transaction ends the group."""
        writer.execute("savepoint attempt")
        tx = Tx(writer)
        try:
            write.result = write.call(tx)
            write.committed = tx.committed
        except BaseException as error:
            write.error = trouble(error)
            if not writer.in_transaction:
                raise
            writer.execute("rollback to attempt")
        writer.execute("release attempt")

    def _deliver(self, group: list[_Write]) -> None:
        """On the event loop: tell the changes first, so that who waited finds every listener informed."""
        told = [change for write in group if not write.error for change in write.committed]
        if told:
            self.tell(told)
        for write in group:
            if write.future.cancelled():
                continue
            if write.error is None:
                write.future.set_result(write.result)
            else:
                write.future.set_exception(write.error)


def trouble(error: BaseException) -> BaseException:
    """What a fault of the database means to a client; other faults stay what they are."""
    name = getattr(error, "sqlite_errorname", "")
    if name in ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE") or (
        isinstance(error, OSError) and error.errno in FULL
    ):
        return DiskFull("The disk with Tagline's data is full, nothing was changed. Free some space and try again.")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable("The database is busy, nothing was changed. Try again.", code="database_busy", retry_after=2)
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY")):
        log.error("the database cannot be used: %s (%s)", error, name)
        return Unavailable("The database cannot be used at the moment.", code="database_unavailable")
    return error


def _connect_writer(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # The timeout comes first: changing the journal mode needs the lock as well.
    connection.execute("pragma busy_timeout = 10000")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma journal_size_limit = 67108864")
    # 16 MB: a scan writes the same pages again and again, and each checkpoint writes them once.
    connection.execute("pragma wal_autocheckpoint = 4000")
    return connection


async def connect_reader(path: Path) -> aiosqlite.Connection:
    """A connection that cannot change the database; who opens it closes it."""
    connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
    connection.row_factory = sqlite3.Row
    await connection.execute_fetchall("pragma busy_timeout = 10000")
    await connection.execute_fetchall("pragma query_only = on")
    # A page of a list is 20 of these pages, a hundred photos from all over the library 300: with half of this they are
    # read twice. The system keeps the rest of the file in memory better than we would.
    await connection.execute_fetchall("pragma cache_size = -2000")
    return connection


@asynccontextmanager
async def opened(path: Path, tell: Callable[[list[Any]], None] | None = None) -> AsyncIterator[Database]:
    """The database at `path`, migrated already, and closed at the end."""
    database = Database(path, tell)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


DB = web.AppKey("db", Database)
