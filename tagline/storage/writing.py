"""Writing a file into a directory whole or not at all, so that it survives a power cut."""

import errno
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from tagline.storage.entries import Entry, Exists

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# What file systems without hard links (FAT, exFAT, some network mounts) say to link().
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


class Writing:
    """A file on its way into the library. Blocks: to be used in threads, one call after the other.

    The content goes to a hidden file in the same directory first, which the walk passes over.
    """

    def __init__(self, root: Path, key: str) -> None:
        self._key = key
        *above, self._name = key.split("/")
        self._unfinished = f".tagline-{secrets.token_hex(8)}.tmp"
        # A cancelled caller cleans up while its last write may still be under way in another thread.
        self._lock = threading.Lock()
        self._directory = _make_directories(root, above)
        try:
            self._file: int | None = os.open(
                self._unfinished,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o666,
                dir_fd=self._directory,
            )
        except BaseException:
            os.close(self._directory)
            raise

    def write(self, chunk: bytes) -> None:
        """Add to the content."""
        with self._lock:
            if self._file is None:
                return
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def finish(self, *, overwrite: bool) -> Entry:
        """Put the file into its place. Raises `Exists` unless `overwrite`."""
        with self._lock:
            if self._file is None:
                raise RuntimeError("writing has been abandoned")
            os.fsync(self._file)
            written = os.fstat(self._file)
            if overwrite:
                self._rename()
            else:
                self._claim()
            sync_directory(self._directory)
            return Entry(self._key, written.st_size, written.st_mtime_ns, written.st_ino)

    def abandon(self) -> None:
        """Close, and take the hidden file away if it is still there. May be called at any time, and again."""
        with self._lock:
            if self._file is None:
                return
            os.close(self._file)
            self._file = None
            with suppress(OSError):
                os.unlink(self._unfinished, dir_fd=self._directory)
            os.close(self._directory)

    def _rename(self) -> None:
        os.rename(self._unfinished, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _claim(self) -> None:
        try:
            os.link(self._unfinished, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except FileExistsError as error:
            raise Exists(self._key) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._claim_without_links()

    def _claim_without_links(self) -> None:
        """Take the name with an empty file, and rename over that one: nobody else's file is overwritten."""
        try:
            os.close(
                os.open(
                    self._name,
                    os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                    0o666,
                    dir_fd=self._directory,
                )
            )
        except FileExistsError as error:
            raise Exists(self._key) from error
        try:
            self._rename()
        except BaseException:
            os.unlink(self._name, dir_fd=self._directory)
            raise


def sync_directory(descriptor: int) -> None:
    """Make names in a directory survive a power cut, where the file system can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


def _make_directories(root: Path, parts: list[str]) -> int:
    """Open the directory `parts` below `root`, making what is missing, following no links."""
    descriptor = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            try:
                below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
                sync_directory(descriptor)
                below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
