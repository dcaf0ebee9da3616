"""Looking into files, in worker processes: headers, hashes, thumbnails. Only here does the library meet pixels."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tagline.db import Row
from tagline.errors import Gone, Unavailable
from tagline.photos.importing import PASSING, Found
from tagline.storage.provider import Absent, Entry, Storage
from tagline.workers import WorkerFailed, Workers

STILL_WRITTEN = {"error": "still_being_written", "detail": "It is being written; the next scan takes it in."}


class Looking:
    """Asks workers about files of the storage. Where that is no local disk, they get a copy in a temporary file."""

    def __init__(self, storage: Storage, workers: Workers, processes: int) -> None:
        self._storage = storage
        self._workers = workers
        self.processes = processes

    async def headers(self, entries: list[Entry]) -> list[Found]:
        """What the headers of files say. A file that costs a worker its life costs its neighbours nothing."""
        try:
            answers = await self._headers(entries)
        except (WorkerFailed, Gone) as failure:
            if len(entries) > 1:
                return [(await self.headers([entry]))[0] for entry in entries]
            answers = [{"error": failure.code, "detail": failure.detail}]
        return [Found(entry, _checked(entry, answer)) for entry, answer in zip(entries, answers, strict=True)]

    async def _headers(self, entries: list[Entry]) -> list[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            if self._storage.path(entries[0].key) is not None:
                paths = await asyncio.to_thread(self._real, [entry.key for entry in entries])
            else:
                paths = [await stack.enter_async_context(self._local(entry.key)) for entry in entries]
            files = [
                (path, entry.mtime_ns, entry.key.rpartition("/")[2]) for path, entry in zip(paths, entries, strict=True)
            ]
            answer = await self._workers.run("headers", files=files)
        answers: list[dict[str, Any]] = answer["files"]
        return answers

    async def arrived(self, path: Path, name: str) -> dict[str, Any]:
        """What the headers say of a local file that is still outside of the library, and is to be called `name`.

        Raises Unavailable for a fault of the moment.
        """
        headers: dict[str, Any]
        try:
            [headers] = (await self._workers.run("headers", urgent=True, files=[(os.fsencode(path), 0, name)]))["files"]
        except WorkerFailed as failure:
            headers = {"error": failure.code, "detail": failure.detail}
        if headers.get("error") in PASSING:
            raise Unavailable("The file cannot be looked into now. Try again.", code=headers["error"], retry_after=2)
        return headers

    async def sha256(self, entry: Entry) -> str | None:
        """The hash of a file; None if it is not the file of `entry` any more, or cannot be read."""
        try:
            async with self._local(entry.key) as path:
                answer = await self._workers.run("digest", path=path, hash_only=True)
        except (WorkerFailed, Gone):
            return None
        return answer["sha256"] if "error" not in _checked(entry, answer) else None

    async def sha256_of(self, key: str) -> str | None:
        """The hash of the file that is at a path now; None if it cannot be read."""
        entry = await self.entry(key)
        return await self.sha256(entry) if entry else None

    async def entry(self, key: str) -> Entry | None:
        """The file that is at a path now."""
        return await self._storage.stat(key)

    async def digest(self, key: str, grid: Path, *, urgent: bool) -> dict[str, Any]:
        """Hash, grid thumbnail and placeholder by one read; raises WorkerFailed."""
        async with self._local(key) as path:
            return await self._workers.run("digest", urgent=urgent, path=path, grid=os.fsencode(grid))

    async def thumbnails(self, key: str, places: dict[int, str], image_format: str) -> dict[str, Any]:
        """Thumbnails from one decode, written to their places; raises WorkerFailed."""
        async with self._local(key) as path:
            wanted = {size: os.fsencode(place) for size, place in places.items()}
            return await self._workers.run("thumbnails", urgent=True, path=path, places=wanted, format=image_format)

    def is_of(self, row: Row, answer: dict[str, Any]) -> bool:
        """Whether a worker's answer is about the very file of a row of `photos.file`, as a scan last saw it."""
        is_copy = self._storage.path(row["object_key"]) is None
        seen = {"size": row["file_size"]}
        if not is_copy:
            seen |= {"mtime_ns": row["mtime_ns"], "inode": row["inode"]}
        return all(answer[name] == value for name, value in seen.items())

    @asynccontextmanager
    async def _local(self, key: str) -> AsyncIterator[bytes]:
        """A path, in the bytes of the file system, at which a worker finds the file; raises Absent if it is outside."""
        if self._storage.path(key) is not None:
            [real] = await asyncio.to_thread(self._real, [key])
            yield real
            return
        with tempfile.NamedTemporaryFile(prefix="tagline-") as copy:
            async with await self._storage.open(key) as opened:
                for offset in range(0, opened.entry.size, 1 << 20):
                    [chunk] = await opened.read([(offset, min(1 << 20, opened.entry.size - offset))])
                    await asyncio.to_thread(copy.write, chunk)
            await asyncio.to_thread(copy.flush)
            yield os.fsencode(copy.name)

    def _real(self, keys: list[str]) -> list[bytes]:
        """Where files really are; raises Absent for one outside. In a thread: each folder is followed once.

        A link inside the library is followed here, since the worker follows none.
        """
        folders: dict[bytes, bytes] = {}
        reals = []
        for key in keys:
            path = self._storage.path(key)
            assert path is not None
            folder, name = os.path.split(os.fsencode(path))
            if folder not in folders:
                folders[folder] = os.path.realpath(folder)
            real = os.path.join(folders[folder], name)
            if os.path.islink(real):
                real = os.path.realpath(real)
            root = os.fsencode(path.parents[key.count("/")])
            if root not in folders:
                folders[root] = os.path.realpath(root)
            if not real.startswith(os.path.join(folders[root], b"")):
                raise Absent(key)
            reals.append(real)
        return reals


def _checked(entry: Entry, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, unless the file has become another one since the walk saw it. (A copy has the size only.)"""
    if answer.get("size", entry.size) != entry.size:
        return STILL_WRITTEN
    if answer.get("inode") == entry.inode and answer.get("mtime_ns") != entry.mtime_ns:
        return STILL_WRITTEN
    return answer


LOOKING = web.AppKey("looking", Looking)
