"""A storage in memory, for tests: the same behaviour as a directory, and it can be unplugged."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain, count
from pathlib import Path

from msgspec.structs import replace

from tagline.storage.entries import Absent, Away, Entry, Exists, Folder, Unreadable
from tagline.storage.folders import check_folder_below, check_move
from tagline.storage.ignoring import IGNORE_FILE, Ignored, passed_over, read_patterns
from tagline.storage.opened import OpenFile
from tagline.storage.paths import check_folder, check_key

BATCH = 1000


class MemoryStorage:
    """Files in a dict. While `away` is true, it behaves as an unplugged disk. See `Storage`."""

    writable = True

    def __init__(self) -> None:
        self.away = False
        self._files: dict[str, tuple[Entry, bytes]] = {}
        # By key, with the time of the last change: they stay when what was in them is gone, as those of a disk do.
        self._folders: dict[str, int] = {}
        self._inodes = count(1)

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
        return self._put(key, content, time.time_ns(), overwrite=overwrite)

    async def delete(self, key: str) -> None:
        self._answer()
        if self._files.pop(check_key(key), None):
            self._touch(key)

    async def incoming(self, *, make: bool = True) -> Path | None:
        self._answer()
        return None

    async def adopt(self, source: Path, key: str) -> Entry:
        self._answer()
        check_key(key)
        try:
            content, seen = await asyncio.to_thread(_content, source)
        except FileNotFoundError as error:
            raise Absent(source.name) from error
        self._answer()
        return self._put(key, content, seen.st_mtime_ns, overwrite=False)

    async def give_back(self, source: Path, key: str) -> None:
        self._answer()
        if found := self._files.get(check_key(key)):
            await asyncio.to_thread(_restore, source, *found)
            await self.delete(key)

    async def list(self, folder: str) -> list[Entry | Folder]:
        self._answer()
        ignored: Ignored | None = None
        prefix = ""
        for name in check_folder(folder).split("/")[:-1]:
            ignored, _ = self._patterns(prefix, ignored)
            prefix += f"{name}/"
            if prefix not in self._folders or passed_over(name) or (ignored and ignored.names(prefix)):
                raise Absent(folder)
        ignored, _ = self._patterns(prefix, ignored)
        inside: dict[str, Entry | Folder] = {}
        for key, changed in self._folders.items():
            inside[key] = Folder(key, changed)
        for key, (entry, _) in self._files.items():
            inside[key] = entry
        names = {
            key: key[len(folder) :].removesuffix("/") for key in inside if key.startswith(folder) and key != folder
        }
        return [
            inside[key]
            for key, name in sorted(names.items(), key=lambda one: one[1])
            if "/" not in name and not passed_over(name) and not (ignored and ignored.names(key))
        ]

    async def leaves_out(self, key: str) -> bool:
        self._answer()
        ignored: Ignored | None = None
        reached = ""
        for part in check_key(key).split("/"):
            if own := self._files.get(reached + IGNORE_FILE):
                ignored, _ = read_patterns(ignored, reached, own[1].decode("utf-8", "replace"))
            reached += part
            if ignored and ignored.names(reached if reached == key else f"{reached}/"):
                return True
            reached += "/"
        return False

    async def make_folder(self, folder: str) -> None:
        self._answer()
        if not check_folder(folder):
            raise Exists(folder)
        self._reach(folder)
        if folder in self._folders or folder[:-1] in self._files:
            raise Exists(folder)
        self._folders[folder] = time.time_ns()
        self._touch(folder)

    async def move(self, key: str, target: str) -> None:
        self._answer()
        check_move(key, target)
        self._reach(key)
        self._reach(target)
        if key not in self._files and key not in self._folders:
            raise Absent(key)
        if target.rstrip("/") in self._files or f"{target.rstrip('/')}/" in self._folders:
            raise Exists(target)
        if key in self._files:
            entry, content = self._files.pop(key)
            self._files[target] = replace(entry, key=target), content
        else:
            for below in [one for one in self._folders if one.startswith(key)]:
                self._folders[target + below[len(key) :]] = self._folders.pop(below)
            for below in [one for one in self._files if one.startswith(key)]:
                entry, content = self._files.pop(below)
                moved = target + below[len(key) :]
                self._files[moved] = replace(entry, key=moved), content
        self._touch(key)
        self._touch(target)

    async def remove_folder(self, folder: str) -> None:
        self._answer()
        check_folder_below(folder)
        self._reach(folder)
        if folder not in self._folders:
            raise Absent(folder)
        if any(one.startswith(folder) and one != folder for one in chain(self._files, self._folders)):
            raise Exists(folder)
        del self._folders[folder]
        self._touch(folder)

    def path(self, key: str) -> Path | None:
        check_key(key)
        return None

    def _answer(self) -> None:
        if self.away:
            raise Away

    def _put(self, key: str, content: bytes, mtime_ns: int, *, overwrite: bool) -> Entry:
        above = list(_above(key))
        if (key in self._files and not overwrite) or f"{key}/" in self._folders:
            raise Exists(key)
        if any(folder[:-1] in self._files for folder in above):
            raise Exists(key)
        for folder in above:
            self._folders.setdefault(folder, time.time_ns())
        entry = Entry(key, len(content), mtime_ns, next(self._inodes))
        self._files[key] = entry, content
        self._touch(key)
        return entry

    def _reach(self, key: str) -> None:
        """Raise `Absent` if the folder is missing that this file or folder is to lie in."""
        above = list(_above(key))
        if above and above[-1] not in self._folders:
            raise Absent(above[-1])

    def _touch(self, key: str) -> None:
        """Note that something has changed in the folder of this file or folder."""
        if above := list(_above(key)):
            self._folders[above[-1]] = time.time_ns()

    def _patterns(self, prefix: str, ignored: Ignored | None) -> tuple[Ignored | None, Sequence[str]]:
        if (found := self._files.get(prefix + IGNORE_FILE)) is None:
            return ignored, []
        return read_patterns(ignored, prefix, found[1].decode("utf-8", "replace"))

    def _below(self, prefix: str, ignored: Ignored | None) -> Iterator[Entry | Unreadable]:
        names = {key[len(prefix) :].split("/", 1)[0] for key in self._files if key.startswith(prefix)}
        ignored, wrong = self._patterns(prefix, ignored)
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


def _above(key: str) -> Iterator[str]:
    """The folders that a file or folder lies in, the uppermost first, without the library itself."""
    parts = key.rstrip("/").split("/")
    return (f"{'/'.join(parts[:depth])}/" for depth in range(1, len(parts)))


def _content(source: Path) -> tuple[bytes, os.stat_result]:
    return source.read_bytes(), source.stat()


def _restore(source: Path, entry: Entry, content: bytes) -> None:
    """Write the file again that somebody has taken away since it was adopted."""
    if not source.exists():
        source.write_bytes(content)
        os.utime(source, ns=(entry.mtime_ns, entry.mtime_ns))
