"""A directory on a local (or mounted) disk.

Symbolic links: the library's root may be one. Below it, links to directories are not followed, and a link to
a file only if its real place is inside the library. Every path is opened part by part without following
links, so that exchanging a directory for a link in between leads nowhere.
"""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from tagline import errors
from tagline.storage import folders, placing
from tagline.storage.directories import parent, sync_directory
from tagline.storage.entries import Absent, Away, Entry, Exists, Folder, Unreadable
from tagline.storage.opened import AWAY, OpenFile
from tagline.storage.paths import check_folder, check_key
from tagline.storage.threads import in_thread, to_its_end
from tagline.storage.walking import is_inside, leaves_out, look_into, root_identity, walk_directory
from tagline.storage.writing import Writing

T = TypeVar("T")

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
# Threads of its own: a disk that hangs must not take those of DNS and the rest of the house with it.
_THREADS = 8


class LocalStorage:
    """The photos in the directory `root`. See `Storage` for what the methods do."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")
        self._writable = False
        # The root as it was when something was last in it.
        self._filled: tuple[int, int] | None = None

    @property
    def writable(self) -> bool:
        return self._writable

    async def check(self) -> None:
        await self._run(self._check)

    async def present(self) -> bool:
        try:
            return await self._run(self._is_there)
        except errors.Unavailable:
            return False

    async def walk(self, below: str = "") -> AsyncIterator[list[Entry | Unreadable]]:
        if not await self.present():
            raise Away
        batches = walk_directory(self._root, below)
        while (batch := await self._run(partial(next, batches, None))) is not None:
            yield batch
        if not await self.present():
            raise Away

    async def stat(self, key: str) -> Entry | None:
        check_key(key)
        try:
            return await self._read(key, partial(self._stat, key))
        except Absent:
            return None

    async def open(self, key: str, *, prefetch: int = 0) -> OpenFile:
        check_key(key)
        opened = await self._read(key, partial(self._open, key, prefetch), _close)
        if delay := opened.freshness():
            try:
                await asyncio.sleep(delay)
                await self._read(key, partial(self._settle, opened, prefetch))
            except BaseException:
                opened.close_soon()
                raise
        return opened

    async def store(self, key: str, chunks: AsyncIterator[bytes], *, overwrite: bool = False) -> Entry:
        check_key(key)
        writing = await self._change(key, partial(Writing, self._root, key), Writing.abandon)
        try:
            async for chunk in chunks:
                await self._write(key, partial(writing.write, chunk))
            return await self._write(key, partial(writing.finish, overwrite=overwrite))
        finally:
            await asyncio.shield(self._run(writing.abandon))

    async def delete(self, key: str) -> None:
        check_key(key)
        # Exists: a file or a link is where the key has a directory, so that there is nothing either.
        with suppress(Absent, Exists):
            await self._change(key, partial(self._delete, key))

    async def incoming(self, *, make: bool = True) -> Path | None:
        if not make:
            return self._root / placing.INCOMING
        return await self._change(placing.INCOMING, partial(placing.make_incoming, self._root))

    async def adopt(self, source: Path, key: str) -> Entry:
        check_key(key)
        # After a cancelled call, too, nothing happens any more.
        return await to_its_end(self._adopt(source, key))

    async def _adopt(self, source: Path, key: str) -> Entry:
        # In one hop, since nearly every file takes this way.
        if entry := await self._write(key, partial(self._link, source, key)):
            return entry
        adopting = await self._change(key, partial(placing.Adopting, self._root, key, source))
        try:
            while await self._write(key, adopting.copy):
                pass
            return await self._write(key, adopting.place)
        finally:
            await self._run(adopting.abandon)

    def _link(self, source: Path, key: str) -> Entry | None:
        if not self._is_there():
            raise Away
        adopting = placing.Adopting(self._root, key, source)
        try:
            return adopting.link()
        finally:
            adopting.abandon()

    async def give_back(self, source: Path, key: str) -> None:
        check_key(key)
        with suppress(Absent, Exists):
            await self._change(key, partial(placing.give_back, self._root, source, key))

    async def list(self, folder: str) -> list[Entry | Folder]:
        check_folder(folder)
        if not await self.present():
            raise Away
        listed = await self._read(folder, partial(look_into, self._root, folder))
        if not await self.present():
            raise Away
        return listed

    async def leaves_out(self, key: str) -> bool:
        return await self._run(partial(leaves_out, self._root, check_key(key)))

    async def make_folder(self, folder: str) -> None:
        if not check_folder(folder):
            raise Exists(folder)
        await self._change(folder, partial(folders.make_folder, self._root, folder))

    async def move(self, key: str, target: str) -> None:
        folders.check_move(key, target)
        await self._change(key, partial(folders.move, self._root, key, target))

    async def remove_folder(self, folder: str) -> None:
        folders.check_folder_below(folder)
        await self._change(folder, partial(folders.remove_folder, self._root, folder))

    def path(self, key: str) -> Path | None:
        return self._root / check_key(key)

    async def _run(self, work: Callable[[], T], let_go: Callable[[T], object] | None = None) -> T:
        """`in_thread`, with threads of our own. Raises `Away` for what only a failing disk says."""
        try:
            return await in_thread(self._threads, work, let_go)
        except OSError as error:
            if error.errno in AWAY:
                raise Away from error
            raise

    async def _read(self, key: str, work: Callable[[], T], let_go: Callable[[T], object] | None = None) -> T:
        """`_run`, with the errors of reading a file told in our own words."""
        try:
            return await self._run(work, let_go)
        except PermissionError as error:
            raise errors.Unavailable(f"Tagline may not read {key}", code="not_readable") from error
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise (Absent(key) if await self.present() else Away()) from error
            raise

    async def _change(self, key: str, work: Callable[[], T], let_go: Callable[[T], object] | None = None) -> T:
        """`_write`, unless the library is away: what lies in a bare mount point is none of its files."""
        if not await self.present():
            raise Away
        try:
            return await self._write(key, work, let_go)
        except Absent:
            if not await self.present():
                raise Away from None
            raise

    async def _write(self, key: str, work: Callable[[], T], let_go: Callable[[T], object] | None = None) -> T:
        """`_run`, with the errors of changing a directory told in our own words."""
        try:
            return await self._run(work, let_go)
        except FileNotFoundError as error:
            raise (Absent(key) if await self.present() else Away()) from error
        except OSError as error:
            if error.errno in errors.FULL:
                raise errors.DiskFull("There is no room left on the disk of the photo library") from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                detail = f"The photo library cannot be written to: {error.strerror}"
                raise errors.Unavailable(detail, code="storage_read_only") from error
            if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY):
                # EBUSY: another disk is mounted there.
                raise Exists(key) from error
            if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
                raise errors.Invalid("object_key", "the disk does not take this name") from error
            raise

    def _check(self) -> None:
        root = self._root
        try:
            filled = _is_filled(root)
        except FileNotFoundError as error:
            raise Away(f"The photo library {root} does not exist; make it, or set PHOTO_STORAGE_PATH") from error
        except NotADirectoryError as error:
            raise Away(f"The photo library {root} is not a directory; set PHOTO_STORAGE_PATH to one") from error
        except PermissionError as error:
            raise Away(f"Tagline may not read the photo library {root}; give its user the right to") from error
        if not os.access(root, os.X_OK, effective_ids=True):
            raise Away(f"Tagline may not enter the photo library {root}; give its user the right to")
        self._writable = os.access(root, os.W_OK, effective_ids=True)
        self._filled = root_identity(root) if filled else None

    def _is_there(self) -> bool:
        """Whether the root answers, and is no bare mount point: empty, and another directory than before."""
        try:
            identity = root_identity(self._root)
            filled = _is_filled(self._root)
        except (OSError, Away):
            return False
        if filled:
            self._filled = identity
        return filled or self._filled in (None, identity)

    def _stat(self, key: str) -> Entry:
        with parent(self._root, key) as (above, name):
            seen = os.stat(name, dir_fd=above, follow_symlinks=False)
        if stat.S_ISLNK(seen.st_mode):
            return replace(self._stat(self._real_key(key)), key=key)
        if not stat.S_ISREG(seen.st_mode):
            raise Absent(key)
        return Entry(key, seen.st_size, seen.st_mtime_ns, seen.st_ino)

    def _open(self, key: str, prefetch: int) -> OpenFile:
        opened = OpenFile.on_disk(self._descriptor(key), key, self._threads)
        try:
            if 0 < prefetch >= opened.entry.size and not opened.freshness():
                opened.take_in()
        except BaseException:
            opened.file.close()
            raise
        return opened

    def _settle(self, opened: OpenFile, prefetch: int) -> None:
        opened.look()
        if 0 < prefetch >= opened.entry.size:
            opened.take_in()

    def _descriptor(self, key: str) -> int:
        with parent(self._root, key) as (above, name):
            # Looked at before as well as after: opening a device can already do something.
            seen = os.stat(name, dir_fd=above, follow_symlinks=False)
            if stat.S_ISREG(seen.st_mode):
                descriptor = os.open(name, _FILE, dir_fd=above)
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return descriptor
                os.close(descriptor)
        if stat.S_ISLNK(seen.st_mode):
            return self._descriptor(self._real_key(key))
        raise Absent(key)

    def _real_key(self, key: str) -> str:
        """Where the link `key` leads, as a key without links; `Absent` if that is outside."""
        if not is_inside(self._root, key):
            raise Absent(key)
        real = Path(os.path.realpath(self._root / key)).relative_to(os.path.realpath(self._root))
        if real.as_posix() in (key, "."):
            raise Absent(key)
        return real.as_posix()

    def _delete(self, key: str) -> None:
        with parent(self._root, key) as (above, name):
            mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise Absent(key)
            os.unlink(name, dir_fd=above)
            sync_directory(above)


def _is_filled(root: Path) -> bool:
    """Whether anything is in the root that a bare mount point has not: an upload may have begun there, unplugged."""
    with os.scandir(root) as entries:
        return any(entry.name != placing.INCOMING for entry in entries)


def _close(opened: OpenFile) -> None:
    opened.file.close()
