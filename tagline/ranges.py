"""Byte ranges as RFC 9110 §14 has them."""

import re
from typing import NamedTuple

from tagline import errors

# RFC 9110 §14.2 lets a server ignore what looks like an attack: many ranges, or more than two that overlap.
MOST_GIVEN = 100
MOST_SENT = 16
MOST_OVERLAPS = 2

_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
# Beyond any file, and short of what int() refuses to parse.
_MOST_DIGITS = 18


class Range(NamedTuple):
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The value of Content-Range for this part of a file of `size` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str | None, size: int) -> list[Range] | None:
    """What the Range header asks for of a file of `size` bytes; None if the whole file is to be sent.

    Ranges that overlap or touch are one, at the place of the first of them. The header is ignored (None) if
    it is absent, malformed, of another unit, or asks for too much. Raises `errors.RangeNotSatisfiable` if it
    is well-formed, and nothing of it is in the file.
    """
    specs = _specs(header)
    if not specs or len(specs) > MOST_GIVEN:
        return None
    ranges = []
    for first, last in specs:
        if first and last and _number(last) < _number(first):
            return None
        if found := _satisfied(first, last, size):
            ranges.append(found)
    if not ranges:
        if not size and any(not first and _number(last) for first, last in specs):
            # The last bytes of nothing are satisfiable (§14.1.2), but Content-Range cannot say so.
            return None
        raise errors.RangeNotSatisfiable(
            f"The file has {size} bytes; nothing of what is asked for is in it",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return _joined(ranges)


def _specs(header: str | None) -> list[tuple[str, str]] | None:
    """First and last position as they are written, or None if the header is malformed or of another unit."""
    unit, equals, listed = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    specs = []
    # Empty elements of a list are to be accepted (§5.6.1.2).
    for element in filter(None, (element.strip(" \t") for element in listed.split(","))):
        if not (match := _SPEC.fullmatch(element)) or element == "-":
            return None
        specs.append((match[1], match[2]))
    return specs


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _satisfied(first: str, last: str, size: int) -> Range | None:
    if first:
        start, stop = _number(first), min(_number(last) + 1, size) if last else size
    else:
        start, stop = max(size - _number(last), 0), size
    return Range(start, stop) if start < stop else None


def _joined(ranges: list[Range]) -> list[Range] | None:
    """The ranges with those joined that overlap or touch, or None if they are too many."""
    joined: list[tuple[int, Range]] = []
    overlaps = 0
    for place, (start, stop) in sorted(enumerate(ranges), key=lambda placed: placed[1]):
        if joined and start <= joined[-1][1].stop:
            first, before = joined[-1]
            overlaps += start < before.stop
            joined[-1] = min(first, place), Range(before.start, max(before.stop, stop))
        else:
            joined.append((place, Range(start, stop)))
    if overlaps > MOST_OVERLAPS or len(joined) > MOST_SENT:
        return None
    return [found for _, found in sorted(joined)]
