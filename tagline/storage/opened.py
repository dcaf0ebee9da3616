"""A file that is open for reading, and whether it has been written to since."""

import asyncio
import errno
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from io import BytesIO
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from tagline.storage.entries import Away, Changed, Entry

T = TypeVar("T")

# What a disk says that is gone or broken, and a network or FUSE mount that has lost its other side.
AWAY = frozenset(
    {
        errno.EIO,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENXIO,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ESHUTDOWN,
        errno.EREMOTEIO,
    }
)

_STEP = 256 * 1024
_FRESH_NS = 20_000_000
_FRESH_COARSE_NS = 2_000_000_000
# Futures of closings under way: asyncio itself keeps only weak references.
_closing: set[asyncio.Future[None]] = set()


class OpenFile:
    """A file open for reading: `file` (a real descriptor, or BytesIO), and `entry` as it was when opened.

    `content` is the whole content where it has been read already (or lies in memory), else None.
    Reads go by position and leave `file`'s own position alone.
    """

    def __init__(
        self, file: BinaryIO, entry: Entry, *, content: bytes | None = None, threads: Executor | None = None
    ) -> None:
        self.file = file
        self.entry = entry
        self.content = content
        self._threads = threads
        self._seen: os.stat_result | None = None
        self._seen_at = 0
        self._closed: asyncio.Future[None] | None = None

    @classmethod
    def in_memory(cls, entry: Entry, content: bytes) -> Self:
        """A file whose content is known."""
        return cls(BytesIO(content), entry, content=content)

    @classmethod
    def on_disk(cls, descriptor: int, key: str, threads: Executor) -> Self:
        """A file on a disk. To be called in a thread; takes the descriptor over."""
        opened = cls(os.fdopen(descriptor, "rb", buffering=0), Entry(key, 0, 0, 0), threads=threads)
        opened.look()
        return opened

    # To be called in a thread.

    def look(self) -> None:
        """Take the file as it is now for what it is to stay."""
        self._seen_at = time.time_ns()
        self._seen = seen = os.fstat(self.file.fileno())
        self.entry = Entry(self.entry.key, seen.st_size, seen.st_mtime_ns, seen.st_ino)

    def freshness(self) -> float:
        """Seconds until a further write is sure to show in the times; mostly 0.

        The kernel's file times move in ticks (up to 10 ms; 2 s on FAT): of a file that was written just
        before it was opened, a write after the opening may bear the same time.
        """
        if self._seen is None:
            return 0.0
        changed = self._seen.st_ctime_ns
        window = _FRESH_NS if changed % 1_000_000_000 else _FRESH_COARSE_NS
        age = self._seen_at - changed
        return (window - age) / 1e9 if 0 <= age < window else 0.0

    def take_in(self) -> None:
        """Read the whole file into `content`, and let go of it. `Changed` if it changes meanwhile, twice."""
        for retried in (False, True):
            try:
                [content] = self.spans([(0, self.entry.size)])
            except Changed:
                if retried:
                    raise
                self.look()
                continue
            self.file.close()
            self.file, self.content, self._seen = BytesIO(content), content, None
            return

    def changed(self) -> bool:
        """Whether the content may have changed since it was opened."""
        if (seen := self._seen) is None:
            return False
        now = os.fstat(self.file.fileno())
        if (now.st_size, now.st_mtime_ns) != (seen.st_size, seen.st_mtime_ns):
            return True
        # A program may set the mtime back after writing, but not the ctime. That one moves as well when a
        # name is taken from the file (replaced, deleted): the content stays, and it shows in the links.
        return now.st_ctime_ns != seen.st_ctime_ns and now.st_nlink == seen.st_nlink

    def spans(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes at (offset, count) each; raises `Changed` unless they are surely those of one state."""
        if self.content is not None:
            return [self.content[offset : offset + count] for offset, count in wanted]
        found = [self._read(offset, count) for offset, count in wanted]
        if self.changed():
            raise Changed(self.entry.key)
        return found

    def _read(self, offset: int, count: int) -> bytes:
        pieces = []
        while count:
            piece = os.pread(self.file.fileno(), count, offset)
            if not piece:
                raise Changed(self.entry.key)
            pieces.append(piece)
            offset += len(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _fetch(self, offset: int, count: int) -> None:
        for at in range(offset, offset + count, _STEP):
            os.pread(self.file.fileno(), min(_STEP, offset + count - at), at)
        # What comes next is read ahead while this is being sent.
        os.posix_fadvise(self.file.fileno(), offset + count, count, os.POSIX_FADV_WILLNEED)

    # To be called in the event loop.

    async def read(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """`spans`, in a thread. Raises `Changed`, `Away`."""
        if self.content is not None:
            return self.spans(wanted)
        return await self.run(lambda: self.spans(wanted))

    async def has_changed(self) -> bool:
        """`changed`, in a thread. Raises `Away`."""
        return await self.run(self.changed)

    async def warm(self, offset: int, count: int) -> None:
        """See to it that sending this span will not wait for the disk: one that sleeps takes seconds."""
        if self.content is None and count and not self._is_warm(offset, count):
            await self.run(lambda: self._fetch(offset, count))

    def _is_warm(self, offset: int, count: int) -> bool:
        probe = [bytearray(1)]
        try:
            for at in (offset, offset + count // 2, offset + count - 1):
                os.preadv(self.file.fileno(), probe, at, os.RWF_NOWAIT)
        except OSError:
            # EAGAIN: not in memory. EOPNOTSUPP: a file system that cannot tell (FUSE, NFS).
            return False
        return True

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread of the storage. Raises `Away` for what only a failing storage says."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            if error.errno in AWAY:
                raise Away from error
            raise

    def close_soon(self) -> asyncio.Future[None] | None:
        """Close, and go on: in a thread, for the last closing of a deleted file may take the disk a while."""
        if self.content is not None:
            self.file.close()
        elif self._closed is None:
            self._closed = asyncio.get_running_loop().run_in_executor(self._threads, self.file.close)
            _closing.add(self._closed)
            self._closed.add_done_callback(_closing.discard)
        return self._closed

    async def close(self) -> None:
        """Close, and wait until it is closed, be it cancelled or not."""
        if closing := self.close_soon():
            await asyncio.shield(closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
