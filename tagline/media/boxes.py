"""Boxes (ISO/IEC 14496-12 §4.2), of which MP4, MOV, HEIF and AVIF files are made."""

import io
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

MOST_BOXES: Final = 4096
"""No level of a sane file has more; a hostile one ends here."""


class Box(NamedTuple):
    """Where the content of a box lies in its file: from `start` up to `end`."""

    kind: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self.end - self.start


def size_of(file: BinaryIO) -> int:
    """The length of a file that can seek."""
    return file.seek(0, io.SEEK_END)


def walk(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes of one level; ends quietly at damage. A box that runs over `end` is cut there."""
    at = start
    for _ in range(MOST_BOXES):
        if at + 8 > end:
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - at
        if size < header:
            return
        yield Box(kind, at + header, min(at + size, end))
        at += size


def find(file: BinaryIO, kind: bytes, start: int, end: int) -> Box | None:
    """The first box of that kind on one level."""
    return next((box for box in walk(file, start, end) if box.kind == kind), None)


def content(file: BinaryIO, box: Box | None, most: int) -> bytes:
    """The first `most` bytes inside `box`; nothing for None."""
    if box is None:
        return b""
    file.seek(box.start)
    return file.read(min(box.size, most))
