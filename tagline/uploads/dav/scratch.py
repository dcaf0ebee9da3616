"""Scratch: files with temporary names, and empty ones. They can be read back, moved and deleted over WebDAV, and are
not in the library: no scan and no list ever meets them. One that nobody moves to a real name expires.

Each is a file of its own beside one that holds its key. They lie on the library's disk, so that moving one into the
library copies nothing.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from tagline.storage.directories import sync_folder
from tagline.storage.provider import Absent, Entry, OpenFile
from tagline.uploads.dav import places
from tagline.uploads.parts import Incoming

T = TypeVar("T")

FOLDER = "dav"
_KEY = ".key"
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Kept(msgspec.Struct, frozen=True):
    """A file that is kept apart, under the key that its client gave it."""

    entry: Entry
    path: Path


class Scratch:
    """All files that are kept apart."""

    def __init__(self, incoming: Incoming, expires_seconds: float) -> None:
        self._incoming = incoming
        self._expires_seconds = expires_seconds
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="scratch")
        self._kept: dict[str, Kept] = {}
        self._folder: Path | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Find what was kept before; done once, when the library's disk is there. Raises Unavailable, OSError."""
        async with self._opening:
            if self._folder is None:
                self._folder, self._kept = await self._incoming.in_folder(_found_in)

    def get(self, key: str) -> Kept | None:
        """What is kept under a key."""
        return self._kept.get(key)

    def below(self, key: str, *, deep: bool) -> list[Kept]:
        """What is kept in a folder; with `deep`, at any depth."""
        folder = places.folder_key(key)
        found = [kept for name, kept in self._kept.items() if name.startswith(folder)]
        return found if deep else [kept for kept in found if places.above(kept.entry.key) == key]

    async def put(self, source: Path, key: str) -> Kept:
        """Take a flushed file over, in the place of what is kept under the key."""
        before = self._kept.get(key)
        kept = await self._run(partial(_put, self._home(), source, key))
        self._kept[key] = kept
        if before:
            await self._run(partial(_drop, before.path))
        return kept

    async def put_empty(self, key: str) -> Kept:
        """Keep an empty file."""
        source = self._home() / f"{uuid.uuid4()}.new"
        await self._run(partial(source.touch, exist_ok=False))
        return await self.put(source, key)

    async def move(self, key: str, target: str) -> None:
        """Give what is kept under a key another one."""
        kept = self._kept[key]
        await self.drop(target)
        await self._run(partial(_write_key, kept.path, target))
        del self._kept[key]
        self._kept[target] = Kept(msgspec.structs.replace(kept.entry, key=target), kept.path)

    async def move_below(self, key: str, target: str) -> None:
        """A folder has another name."""
        for kept in self.below(key, deep=True):
            await self.move(kept.entry.key, places.folder_key(target) + kept.entry.key[len(key) + 1 :])

    async def drop(self, key: str) -> None:
        """Keep it no longer; nothing happens if there is none."""
        if kept := self._kept.pop(key, None):
            await self._run(partial(_drop, kept.path))

    async def drop_below(self, key: str) -> None:
        """What is kept in a folder is not needed any more."""
        for kept in self.below(key, deep=True):
            await self.drop(kept.entry.key)

    async def read(self, key: str) -> OpenFile:
        """Open what is kept under a key. Raises Absent."""
        kept = self._kept.get(key)
        if kept is None:
            raise Absent(key)
        try:
            return await self._run(partial(self._opened, kept))
        except FileNotFoundError:
            raise Absent(key) from None

    def _opened(self, kept: Kept) -> OpenFile:
        return OpenFile.on_disk(os.open(kept.path, _FILE), kept.entry.key, self._threads)

    async def expired(self) -> list[Kept]:
        """What nobody has touched for too long. Where nothing was ever kept, no folder is made for it."""
        folder = await self._incoming.folder(make=False) / FOLDER
        if not await self._run(folder.is_dir):
            return []
        await self.open()
        old = time.time() - self._expires_seconds
        return [kept for kept in self._kept.values() if await self._run(partial(_touched, kept.path)) < old]

    def close(self) -> None:
        """Wait for what is being done."""
        self._threads.shutdown()

    def _home(self) -> Path:
        assert self._folder is not None
        return self._folder

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _found_in(incoming: Path) -> tuple[Path, dict[str, Kept]]:
    """The folder, and what is in it; what a killed service has left half done is deleted."""
    folder = incoming / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    found: dict[str, Kept] = {}
    for path in sorted(folder.iterdir()):
        beside = path.with_name(path.name + _KEY)
        if path.suffix == _KEY:
            if not path.with_suffix("").exists():
                path.unlink()
        elif not beside.exists():
            path.unlink()
        else:
            kept = _kept(path, beside.read_text(encoding="utf-8"))
            if double := found.get(kept.entry.key):
                # Of two under one key, a killed service had not yet deleted the older.
                old = min(double.path, path, key=_touched)
                _drop(old)
                kept = kept if old != path else double
            found[kept.entry.key] = kept
    return folder, found


def _put(folder: Path, source: Path, key: str) -> Kept:
    path = folder / str(uuid.uuid4())
    _write_key(path, key)
    os.rename(source, path)
    sync_folder(folder)
    return _kept(path, key)


def _write_key(path: Path, key: str) -> None:
    beside = path.with_name(path.name + _KEY)
    new = beside.with_name(f"{uuid.uuid4()}.new")
    new.write_text(key, encoding="utf-8")
    os.rename(new, beside)


def _kept(path: Path, key: str) -> Kept:
    seen = path.stat()
    return Kept(Entry(key, seen.st_size, seen.st_mtime_ns, seen.st_ino), path)


def _touched(path: Path) -> float:
    """When it was put or moved: its own time may be what the client says."""
    return path.with_name(path.name + _KEY).stat().st_mtime


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name + _KEY).unlink(missing_ok=True)
