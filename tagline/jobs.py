"""Jobs: long work in a table, so that it shows its progress, can be cancelled, and survives a restart."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web

from tagline import times
from tagline.changes import SERVICE, Actor, Change, record
from tagline.db import Database, Row, Tx
from tagline.errors import Conflict, NotFound, Problem

log = logging.getLogger(__name__)

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

# Progress reaches the table at most so often, s.
PROGRESS_EVERY = 0.5
FIRST_RETRY_SECONDS = 10
# How long to wait where the table cannot be written, since the disk is full or away, s.
TRY_AGAIN_SECONDS = 5.0
KEPT_DAYS = 30


class Job(msgspec.Struct):
    """A job as the API gives it. `total` is null while nobody knows; `error` says why it failed, or did last time."""

    id: str
    kind: str
    state: State
    done: int
    total: int | None
    message: str
    error: str | None
    result: Any
    tries: int
    created_at: str
    started_at: str | None
    ended_at: str | None


class Running:
    """A job at work: its payload, and a way to tell how far it is."""

    def __init__(self, db: Database, job_id: str, payload: Any, tell: Callable[[str], None]) -> None:
        self.id = job_id
        self.payload = payload
        self._db = db
        self._tell = tell
        self._told = 0.0

    async def progress(self, done: int, total: int | None, message: str = "", *, now: bool = False) -> None:
        """Tell how far the work is; written down at most twice a second unless `now`."""
        clock = asyncio.get_running_loop().time()
        if now or clock - self._told >= PROGRESS_EVERY:
            self._told = clock
            await self._db.write_again_if_lost(_progress, self.id, done, total, message)
            self._tell(self.id)

    async def asks_for(self, name: str) -> bool:
        """Whether the payload has something; who joined the job since it began may have asked for it."""
        payload = msgspec.json.decode(await self._db.value("jobs.payload", id=self.id))
        return isinstance(payload, dict) and bool(payload.get(name))


Work = Callable[[Running], Awaitable[Any]]


class _Kind(msgspec.Struct, frozen=True):
    work: Work
    tries: int
    again: bool


class Jobs:
    """Runs queued jobs, one of each kind at a time. `start` and `close` belong to the app's life."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kinds: dict[str, _Kind] = {}
        self._running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._again: set[str] = set()
        self._waiting: dict[str, set[asyncio.Future[Problem | None]]] = {}
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[str], None]] = []
        self._dispatcher: asyncio.Task[None] | None = None

    def register(self, kind: str, work: Work, *, tries: int = 1, again: bool = False) -> None:
        """Say how jobs of a kind are done, and how often they are tried.

        With `again`, one that is asked for while it runs is run once more, since what it looked at may have grown.
        """
        self._kinds[kind] = _Kind(work, tries, again)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the id of each job that begins or comes further here; it must be quick and not raise.

        That a job is queued or has ended is told in the change feed.
        """
        self._listeners.append(listener)

    def _further(self, job_id: str) -> None:
        for listener in self._listeners:
            listener(job_id)

    async def start(self) -> None:
        """Begin to run jobs, those first that were running when the service ended."""
        await self._db.write(_recover)
        self._dispatcher = asyncio.create_task(self._dispatch())

    async def close(self) -> None:
        """Stop; what was running will run again at the next start."""
        tasks = [task for _, task in self._running.values()]
        if self._dispatcher:
            tasks.append(self._dispatcher)
        self._dispatcher = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def add(self, kind: str, payload: Any = None, actor: Actor = SERVICE) -> str:
        """Queue a job and give its id: for single kinds that of the one that is open already, if there is one."""
        job_id: str = await self._db.write(add, kind, payload, actor)
        self.added(kind, job_id)
        return job_id

    def added(self, kind: str, job_id: str) -> None:
        """A job was queued by `add` in a transaction of somebody's own, which has committed."""
        if job_id not in self._running:
            self._wake.set()
        elif self._kinds[kind].again:
            self._again.add(job_id)

    async def ended(self, job_id: str) -> Job:
        """Wait until a job has ended, and give it as it is then; raises what keeps its end from being written."""
        while True:
            told: asyncio.Future[Problem | None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(job_id, set()).add(told)
            try:
                job = await get(self._db, job_id)
                if job.state not in ("queued", "running"):
                    return job
                if problem := await told:
                    raise problem
            finally:
                self._waiting[job_id].discard(told)
                if not self._waiting[job_id]:
                    del self._waiting[job_id]

    async def cancel(self, job_id: str, actor: Actor) -> Job:
        """Cancel a job that has not ended; raises NotFound, Conflict if it has."""
        await self._db.write(_cancel, job_id, actor)
        _, task = self._running.get(job_id, ("", None))
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tell(job_id)
        return await get(self._db, job_id)

    def noticed(self, changes: list[Change]) -> None:
        """Listen to the change feed: another process may have queued a job."""
        if any(change.entity == "job" and change.action == "create" for change in changes):
            self._wake.set()

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._start_next()
            except Problem as problem:
                log.warning("jobs wait: %s", problem.detail)
                wait = TRY_AGAIN_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _start_next(self) -> float | None:
        """Start whatever may run now; gives the seconds until the next job is due, None if there is none."""
        while True:
            busy = {kind for kind, _ in self._running.values()}
            # Jobs of a kind that is busy are not due: its end wakes the dispatcher.
            free = msgspec.json.encode([kind for kind in self._kinds if kind not in busy]).decode()
            claimed = await self._db.write(_claim, free)
            if not claimed:
                due = await self._db.value("jobs.due", kinds=free)
                return None if due is None else max(0.05, (due - times.now()) / 1_000_000)
            task = asyncio.create_task(self._run(claimed))
            self._running[claimed["id"]] = (claimed["kind"], task)
            self._further(claimed["id"])

    async def _run(self, claimed: Row) -> None:
        job_id = claimed["id"]
        try:
            end = await self._outcome(claimed)
            while True:
                try:
                    await self._db.write(end)
                    if job_id in self._again:
                        await self.add(claimed["kind"])
                    return
                except Problem as problem:
                    # Until its end is written it counts as running; who waits for it is told why at once.
                    log.warning("the end of job %s cannot be written down: %s", job_id, problem.detail)
                    self._tell(job_id, problem)
                    await asyncio.sleep(TRY_AGAIN_SECONDS)
        finally:
            self._running.pop(job_id, None)
            self._again.discard(job_id)
            self._tell(job_id)
            self._wake.set()

    async def _outcome(self, claimed: Row) -> Callable[[Tx], None]:
        """Do the work; gives what is to be written down of how it ended."""
        job_id, kind = claimed["id"], self._kinds[claimed["kind"]]
        try:
            result = await kind.work(Running(self._db, job_id, msgspec.json.decode(claimed["payload"]), self._further))
            encoded = None if result is None else msgspec.json.encode(result).decode()
            return partial(_end, job_id=job_id, state="succeeded", error=None, result=encoded)
        except Exception as error:
            known = isinstance(error, Problem)
            level = logging.WARNING if known else logging.ERROR
            log.log(level, "job %s (%s) failed: %s", job_id, claimed["kind"], error,
                    exc_info=None if known else error)  # fmt: skip
            why = error.detail if isinstance(error, Problem) else "Something went wrong; the log has the details."
            if claimed["tries"] < kind.tries:
                later = FIRST_RETRY_SECONDS * 4 ** (claimed["tries"] - 1)
                return partial(_again, job_id=job_id, error=why, seconds=later)
            code = msgspec.json.encode(error.code).decode() if isinstance(error, Problem) else None
            return partial(_end, job_id=job_id, state="failed", error=why, result=code)

    def _tell(self, job_id: str, problem: Problem | None = None) -> None:
        for waiting in self._waiting.get(job_id, ()):
            if not waiting.done():
                waiting.set_result(problem)


def add(tx: Tx, kind: str, payload: Any, actor: Actor) -> str:
    """Queue a job; gives the id of the open one of a single kind where there is one."""
    job_id = str(uuid.uuid4())
    row = tx.row(
        "jobs.add", id=job_id, kind=kind, payload=msgspec.json.encode(payload).decode(), run_after=tx.at,
        created_by=actor.id, at=tx.at,
    )  # fmt: skip
    if row:
        record(tx, actor, "job", job_id, "create", 1, {"kind": kind})
        return job_id
    joined: str = tx.value("jobs.open", kind=kind)
    if payload:
        tx.run("jobs.amend", id=joined, payload=msgspec.json.encode(payload).decode())
    return joined


def _claim(tx: Tx, kinds: str) -> Row | None:
    return tx.row("jobs.claim", kinds=kinds, now=tx.at)


def _recover(tx: Tx) -> None:
    tx.rows("jobs.requeue", at=tx.at)
    tx.run("jobs.purge", before=tx.at - KEPT_DAYS * 24 * 3600 * 1_000_000)


def _progress(tx: Tx, job_id: str, done: int, total: int | None, message: str) -> None:
    tx.run("jobs.progress", id=job_id, done=done, total=total, message=message)


def _end(tx: Tx, job_id: str, state: State, error: str | None, result: str | None) -> None:
    if tx.row("jobs.end", id=job_id, state=state, error=error, result=result, at=tx.at):
        record(tx, SERVICE, "job", job_id, "update", 1, {"state": state})


def _again(tx: Tx, job_id: str, error: str, seconds: int) -> None:
    if tx.row("jobs.again", id=job_id, error=error, run_after=tx.at + seconds * 1_000_000):
        record(tx, SERVICE, "job", job_id, "update", 1, {"state": "queued"})


def _cancel(tx: Tx, job_id: str, actor: Actor) -> None:
    if not tx.row("jobs.job", id=job_id):
        raise NotFound("Job not found")
    if not tx.row("jobs.end", id=job_id, state="cancelled", error=None, result=None, at=tx.at):
        raise Conflict("The job has ended already", code="job_ended")
    record(tx, actor, "job", job_id, "update", 1, {"state": "cancelled"})


async def get(db: Database, job_id: str) -> Job:
    """One job; raises NotFound."""
    row = await db.row("jobs.job", id=job_id)
    if not row:
        raise NotFound("Job not found")
    return from_row(row)


def from_row(row: Row) -> Job:
    """A row of the table as the API gives it."""
    at = {name: times.to_text(row[name]) if row[name] is not None else None for name in ("started_at", "ended_at")}
    result = None if row["result"] is None else msgspec.Raw(row["result"].encode())
    return Job(
        row["id"], row["kind"], row["state"], row["done"], row["total"], row["message"], row["error"], result,
        row["tries"], times.to_text(row["created_at"]), at["started_at"], at["ended_at"],
    )  # fmt: skip


JOBS = web.AppKey("jobs", Jobs)
