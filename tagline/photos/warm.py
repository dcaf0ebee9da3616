"""Small files that are asked for again and again: kept open, and read without a thread where memory has them.

What is in the page cache takes 5 µs to read, and a change of threads ten times that. `preadv2` with RWF_NOWAIT
reads only what needs no waiting for the disk; the rest is read in a thread, as everything is that is opened.
"""

import asyncio
import os
from collections import OrderedDict
from contextlib import suppress

# A page of a grid or two; each costs a descriptor, of which a process has 1,024.
MOST_OPEN = 200
# Larger ones are no grid's, and what was deleted takes its room on the disk until it is closed.
MOST_BYTES = 64 * 1024
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class Warm:
    """Reads whole files that never change (they are named by their content)."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def read(self, path: str) -> bytes | None:
        """The file's bytes; None if there is none, or it is empty as a power cut may leave it."""
        known = self._open.get(path)
        if known is None:
            content, descriptor = await asyncio.get_running_loop().run_in_executor(None, _open, path)
            if content:
                self._keep(path, descriptor, len(content))
            return content
        self._open.move_to_end(path)
        descriptor, size = known
        buffer = bytearray(size)
        with suppress(OSError):  # EAGAIN: not in memory. EOPNOTSUPP: a file system that cannot tell.
            if os.preadv(descriptor, [buffer], 0, _NOWAIT) == size:
                return bytes(buffer)
        content, descriptor = await asyncio.get_running_loop().run_in_executor(None, _open, path)
        if descriptor >= 0:
            os.close(descriptor)
        return content

    def _keep(self, path: str, descriptor: int, size: int) -> None:
        if size > MOST_BYTES or path in self._open:  # or somebody else was quicker
            os.close(descriptor)
            return
        self._open[path] = descriptor, size
        if len(self._open) > MOST_OPEN:
            os.close(self._open.popitem(last=False)[1][0])

    def drop(self, path: str) -> None:
        """Close one file, if it is open."""
        if known := self._open.pop(path, None):
            os.close(known[0])

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1][0])


def _open(path: str) -> tuple[bytes | None, int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, -1
    content = os.read(descriptor, os.fstat(descriptor).st_size)
    if not content:
        os.close(descriptor)
        return None, -1
    return content, descriptor
