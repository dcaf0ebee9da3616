"""The scan: what lies in the library's folders, compared with what is known, and the difference taken in.

A walk notes every file; SQL tells which are new, changed, renamed or gone; workers look at the headers of the new
and changed ones; batches are written one by one, so that a scan can end at any moment and the next one goes on.
Nothing is believed to be gone before all that is new has been looked at: it may have moved.
"""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from tagline import times
from tagline.config import Config
from tagline.db import Database
from tagline.errors import DiskFull
from tagline.jobs import Jobs, Running
from tagline.photos import importing
from tagline.photos.comparing import BEYOND, Comparison, comparison
from tagline.photos.importing import Outcome
from tagline.photos.looking import Looking
from tagline.photos.verifying import verified
from tagline.storage.provider import Absent, Away, Entry, Storage, Unreadable

log = logging.getLogger(__name__)

MARKER = ".tagline-library"
BATCH = 64
# Files that the database compares or loses in one go; a login waits no longer than one of these takes.
STEP = 200
MOST_TOLD = 1000


class ScanError(msgspec.Struct):
    """A file or folder that could not be taken in, and why."""

    path: str
    code: str
    detail: str


class ScanResult(msgspec.Struct):
    """What a scan did. `status` is `warning` when the library looked emptied and nothing was marked missing; `imported`
    lists at most 1,000 ids, `errors` at most 1,000. `updated`: files that were edited; `moved`: renamed ones;
    `found`: missing ones that came back; `duplicates`: further copies; `skipped`: files that are no photos."""

    status: str = "ok"
    imported: list[str] = []
    imported_count: int = 0
    skipped: int = 0
    unchanged: int = 0
    updated: int = 0
    moved: int = 0
    found: int = 0
    duplicates: int = 0
    missing: int = 0
    errors: list[ScanError] = []
    error_count: int = 0
    warning: str | None = None
    duration_s: float = 0.0


class Emptied(Exception):
    """The library does not look like itself; the text names what is odd."""


class Scanner:
    """Scans one library, one scan at a time."""

    def __init__(self, config: Config, db: Database, storage: Storage, looking: Looking, jobs: Jobs) -> None:
        self._config = config
        self._db = db
        self._storage = storage
        self._looking = looking
        self._jobs = jobs
        self._alone = asyncio.Lock()
        # Why the library was last not believed, and in which folders; None once a scan of these was fine.
        self.warning: str | None = None
        self._doubted: set[str] = set()

    async def run(self, job: Running) -> ScanResult:
        """The job `scan`: the whole library. Its payload may have `accept_missing`."""
        async with self._alone:
            result = await self._scan([""], job)
            if result.warning and await job.asks_for("accept_missing"):
                # Who accepts it joined this scan when it had decided already.
                result = await self._scan([""], job)
            return result

    async def folders(self, folders: list[str]) -> ScanResult:
        """Some folders (keys with a slash at the end) and what is below them: where the watcher saw something."""
        async with self._alone:
            return await self._scan(folders, None)

    async def _scan(self, folders: list[str], job: Running | None) -> ScanResult:
        began = time.monotonic()
        result = ScanResult()
        async with comparison(self._db.path) as compared:
            scan = _Scan(self._db, self._storage, self._looking, compared, result, job)
            try:
                await scan.walk(folders)
                await scan.take_in_renamed(folders)
                await scan.take_in_new()
                await scan.lose_gone(folders, self._config.max_missing_percent)
                await scan.count_others()
            except Emptied as odd:
                result.status = "warning"
                result.warning = (
                    f"{odd} Nothing was marked missing. If the photos are really gone, scan with "
                    "accept_missing=true (tagline scan --accept-missing); else bring the disk back and scan again."
                )
                log.warning("scan: %s", result.warning)
        if await self._db.value("library.unread_total"):
            await self._jobs.add("digest")
        result.duration_s = round(time.monotonic() - began, 3)
        self._remember(folders, result.warning)
        if told := _summary(result, scan.broken):
            log.info("scan: %s in %.1f s", told, result.duration_s)
        return result

    def _remember(self, folders: list[str], warning: str | None) -> None:
        if warning:
            self.warning = warning
            self._doubted.update(folders)
            return
        self._doubted = {each for each in self._doubted if not each.startswith(tuple(folders))}
        if not self._doubted:
            self.warning = None


class _Scan:
    """One run: its comparison, its result so far, and its steps in their order."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        looking: Looking,
        compared: Comparison,
        result: ScanResult,
        job: Running | None,
    ) -> None:
        self._db = db
        self._storage = storage
        self._looking = looking
        self._compared = compared
        self._result = result
        self._job = job
        self._began = times.now()
        # Files that were looked into now, and could not be taken in.
        self.broken = 0
        # How far the change feed was before the walk.
        self._since = 0
        # Of files and folders that could not be read, from where to where paths are unknown, not gone.
        self._unknown: list[tuple[str, str]] = []

    async def walk(self, folders: list[str]) -> None:
        """Note every file below the folders. Raises Emptied if this does not look like the library that is known."""
        known = await self._compared.number("known")
        self._since = await self._compared.number("newest_change")
        try:
            for folder in folders:
                await self._walk(folder)
        except Away:
            if not known or await self._storage.present():
                raise
            if not await self._accepts_missing():
                raise Emptied("The library's folder is gone.") from None
        accept_missing = await self._accepts_missing()
        if known and not accept_missing:
            if folders == [""] and not await self._compared.number("seen"):
                raise Emptied(f"The library's folder is empty, with {known} photos known.")
            if not await self._marker_is_ours():
                raise Emptied(f"The library's marker file {MARKER} is missing or another library's.")
        await self._put_marker(accept_missing)
        self._result.unchanged = await self._compared.number("unchanged")

    async def _accepts_missing(self) -> bool:
        return self._job is not None and await self._job.asks_for("accept_missing")

    async def _walk(self, folder: str) -> None:
        seen = 0
        async for batch in self._storage.walk(folder):
            await self._compared.see([entry for entry in batch if isinstance(entry, Entry)])
            for unreadable in batch:
                if isinstance(unreadable, Unreadable):
                    self._report(unreadable.path, unreadable.code, unreadable.detail)
                    path = unreadable.path
                    bounds = (f"{path}/", f"{path}/{BEYOND}") if unreadable.is_directory else (path, f"{path}\0")
                    self._unknown.append(bounds)
            seen += len(batch)
            await self._progress(0, None, f"looked at {seen} files")

    async def _marker_is_ours(self) -> bool:
        ours = await self._db.value("library.setting", name="library_marker")
        return ours is None or ours == await self._marker()

    async def _marker(self) -> str | None:
        try:
            async with await self._storage.open(MARKER, prefetch=1024) as opened:
                [content] = await opened.read([(0, min(opened.entry.size, 1024))])
                return content.decode("utf-8", "replace").strip()
        except Absent:
            return None

    async def _put_marker(self, accept_missing: bool) -> None:
        """Mark the library as ours, at the first scan and whenever its marker was accepted to be missing."""
        ours = await self._db.value("library.setting", name="library_marker")
        if not self._storage.writable or not await self._storage.present():
            return
        if ours is None or (accept_missing and ours != await self._marker()):
            marker = await self._marker() or str(uuid.uuid4())

            async def content() -> AsyncIterator[bytes]:
                yield f"{marker}\n".encode()

            try:
                await self._storage.store(MARKER, content(), overwrite=True)
            except DiskFull as full:
                # Photos on a full disk can still be looked at; it is marked when there is room.
                log.warning("scan: the library's marker file %s cannot be written: %s", MARKER, full.detail)
                return
            await self._db.write(lambda tx: tx.run("library.set", name="library_marker", value=marker))

    async def take_in_renamed(self, folders: list[str]) -> None:
        """Files that were renamed keep inode, size and time: they are known without reading them."""
        whole = folders == [""]
        async for rows in self._compared.pages("renamed", STEP):
            renamed = [
                (row["path"], row["old_path"], row["photo_id"], row["size"], row["mtime_ns"], row["inode"])
                for row in rows
                # In a folder that was not walked, the old name may still be there: then this is a hard link.
                if whole or await self._storage.stat(row["old_path"]) is None
            ]
            self._result.moved += await self._db.write_again_if_lost(importing.move_files, renamed)

    async def take_in_new(self) -> None:
        """Look into new and changed files, a few batches at a time, and write what they are."""
        total = await self._compared.number("to_read")
        done = 0
        under_way: set[asyncio.Task[int]] = set()
        try:
            async for rows in self._compared.pages("next_to_read", BATCH):
                entries = [Entry(row["path"], row["size"], row["mtime_ns"], row["inode"]) for row in rows]
                under_way.add(asyncio.create_task(self._take_in(entries)))
                if len(under_way) > self._looking.processes:
                    ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    done += sum(task.result() for task in ended)
                    await self._progress(done, total, f"{self._result.imported_count} new photos")
            while under_way:
                ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                done += sum(task.result() for task in ended)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        await self._progress(done, total, f"{self._result.imported_count} new photos", now=True)

    async def _take_in(self, entries: list[Entry]) -> int:
        batch = await self._looking.headers(entries)
        while batch:
            outcomes = await self._db.write_again_if_lost(importing.take_in, batch)
            self._count(outcomes)
            batch = [
                await verified(self._storage, self._looking, outcome.found, outcome.candidates)
                for outcome in outcomes
                if outcome.fate == "verify"
            ]
        return len(entries)

    def _count(self, outcomes: list[Outcome]) -> None:
        result = self._result
        fates = Counter(outcome.fate for outcome in outcomes)
        result.imported_count += fates["imported"]
        result.updated += fates["updated"]
        result.moved += fates["moved"]
        result.found += fates["found"]
        result.duplicates += fates["duplicate"]
        result.unchanged += fates["touched"]
        self.broken += fates["error"]
        for outcome in outcomes:
            if outcome.fate == "imported" and outcome.photo_id and len(result.imported) < MOST_TOLD:
                result.imported.append(outcome.photo_id)
            elif outcome.fate == "error":
                answer = outcome.found.answer
                self._report(outcome.found.entry.key, answer["error"], answer.get("detail") or "It cannot be read.")

    def _report(self, path: str, code: str, detail: str) -> None:
        self._result.error_count += 1
        if len(self._result.errors) < MOST_TOLD:
            self._result.errors.append(ScanError(path, code, detail))

    async def lose_gone(self, folders: list[str], max_percent: int) -> None:
        """Mark as missing what is gone, unless that is so much that it cannot be true."""
        await self._look_again()
        known = await self._compared.number("known")
        bounds = [{"below": folder, "beyond": folder + BEYOND} for folder in folders]
        gone = [await self._compared.number("gone_in", **bound) for bound in bounds]
        unknown = [
            await self._compared.number("gone_in", below=below, beyond=beyond) for below, beyond in self._unknown
        ]
        gone_for_sure = max(0, sum(gone) - sum(unknown))
        if gone_for_sure * 100 > known * max_percent and not await self._accepts_missing():
            raise Emptied(f"{gone_for_sure} of {known} known files are gone, more than {max_percent} percent.")
        for bound in bounds:
            async for rows in self._compared.pages("next_gone", STEP, **bound):
                lost = [(row["path"], row["photo_id"]) for row in rows if not self._is_unknown(row["path"])]
                await self._db.write_again_if_lost(importing.lose_paths, lost)
        # Those count as well whose file was overwritten by another.
        self._result.missing = await self._compared.number("lost_since", at=self._began)

    async def _look_again(self) -> None:
        """See what people put into the library, or moved in it, behind the walk's back: by an upload, say."""
        async for rows in self._compared.pages("put_since", STEP, seq=self._since):
            stats = [await self._storage.stat(row["path"]) for row in rows]
            await self._compared.see([entry for entry in stats if entry])

    def _is_unknown(self, path: str) -> bool:
        return any(below <= path < beyond for below, beyond in self._unknown)

    async def count_others(self) -> None:
        """Count what is no photo, and tell again of what could not be read and has not changed since."""
        told = {error.path for error in self._result.errors}
        self._result.skipped = await self._compared.number("still_skipped")
        for row in await self._compared.rows("still_broken", take=MOST_TOLD):
            if row["path"] not in told:
                self._report(row["path"], row["problem"], row["detail"] or "It cannot be read.")
        self._result.errors.sort(key=lambda error: error.path)

    async def _progress(self, done: int, total: int | None, message: str, *, now: bool = False) -> None:
        if self._job:
            await self._job.progress(done, total, message, now=now)


def _summary(result: ScanResult, broken: int) -> str:
    """What a scan changed, in words for the log; empty if nothing. Problems known before are no change."""
    changes = {
        "new": result.imported_count, "edited": result.updated, "moved": result.moved, "found again": result.found,
        "copies": result.duplicates, "gone": result.missing,
    }  # fmt: skip
    if not broken and not any(changes.values()):
        return ""
    told = [f"{count} {name}" for name, count in changes.items() if count]
    if result.error_count:
        told.append(f"{result.error_count} problem{'s' if result.error_count > 1 else ''}")
    return ", ".join(told)


SCANNER = web.AppKey("scanner", Scanner)
