"""Writing a file into a directory whole or not at all, so that it survives a power cut."""

import errno
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from tagline.storage.directories import make_directories, sync_directory
from tagline.storage.entries import Entry, Exists

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
        self._directory = make_directories(root, above)
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
            claim(self._unfinished, self._directory, self._name, self._directory)
        except FileExistsError as error:
            raise Exists(self._key) from error


def claim(source: str | Path, source_directory: int | None, name: str, directory: int) -> None:
    """Give the file `source` the name `name` in `directory`; `FileExistsError` if that is taken.

    Where there are hard links, `source` stays as another name of the file; it is gone where there are none.
    """
    try:
        os.link(source, name, src_dir_fd=source_directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        claim_without_links(source, source_directory, name, directory)


def claim_without_links(source: str | Path, source_directory: int | None, name: str, directory: int) -> None:
    """Take the name with an empty file, and rename over that one: nobody else's file is overwritten.

    A power cut in between leaves that empty file, and `source` as it was.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o666, dir_fd=directory))
    try:
        os.rename(source, name, src_dir_fd=source_directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(name, dir_fd=directory)
        raise
