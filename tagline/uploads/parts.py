"""Parts: files that are arriving. Written and hashed in threads, in pieces, so that memory stays flat.

How much of a part is there is its file's size; nothing else keeps count. What was acknowledged was flushed before.
"""

import asyncio
import hashlib
import os
import threading
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import StreamReader, web

from tagline.errors import FULL, BadRequest, DiskFull, TooLarge
from tagline.storage.directories import sync_folder
from tagline.storage.provider import Away, Storage
from tagline.storage.threads import in_thread

if TYPE_CHECKING:
    from hashlib import _Hash

T = TypeVar("T")

# What is written and hashed at once, bytes. While one piece is, the next arrives.
PIECE = 512 * 1024
# What is not flushed yet, bytes: so much is waited for at the end.
UNFLUSHED = 64 * 1024 * 1024
# A body of which not so many bytes arrive in so long (s) is given up: a byte a minute would hold a place for ever.
IDLE_SECONDS = 60.0
LEAST_BYTES = 4096
# Hashes of parts between two of their requests; each is 200 bytes.
MOST_HASHES = 256
_THREADS = 4

# Something that is to see every piece as well, such as the `update` of a further hash.
Also = Callable[[bytes], object] | None


class Arrived(msgspec.Struct, frozen=True):
    """A file that is there whole, under a name that nobody sees. `size` in bytes.

    It is on the disk once `flushed` is done, which can be awaited more than once; what can be found out about it until
    then costs no time.
    """

    path: Path
    size: int
    sha256: str
    flushed: asyncio.Future[int]


class Part:
    """One arriving file, opened for adding to it. Close it by `keep`, `finish` or `drop`."""

    def __init__(self, incoming: "Incoming", path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._incoming = incoming
        self._descriptor: int | None = descriptor
        self._unflushed = 0
        # A caller that is cancelled twice closes while its last piece is still being written in another thread.
        self._lock = threading.Lock()
        # Hashed as it arrives. Where that does not cover the file (the service was restarted, a disk was full), the
        # file is read again at its end.
        hashed, known = incoming.hashes.pop(path.name, (0, None))
        self._hashed, self._hash = (hashed, known) if known and hashed == size else (0, hashlib.sha256())

    async def take(self, body: AsyncIterable[bytes], most: int, also: Also = None) -> None:
        """Add a body (`pieces` of a request's) to the part; `also` is fed with it, in another thread.

        What arrived before a fault is kept. Raises TooLarge for more than `most` bytes, BadRequest for a body that
        broke off or dallies, DiskFull.
        """
        begun = self.size
        pieces: list[bytes] = []
        waiting = lately = 0
        writing: asyncio.Future[None] | None = None
        try:
            async with asyncio.timeout(IDLE_SECONDS) as patience:
                async for chunk in body:
                    if self.size + waiting + len(chunk) - begun > most:
                        raise TooLarge("More bytes came than were announced or are allowed; nothing of them was kept.")
                    pieces.append(chunk)
                    waiting += len(chunk)
                    lately += len(chunk)
                    if waiting >= PIECE:
                        if writing:
                            await asyncio.shield(writing)
                        writing = self._write(pieces, waiting, also)
                        pieces, waiting = [], 0
                    if lately >= LEAST_BYTES:
                        patience.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)
                        lately = 0
        except TimeoutError:
            raise BadRequest("Too little arrived in a minute; go on from the offset.", code="body_too_slow") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise BadRequest("The body broke off; go on from the offset.", code="body_broke_off") from error
        finally:
            if writing:
                await asyncio.shield(writing)
            if pieces:
                await asyncio.shield(self._write(pieces, waiting, also))

    def _write(self, pieces: list[bytes], length: int, also: Also) -> asyncio.Future[None]:
        self.size += length
        return asyncio.ensure_future(self._incoming.run(partial(self._write_now, pieces, also)))

    def _write_now(self, pieces: list[bytes], also: Also) -> None:
        with self._lock:
            if self._descriptor is None:
                return
            # Others may have taken the room meanwhile, and a body without a length says too late what it needs.
            self._incoming.check_reserve(os.fstatvfs(self._descriptor))
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
                self._hash.update(piece)
                self._hashed += len(piece)
                if also:
                    also(piece)
                self._unflushed += len(piece)
            if self._unflushed >= UNFLUSHED:
                os.fdatasync(self._descriptor)
                self._unflushed = 0

    async def keep(self) -> int:
        """Flush and close, to go on later; gives the size on disk."""
        size = await self._incoming.run(self._close)
        if self._hashed == size:
            self._incoming.remember(self.path.name, size, self._hash)
        return size

    async def finish(self) -> Arrived:
        """Begin to flush and close the whole file; its hash."""
        whole = self._hashed == self.size
        flushed = self._incoming.flushing(self._close)
        digest = self._hash.hexdigest() if whole else await self._incoming.run(partial(_sha256, self.path))
        return Arrived(self.path, self.size, digest, flushed)

    async def drop(self) -> None:
        """Close and delete."""
        await self._incoming.run(self.delete)

    def _close(self) -> int:
        with self._lock:
            if self._descriptor is None:
                return self.path.stat().st_size
            try:
                # The size is what counts from now on: a failed write may have left less than was thought.
                self.size = os.fstat(self._descriptor).st_size
                os.fdatasync(self._descriptor)
            finally:
                self._let_go()
            return self.size

    def abandon(self) -> None:
        """Close at once; what is there stays. Blocks."""
        with self._lock:
            self._let_go()

    def delete(self) -> None:
        """Close and delete at once. Blocks."""
        with self._lock:
            self._let_go()
            self.path.unlink(missing_ok=True)

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Incoming:
    """The folder of arriving files: on the library's own disk where that has one, else with Tagline's data."""

    def __init__(self, storage: Storage, otherwise: Path, reserve: int) -> None:
        self._storage = storage
        self._otherwise = otherwise
        self._reserve = reserve
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="uploads")
        # The folder, and what it was when it was made: its device and inode.
        self._made: tuple[Path, tuple[int, int]] | None = None
        self.hashes: OrderedDict[str, tuple[int, _Hash]] = OrderedDict()

    async def folder(self, *, make: bool = True) -> Path:
        """Where parts lie; raises Unavailable while the library is away."""
        return await self._storage.incoming(make=make) or self._otherwise

    async def in_folder(self, work: Callable[[Path], T], let_go: Callable[[T], object] | None = None) -> T:
        """Do something with the folder: in one hop to a thread, unless another one is in its place by now."""
        if self._made:
            with suppress(_Exchanged):
                return await self.run(partial(_do_in, *self._made, work), let_go)
        folder = await self.folder()
        self._made = folder, await self.run(partial(_make, folder))
        return await self.run(partial(work, folder), let_go)

    async def begin(self, expected: int = 0) -> Part:
        """A new part that nobody will come back to; it is dropped if it is not finished.

        Raises DiskFull where `expected` bytes would leave less free than the reserve.
        """
        return await self.open(str(uuid.uuid4()), expected, kept=False)

    async def open(self, name: str, expected: int = 0, *, kept: bool = True) -> Part:
        """The part of a name, to go on with it; with `kept`, its name survives a power cut."""
        opening = partial(self._open, name=name, expected=expected, kept=kept)
        return await self.in_folder(opening, Part.abandon if kept else Part.delete)

    def _open(self, folder: Path, name: str, expected: int, kept: bool) -> Part:
        self._check_room(folder, expected)
        path = folder / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        size = os.fstat(descriptor).st_size
        if kept and not size:
            sync_folder(folder)
        return Part(self, path, descriptor, size)

    async def arrived(self, path: Path) -> Arrived:
        """A file of the folder, or one beside it, that is whole already: hashed, and being flushed."""
        flushed = self.flushing(partial(_flushed_size, path))
        size, digest = await self.run(lambda: (path.stat().st_size, _sha256(path)))
        return Arrived(path, size, digest, flushed)

    async def check_room(self, expected: int) -> None:
        """Raises DiskFull where `expected` bytes would leave less free than the reserve."""
        await self.in_folder(partial(self._check_room, expected=expected))

    def _check_room(self, folder: Path, expected: int) -> None:
        self.check_reserve(os.statvfs(folder), expected)

    def check_reserve(self, seen: os.statvfs_result, expected: int = 0) -> None:
        """Raises DiskFull where `expected` more bytes on a file system would leave less free than the reserve."""
        if seen.f_bavail * seen.f_frsize < self._reserve + expected:
            raise DiskFull("There is no room for this on the disk of the photo library. Free some space and try again.")

    async def size(self, name: str) -> int:
        """How many bytes of a part are on disk."""
        return await self.in_folder(lambda folder: _flushed_size(folder / name))

    async def cut(self, name: str, size: int) -> None:
        """Take away what came after the first `size` bytes of a part that nobody has open, for good."""
        folder = await self.folder()
        self.hashes.pop(name, None)
        await self.run(partial(_cut, folder / name, size))

    async def drop(self, *names: str) -> None:
        """Delete parts, as far as there are any."""
        for name in names:
            self.hashes.pop(name, None)
        await self.in_folder(partial(_delete, names=names))

    async def sweep(self, known: Iterable[str]) -> None:
        """At start: delete what was left by a service that was killed, but for the `known` names."""
        folder = await self.folder(make=False)
        await self.run(partial(_sweep, folder, set(known)))

    def remember(self, name: str, size: int, hashed: "_Hash") -> None:
        """Keep the hash of a part's first `size` bytes until it goes on."""
        self.hashes[name] = size, hashed
        if len(self.hashes) > MOST_HASHES:
            self.hashes.popitem(last=False)

    async def run(self, work: Callable[[], T], let_go: Callable[[T], object] | None = None) -> T:
        """`in_thread`, with threads of our own; a full disk is DiskFull."""
        try:
            return await in_thread(self._threads, work, let_go)
        except OSError as error:
            if error.errno in FULL:
                raise DiskFull("The disk is full; what has arrived is kept. Free some space and go on.") from error
            raise

    def flushing(self, work: Callable[[], int]) -> asyncio.Future[int]:
        """Begin to flush in a thread. Who finds the content here already never awaits it, and misses its fault."""
        flushed = asyncio.ensure_future(self.run(work))
        flushed.add_done_callback(lambda done: done.cancelled() or done.exception())
        return flushed

    def close(self) -> None:
        """Wait for what is being written."""
        self._threads.shutdown()


class _Exchanged(Exception):
    """Another folder is in the place of the one that is known, or none: its disk may be away."""


def _make(folder: Path) -> tuple[int, int]:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        seen = folder.stat()
    except FileNotFoundError:
        # Not made together with the library: that would be one in a bare mount point.
        raise Away from None
    return seen.st_dev, seen.st_ino


def _do_in(folder: Path, identity: tuple[int, int], work: Callable[[Path], T]) -> T:
    try:
        seen = folder.stat()
    except FileNotFoundError:
        raise _Exchanged from None
    if (seen.st_dev, seen.st_ino) != identity:
        raise _Exchanged
    return work(folder)


async def pieces(content: StreamReader) -> AsyncIterator[bytes]:
    """A request's body as it arrives, without joining what the socket gave."""
    # Not by iter_chunks, which never ends for a request without a body.
    while True:
        piece, _ = await content.readchunk()
        if not piece and content.at_eof():
            return
        yield piece


def _flushed_size(path: Path) -> int:
    """The size of a file, all of it on disk when this returns; 0 if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        os.fdatasync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _delete(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _cut(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sweep(folder: Path, known: set[str]) -> None:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in known and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)


INCOMING = web.AppKey("incoming", Incoming)
