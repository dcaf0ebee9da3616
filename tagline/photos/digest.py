"""The digest: one read of each new file in the background gives its hash, grid thumbnail and placeholder.

What is still to be read is no list of its own: it is the photos without a hash. Newest first, since that is where
people look first.
"""

import asyncio
import importlib.util
import logging
import shutil
from typing import Any

import msgspec
from aiohttp import web

from tagline.changes import SERVICE, difference, record
from tagline.db import Database, Row, Tx
from tagline.errors import DiskFull, Gone, Unavailable
from tagline.jobs import Running
from tagline.photos.importing import PASSING
from tagline.photos.looking import Looking
from tagline.photos.photo import MAX_RANK, modified
from tagline.photos.thumbs import Thumbs
from tagline.workers import WorkerFailed

log = logging.getLogger(__name__)

PAGE = 200
# Results are written together, so many or so often (s): one commit costs as much as one result.
WRITE_MANY = 25
WRITE_EVERY = 0.5
# So long after each upload it waits for the next, s: a phone is done sooner, and thumbnails come all the same.
REST_SECONDS = 1.0


class Digested(msgspec.Struct, frozen=True):
    """What one read of a photo's file told. `sha256` is None where not even that could be read."""

    photo_id: str
    path: str
    sha256: str | None
    placeholder: str | None
    problem: str | None
    # Of the file that was read: size, mtime_ns. It counts only if that is still the one the photo was made from.
    state: tuple[int, int] | None


class DigestResult(msgspec.Struct):
    """What the background has read, and how many photos cannot be shown."""

    digested: int
    problems: int


class Digester:
    """Digests photos: all that need it as a job, or one at once when somebody asks for it."""

    def __init__(self, db: Database, looking: Looking, thumbs: Thumbs) -> None:
        self._db = db
        self._looking = looking
        self._thumbs = thumbs
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._rests_until = 0.0

    def rest(self) -> None:
        """Leave processors and disk to somebody who waits for them, for a moment."""
        self._rests_until = asyncio.get_running_loop().time() + REST_SECONDS

    async def run(self, job: Running) -> DigestResult:
        """The job `digest`: every photo that has no hash yet, with as many processes as there are."""
        result = DigestResult(0, 0)
        # What comes while this runs may be newer than all that was looked at: as long as there was something to
        # write, there may be more.
        while await self._read_all(job, result):
            pass
        await job.progress(result.digested, result.digested, "", now=True)
        return result

    async def _read_all(self, job: Running, result: DigestResult) -> int:
        """Read every photo that is unread now; gives how many have been read."""
        total = result.digested + await self._db.value("library.unread_total")
        already = result.digested
        before = MAX_RANK
        results: list[Digested] = []
        clock = asyncio.get_running_loop().time
        written = clock()
        under_way: set[asyncio.Task[Digested | None]] = set()
        try:
            while rows := await self._db.rows("library.unread", before=before, take=PAGE):
                before = rows[-1]["taken_rank"]
                for row in rows:
                    while (rest := self._rests_until - clock()) > 0:  # noqa: ASYNC110 - it is the clock that is waited for
                        await asyncio.sleep(rest)
                    under_way.add(asyncio.create_task(self._read(row, urgent=False)))
                    # One more than there are processes, so that none waits for us.
                    if len(under_way) > self._looking.processes:
                        under_way = await self._next(under_way, results)
                    if len(results) >= WRITE_MANY or (results and clock() - written > WRITE_EVERY):
                        await self._write(results, result)
                        written = clock()
                        total = max(total, result.digested)
                        await job.progress(result.digested, total, "reading new photos")
            while under_way:
                under_way = await self._next(under_way, results)
            await self._write(results, result)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return result.digested - already

    async def now(self, row: Row) -> None:
        """Digest one photo at once; who asks for the same meanwhile waits for the same.

        Raises Unavailable where its file is gone, or not the one that the photo was made from any more.
        """
        task = self._under_way.get(row["id"])
        if task is None:
            task = asyncio.create_task(self._one(row))
            self._under_way[row["id"]] = task
            task.add_done_callback(lambda _: self._under_way.pop(row["id"], None))
        await asyncio.shield(task)

    async def _one(self, row: Row) -> None:
        digested = await self._read(row, urgent=True)
        if digested is None or not await self._db.write_again_if_lost(write_digests, [digested]):
            raise Unavailable("The photo's file cannot be read now.", code="still_being_written", retry_after=5)

    async def _next(
        self, under_way: set[asyncio.Task[Digested | None]], results: list[Digested]
    ) -> set[asyncio.Task[Digested | None]]:
        ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        results += [digested for task in ended if (digested := task.result())]
        return under_way

    async def _write(self, results: list[Digested], result: DigestResult) -> None:
        if results:
            result.digested += await self._db.write_again_if_lost(write_digests, results)
            result.problems += sum(digested.problem is not None for digested in results)
            results.clear()

    async def _read(self, row: Row, *, urgent: bool) -> Digested | None:
        """Read one file; None if that has to wait: it is gone, or being written."""
        photo_id, path = row["id"], row["object_key"]
        part = self._thumbs.part(photo_id)
        try:
            answer = await self._looking.digest(path, part, urgent=urgent)
        except Gone:
            return None
        except WorkerFailed as failure:
            if failure.code in PASSING:
                return None
            if failure.code == "disk_full":
                raise DiskFull(
                    "The disk with Tagline's cache is full; thumbnails wait until there is space."
                ) from failure
            log.warning("%s: %s (%s)", path, failure.detail, failure.code)
            return await self._hash_only(row, failure.code)
        problem = answer["image_error"]
        if problem and problem["code"] == "disk_full":
            raise DiskFull("The disk with Tagline's cache is full; thumbnails wait until there is space.")
        if problem and problem["code"] == "not_writable":
            log.warning("the cache of thumbnails cannot be written; they are made when somebody asks for them")
            problem = None
        if answer["thumbnails"]:
            await self._thumbs.keep(part, answer["sha256"])
            problem = None  # damaged, but there is something to see
        state = _state(answer)
        return Digested(
            photo_id,
            path,
            answer["sha256"],
            answer["placeholder"],
            problem["code"] if problem else None,
            state,
        )

    async def _hash_only(self, row: Row, problem: str) -> Digested:
        """The pixels cost a worker its life: what they hash to is worth knowing all the same."""
        entry = await self._looking.entry(row["object_key"])
        sha256 = await self._looking.sha256(entry) if entry else None
        state = (entry.size, entry.mtime_ns) if entry else None
        return Digested(row["id"], row["object_key"], sha256, None, problem, state)


def _state(answer: dict[str, Any]) -> tuple[int, int]:
    return answer["size"], answer["mtime_ns"]


def write_digests(tx: Tx, results: list[Digested]) -> int:
    """Write what the files told, as far as they are still what the photos were made from. How many that were."""
    written = 0
    for digested in results:
        photo = tx.row("library.photo", id=digested.photo_id)
        file = tx.row("library.file", path=digested.path)
        if not photo or not file or file["photo_id"] != digested.photo_id or photo["object_key"] != digested.path:
            continue
        if digested.state and digested.state[0] != file["size"]:
            continue  # changed since; the next scan will see it
        if digested.sha256 and photo["content_hash"] not in (None, digested.sha256):
            # The headers could not tell (same length, same ends), the hash does: it was edited in the middle.
            tx.run(
                "library.changed_in_the_middle",
                id=photo["id"],
                last_modified=modified(tx, photo["last_modified"]),
            )
        version = tx.value(
            "library.digested", id=photo["id"], sha256=digested.sha256, content_hash=digested.sha256,
            placeholder=digested.placeholder, problem=digested.problem,
        )  # fmt: skip
        after = {
            "sha256": photo["sha256"] or digested.sha256, "content_hash": digested.sha256 or photo["content_hash"],
            "placeholder": digested.placeholder, "problem": digested.problem,
        }  # fmt: skip
        if changed := difference({name: photo[name] for name in after}, after):
            record(tx, SERVICE, "photo", photo["id"], "update", version, changed)
        if digested.sha256 and photo["sha256"] is None:
            # Content that was deleted for good and lies in the library's folder again is wanted again.
            tx.run("library.unburied", sha256=digested.sha256)
        written += 1
    return written


def retry_with_new_tools(tx: Tx) -> None:
    """Read again what could not be shown for want of a tool that has been installed since."""
    if shutil.which("ffmpeg"):
        tx.run("library.retry", problem="no_ffmpeg")
    if importlib.util.find_spec("pillow_heif"):
        tx.run("library.retry", problem="heif_not_installed")


DIGESTER = web.AppKey("digester", Digester)
