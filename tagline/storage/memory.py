"""A storage in memory, for tests: the same behaviour as a directory, and it can be unplugged."""

import itertools
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tagline.storage.entries import Absent, Away, Entry, Exists, Unreadable
from tagline.storage.ignoring import IGNORE_FILE, Ignored, passed_over, read_patterns
from tagline.storage.opened import OpenFile
from tagline.storage.paths import check_key

BATCH = 1000


class MemoryStorage:
    """Files in a dict. While `away` is true, it behaves as an unplugged disk. See `Storage`."""

    writable = True

    def __init__(self) -> None:
        self.away = False
        self._files: dict[str, tuple[Entry, bytes]] = {}
        self._inodes = itertools.count(1)

    async def check(self) -> None:
        self._answer()

    async def present(self) -> bool:
        return not self.away

    async def walk(self, below: str = "") -> AsyncIterator[list[Entry | Unreadable]]:
        self._answer()
        batch: list[Entry | Unreadable] = []
        for found in self._below("", None):
            if isinstance(found, Entry) and not found.key.startswith(below):
                continue
            batch.append(found)
            if len(batch) == BATCH:
                yield batch
                self._answer()
                batch = []
        if batch:
            yield batch
            self._answer()

    async def stat(self, key: str) -> Entry | None:
        self._answer()
        found = self._files.get(check_key(key))
        return found[0] if found else None

    async def open(self, key: str, *, prefetch: int = 0) -> OpenFile:
        self._answer()
        if (found := self._files.get(check_key(key))) is None:
            raise Absent(key)
        return OpenFile.in_memory(*found)

    async def store(self, key: str, chunks: AsyncIterator[bytes], *, overwrite: bool = False) -> Entry:
        self._answer()
        check_key(key)
        content = b"".join([chunk async for chunk in chunks])
        self._answer()
        if (key in self._files and not overwrite) or self._is_in_the_way(key):
            raise Exists(key)
        entry = Entry(key, len(content), time.time_ns(), next(self._inodes))
        self._files[key] = entry, content
        return entry

    async def delete(self, key: str) -> None:
        self._answer()
        self._files.pop(check_key(key), None)

    def path(self, key: str) -> Path | None:
        check_key(key)
        return None

    def _answer(self) -> None:
        if self.away:
            raise Away

    def _is_in_the_way(self, key: str) -> bool:
        """Whether a file lies where `key` needs a directory, or the other way round."""
        parts = key.split("/")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        return any(other in above or other.startswith(f"{key}/") for other in self._files)

    def _below(self, prefix: str, ignored: Ignored | None) -> Iterator[Entry | Unreadable]:
        names = {key[len(prefix) :].split("/", 1)[0] for key in self._files if key.startswith(prefix)}
        if IGNORE_FILE in names:
            text = self._files[prefix + IGNORE_FILE][1].decode("utf-8", "replace")
            ignored, wrong = read_patterns(ignored, prefix, text)
            if wrong:
                detail = f"these lines are no patterns: {', '.join(wrong)}"
                yield Unreadable(prefix + IGNORE_FILE, "ignore_file_invalid", detail)
        seen = sorted(prefix + name for name in names if not passed_over(name))
        for key in seen:
            if key in self._files and not (ignored and ignored.names(key)):
                yield self._files[key][0]
        for key in seen:
            if key not in self._files and not (ignored and ignored.names(f"{key}/")):
                yield from self._below(f"{key}/", ignored)
