"""The folder that is sent: which files lie there, what they contain, and that they are still the same.

Nothing in it is ever changed.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import msgspec

from tagline.media.formats import HEAD_BYTES, recognise
from tagline.storage.ignoring import passed_over

PIECE = 1024 * 1024
"""How much of a file is in memory at once, bytes."""


class LocalFile(msgspec.Struct, frozen=True, gc=False):
    """A file in the folder as it was when it was looked at: another size, time or inode is another content.

    `path` is relative to the folder.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int

    @property
    def name(self) -> str:
        """What the server is told that it is called; bytes that are no UTF-8 become U+FFFD."""
        return os.fsencode(os.path.basename(self.path)).decode("utf-8", "replace")

    @property
    def shown(self) -> str:
        """The path in a form that any terminal can print: without control characters."""
        text = os.fsencode(self.path).decode("utf-8", "replace")
        return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


class Unreadable(msgspec.Struct, frozen=True):
    """Something in the folder that could not be read, and why; `path` as LocalFile shows it."""

    path: str
    why: str


class Altered(Exception):
    """The file is another one than when it was looked at, or has gone: it is left for next time."""


class Stopped(Exception):
    """Whoever wanted the hash does not any more."""


def files(root: Path) -> Iterator[LocalFile | Unreadable]:
    """Every ordinary file below `root`, folder by folder in the order of names; links are not followed.

    Passed over is what the server passes over as well: hidden, temporary and system files. Memory is that of one
    folder's names.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            yield Unreadable(_shown(folder) or ".", error.strerror or str(error))
            continue
        below = []
        for name in names:
            if passed_over(name):
                continue
            path = f"{folder}/{name}" if folder else name
            try:
                status = os.lstat(root / path)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Unreadable(_shown(path), error.strerror or str(error))
                continue
            if S_ISDIR(status.st_mode):
                below.append(path)
            elif S_ISREG(status.st_mode):
                yield LocalFile(path, status.st_size, status.st_mtime_ns, status.st_ino)
        waiting.extend(reversed(below))


def sha256(root: Path, file: LocalFile, stop: threading.Event) -> bytes | None:
    """The SHA-256 of a photo or video, or None for any other file, which its first bytes tell.

    Raises Altered, OSError where it cannot be read, and Stopped once `stop` is set.
    """
    with Reading(root, file) as reading:
        head = reading.take(HEAD_BYTES)
        if recognise(head) is None:
            return None
        digest = hashlib.sha256(head)
        while piece := reading.take(PIECE):
            if stop.is_set():
                raise Stopped
            digest.update(piece)
        reading.check()
        return digest.digest()


def mime_type(root: Path, file: LocalFile) -> str:
    """The media type that the file's first bytes tell; raises Altered, OSError."""
    with Reading(root, file) as reading:
        known = recognise(reading.take(HEAD_BYTES))
    if known is None:
        raise Altered(file.path)
    return known.mime_type


class Reading:
    """A file of the folder, open for reading from an offset; raises Altered if it is not what it was."""

    def __init__(self, root: Path, file: LocalFile, offset: int = 0) -> None:
        self._file = file
        # Whoever stops waiting for a piece closes the file: not while a thread still reads it.
        self._reading = threading.Lock()
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._descriptor = os.open(root / file.path, flags)
        except FileNotFoundError as error:
            raise Altered(file.path) from error
        try:
            self.check()
            os.lseek(self._descriptor, offset, os.SEEK_SET)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, most: int) -> bytes:
        """The next bytes, b"" at the end."""
        with self._reading:
            return os.read(self._descriptor, most) if self._descriptor >= 0 else b""

    def check(self) -> None:
        """Raises Altered if the file has been written to since it was looked at."""
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (self._file.size, self._file.mtime_ns, self._file.inode):
            raise Altered(self._file.path)

    def close(self) -> None:
        """Give the file back."""
        with self._reading:
            os.close(self._descriptor)
            self._descriptor = -1


def _shown(path: str) -> str:
    return LocalFile(path, 0, 0, 0).shown
