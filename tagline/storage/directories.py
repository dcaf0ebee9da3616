"""Directories of the library: reached part by part without following links, and made to survive a power cut."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def directory(root: Path, folder: str) -> Iterator[int]:
    """The open directory of a folder ("" or with a slash at its end), reached without following links below `root`."""
    descriptor = os.open(root, _DIRECTORY)
    try:
        for part in folder.split("/")[:-1]:
            below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def parent(root: Path, key: str) -> Iterator[tuple[int, str]]:
    """The open directory that `key` lies in, reached without following links, and the key's last part."""
    above, slash, name = key.rpartition("/")
    with directory(root, above + slash) as descriptor:
        yield descriptor, name


def make_directories(root: Path, parts: list[str]) -> int:
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


def sync_folder(folder: Path) -> None:
    """`sync_directory` of a folder that nobody has open."""
    with directory(folder, "") as descriptor:
        sync_directory(descriptor)


def sync_directory(descriptor: int) -> None:
    """Make names in a directory survive a power cut, where the file system can."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
