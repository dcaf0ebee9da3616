"""A whole folder: walked, hashed, asked about, and what the server lacks sent to it, several files at once.

Walking, hashing, asking and sending go on side by side, with short queues between them: memory does not grow with the
folder, but for the hashes (memory.py).
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Protocol

import msgspec

from tagline.client.folder import Altered, LocalFile, Stopped, Unreadable, files, sha256
from tagline.client.memory import Memory
from tagline.client.server import MOST_KNOWN, Known, Misdirected, Refused, Server, Unreachable
from tagline.client.uploading import NO_ANSWER, PASSING, Ended, Sent, Tries, Uploading, ended_by

HASHERS = 2
# What has been hashed for so long is asked about, even if it is not 1,000 files yet, s.
ASK_EVERY = 2.0
WALKED_AT_ONCE = 256
# So many files in a row for which the server has no room, and the run ends.
MOST_FULL = 3
# So many problems are told one by one.
MOST_TOLD = 1000

Hashed = tuple[LocalFile, bytes]


class Progress(Protocol):
    """Who watches."""

    def wanted(self, size: int) -> None:
        """A file of `size` bytes is going to be sent."""

    def moved(self, size: int) -> None:
        """So many bytes more are there; fewer where some were lost on the way."""

    def done(self, file: LocalFile, left: int) -> None:
        """A file is there, or will not be; `left` of its bytes need not be sent, or cannot be."""


class Problem(msgspec.Struct, frozen=True):
    """A file that was not sent, and why."""

    path: str
    why: str


class Summary(msgspec.Struct):
    """What a run did. `others` are no photos or videos; `ended` says why it ended early.

    `bytes` are those that the server got, `altered` were written to meanwhile; `would` be sent without --dry-run.
    """

    here: int = 0
    copies: int = 0
    sent: int = 0
    resumed: int = 0
    deleted: int = 0
    pending: int = 0
    altered: int = 0
    failed: int = 0
    others: int = 0
    unsent: int = 0
    would: int = 0
    bytes: int = 0
    seconds: float = 0.0
    problems: list[Problem] = []
    some_others: list[str] = []
    ended: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything is there that should be."""
        return not (self.pending or self.altered or self.failed or self.unsent or self.ended)


class Sending:
    """One run over one folder."""

    def __init__(
        self,
        server: Server,
        root: Path,
        memory: Memory,
        progress: Progress,
        *,
        parallel: int,
        patience: float,
        dry: bool,
    ) -> None:
        self.summary = Summary()
        self._server = server
        self._root = root
        self._memory = memory
        self._progress = progress
        self._parallel = parallel
        self._patience = patience
        self._dry = dry
        self._uploading = Uploading(server, root, memory, patience, self._moved)
        self._stop = threading.Event()
        self._walked: asyncio.Queue[LocalFile | None] = asyncio.Queue(WALKED_AT_ONCE)
        self._hashed: asyncio.Queue[Hashed | None] = asyncio.Queue(MOST_KNOWN)
        self._wanted: asyncio.Queue[Hashed | None] = asyncio.Queue(MOST_KNOWN)
        # What is waiting to be sent or being sent, with other files of the same content.
        self._queued: dict[bytes, list[LocalFile]] = {}
        self._reached: dict[LocalFile, int] = {}
        self._full = 0
        # Once waiting for the server's own hashes has taken too long, it is not waited for again.
        self._waited = False

    async def run(self) -> Summary:
        """Send all that the server lacks; raises Misdirected. `summary` is right also when this is cancelled."""
        begun = monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._walk())
                group.create_task(self._hash_all())
                group.create_task(self._ask_all())
                for _ in range(self._parallel):
                    group.create_task(self._send_all())
            self._memory.forget_what_is_gone()
        except* Ended as ended:
            self.summary.ended = str(_first(ended))
        except* Misdirected as misdirected:
            self.summary.ended = str(_first(misdirected))
        finally:
            self._stop.set()
            self.summary.unsent = sum(1 + len(copies) for copies in self._queued.values())
            self.summary.seconds = monotonic() - begun
        return self.summary

    async def _walk(self) -> None:
        found = files(self._root)
        while some := await asyncio.to_thread(lambda: list(islice(found, WALKED_AT_ONCE))):
            for each in some:
                if isinstance(each, Unreadable):
                    self._problem(each.path, f"cannot be read: {each.why}")
                elif digest := self._memory.hash_of(each):
                    await self._hashed.put((each, digest))
                else:
                    await self._walked.put(each)
        for _ in range(HASHERS):
            await self._walked.put(None)

    async def _hash_all(self) -> None:
        await asyncio.gather(*(self._hash() for _ in range(HASHERS)))
        await self._hashed.put(None)

    async def _hash(self) -> None:
        while file := await self._walked.get():
            try:
                digest = await asyncio.to_thread(sha256, self._root, file, self._stop)
            except Altered:
                self.summary.altered += 1
            except Stopped:
                return
            except OSError as error:
                self._problem(file.shown, f"cannot be read: {error.strerror or error}")
            else:
                if digest is None:
                    self.summary.others += 1
                    if len(self.summary.some_others) < MOST_TOLD:
                        self.summary.some_others.append(file.shown)
                else:
                    self._memory.note_hash(file, digest)
                    await self._hashed.put((file, digest))

    async def _ask_all(self) -> None:
        async for batch in _batches(self._hashed):
            asked: dict[bytes, list[LocalFile]] = {}
            for file, digest in batch:
                if digest in self._queued:
                    self._queued[digest].append(file)
                else:
                    asked.setdefault(digest, []).append(file)
            await self._sort(asked)
        for _ in range(self._parallel):
            await self._wanted.put(None)

    async def _sort(self, asked: dict[bytes, list[LocalFile]]) -> None:
        """Ask about hashes until the server can say of each of them whether it is there."""
        tries = Tries(self._patience)
        while asked:
            known = await self._known(asked)
            pending = {}
            for digest, copies in asked.items():
                name = digest.hex()
                if name in known.known:
                    self.summary.here += len(copies)
                elif name in known.deleted:
                    self.summary.deleted += len(copies)
                elif name in known.pending:
                    pending[digest] = copies
                else:
                    await self._want(digest, copies)
            if len(pending) < len(asked):
                tries = Tries(self._patience)
            asked = pending
            if asked and (self._waited or self._dry or not await tries.pause()):
                self._waited = True
                self.summary.pending += sum(map(len, asked.values()))
                return

    async def _known(self, asked: dict[bytes, list[LocalFile]]) -> Known:
        tries = Tries(self._patience)
        while True:
            waiting = None
            try:
                return await self._server.known({digest.hex(): copies[0].size for digest, copies in asked.items()})
            except Unreachable as error:
                why = str(error)
            except Refused as refused:
                why, waiting = refused.detail, refused.retry_after
                if refused.status not in PASSING:
                    raise ended_by(refused) from refused
            if not await tries.pause(waiting):
                raise Ended(NO_ANSWER.format(why))

    async def _want(self, digest: bytes, copies: list[LocalFile]) -> None:
        first, *others = copies
        if self._dry:
            self.summary.would += 1
            self.summary.copies += len(others)
            self.summary.bytes += first.size
            return
        self._queued[digest] = others
        self._progress.wanted(first.size)
        await self._wanted.put((first, digest))

    async def _send_all(self) -> None:
        while wanted := await self._wanted.get():
            file, digest = wanted
            while True:
                sent = await self._uploading.send(file, digest)
                copies = self._queued[digest]
                # A copy may still be what this one is not any more.
                again = bool(copies) and sent.fate in ("altered", "failed") and not sent.full
                if not again:
                    self._count_copies(self._queued.pop(digest), sent)
                self._count(file, sent)
                if not again:
                    break
                file = copies.pop(0)
                self._progress.wanted(file.size)

    def _count_copies(self, copies: list[LocalFile], sent: Sent) -> None:
        match sent.fate:
            case "deleted":
                self.summary.deleted += len(copies)
            case "failed":
                for copy in copies:
                    self._problem(copy.shown, sent.problem)
            case _:
                self.summary.copies += len(copies)

    def _count(self, file: LocalFile, sent: Sent) -> None:
        reached = self._reached.pop(file, 0)
        self._progress.done(file, file.size - reached)
        self._full = self._full + 1 if sent.full else 0
        match sent.fate:
            case "sent":
                self.summary.sent += 1
                self.summary.resumed += sent.resumed
            case "here":
                self.summary.here += 1
            case "deleted":
                self.summary.deleted += 1
            case "altered":
                self.summary.altered += 1
            case "failed":
                self._problem(file.shown, sent.problem)
        if self._full >= MOST_FULL:
            raise Ended("The server's disk is full. Free some space there, then run the command again.")

    def _moved(self, file: LocalFile, offset: int) -> None:
        before = self._reached.get(file)
        self._reached[file] = offset
        self._progress.moved(offset - (before or 0))
        # Where this run begins is not its work; what was lost on the way goes off again.
        self.summary.bytes += offset - before if before is not None else 0

    def _problem(self, path: str, why: str) -> None:
        self.summary.failed += 1
        if len(self.summary.problems) < MOST_TOLD:
            self.summary.problems.append(Problem(path, why))


async def _batches(queue: asyncio.Queue[Hashed | None]) -> AsyncIterator[list[Hashed]]:
    """What comes out of a queue, up to 1,000 at a time, until None does."""
    ended = False
    while not ended:
        first = await queue.get()
        if first is None:
            return
        batch = [first]
        try:
            async with asyncio.timeout(ASK_EVERY):
                while len(batch) < MOST_KNOWN:
                    found = await queue.get()
                    if found is None:
                        ended = True
                        break
                    batch.append(found)
        except TimeoutError:
            pass
        yield batch


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    one: BaseException = group
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    return one
