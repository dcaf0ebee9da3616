"""Opening what may be anything: a pipe, a device, a link, a file that somebody is still writing."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tagline.media.errors import MediaError, not_readable

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@contextmanager
def steady(path: str | bytes) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """The regular file at `path` and its stat; leaving the block finds out whether it stayed as it was.

    Raises MediaError: not_readable (also for links, pipes, folders), still_being_written.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise not_readable(error if isinstance(error, OSError) else OSError()) from error
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise MediaError("not_readable", "This is not a regular file.")
    with open(descriptor, "rb", buffering=64 * 1024) as file:
        try:
            yield file, before
        except OSError as error:
            raise not_readable(error) from error
        check_unchanged(file, before)


def check_unchanged(file: BinaryIO, before: os.stat_result) -> None:
    """Raises MediaError still_being_written if `file` is not what it was."""
    after = os.fstat(file.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise MediaError("still_being_written", "The file changed while it was read.")
