"""Time: microseconds UTC inside, RFC 3339 outside, and a clock that survives a board without one."""

import re
import time
from datetime import UTC, datetime, timedelta

# A Raspberry Pi has no clock of its own and starts in the past. No real time lies before this release,
# so until the network has set the clock, time goes on from here (or from the newest change on record).
RELEASED = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
_floor = RELEASED
_floor_set_at = time.monotonic_ns()

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def set_floor(newest: int) -> None:
    """Take the newest time on record, µs, as the least that `now` answers while the clock is unset."""
    global _floor, _floor_set_at
    _floor = max(RELEASED, newest)
    _floor_set_at = time.monotonic_ns()


def now() -> int:
    """Microseconds since 1970, UTC."""
    clock = time.time_ns() // 1000
    if clock >= RELEASED:
        return clock
    return _floor + (time.monotonic_ns() - _floor_set_at) // 1000


def to_text(at: int) -> str:
    """RFC 3339 in UTC with microseconds and `Z`."""
    return (EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> tuple[int, int | None]:
    """Microseconds UTC and the offset in minutes (None for `Z`) of an RFC 3339 time.

    Raises ValueError for anything else.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time such as 2024-07-01T16:02:11+02:00")
    moment = datetime.fromisoformat(text.upper())
    offset = moment.utcoffset()
    assert offset is not None
    at = (moment - EPOCH) // timedelta(microseconds=1)
    return at, None if text[-1] in "Zz" else offset // timedelta(minutes=1)
