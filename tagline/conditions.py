"""Conditional requests as RFC 9110 §13 has them."""

import calendar
import re
import time
from collections.abc import Mapping
from email.utils import formatdate, parsedate
from typing import NamedTuple

from tagline import errors

# RFC 9110 §8.8.3. Header values arrive decoded, so that bytes above ASCII are characters here.
_TAG = re.compile(r'[ \t]*(W/)?"([^\x00-\x20"\x7f]*)"[ \t]*(?:,|$)')
_EMPTY = re.compile(r"[ \t]*,")


class Validators(NamedTuple):
    """What tells one state of a thing from another.

    `etag` is strong and without its quotes; `last_modified` is seconds since the epoch, None if unknown.
    """

    etag: str
    last_modified: float | None

    def headers(self) -> dict[str, str]:
        """ETag and Last-Modified."""
        headers = {"ETag": f'"{self.etag}"'}
        if (modified := self.last_modified_second()) is not None:
            headers["Last-Modified"] = formatdate(modified, usegmt=True)
        return headers

    def last_modified_second(self) -> int | None:
        """`last_modified` as HTTP tells it: whole seconds, and never later than now (§8.8.2.1)."""
        return None if self.last_modified is None else min(int(self.last_modified), int(time.time()))


def is_not_modified(method: str, headers: Mapping[str, str], now: Validators) -> bool:
    """Whether 304 is the answer, in the order of precedence of §13.2.2.

    Raises `errors.PreconditionFailed` where the client asked to be told so.
    """
    modified = now.last_modified_second()
    if (wanted := headers.get("If-Match")) is not None:
        if not lists_tag(wanted, now.etag, weak=False):
            raise _failed(now)
    elif (
        modified is not None
        and (since := _seconds(headers.get("If-Unmodified-Since"))) is not None
        and modified > since
    ):
        raise _failed(now)
    reads = method in ("GET", "HEAD")
    if (known := headers.get("If-None-Match")) is not None:
        if not lists_tag(known, now.etag, weak=True):
            return False
        if not reads:
            raise _failed(now)
        return True
    since = _seconds(headers.get("If-Modified-Since")) if reads else None
    return since is not None and modified is not None and modified <= since


def wants_range(method: str, headers: Mapping[str, str], now: Validators) -> bool:
    """Whether Range counts: on GET only (§14.2), and if If-Range names just what is there now (§13.1.5)."""
    if method != "GET" or "Range" not in headers:
        return False
    if (wanted := headers.get("If-Range")) is None:
        return True
    if tag := _TAG.fullmatch(wanted):
        return not tag[1] and tag[2] == now.etag
    # A date is strong enough only if the file cannot have changed twice within its second (§8.8.2.2).
    modified = now.last_modified_second()
    return modified is not None and _seconds(wanted) == modified and modified < int(time.time())


def lists_tag(header: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags has `etag`, or is `*`. A malformed list has nothing after its fault."""
    if header.strip(" \t") == "*":
        return True
    at = 0
    while at < len(header):
        if empty := _EMPTY.match(header, at):
            at = empty.end()
        elif tag := _TAG.match(header, at):
            if tag[2] == etag and (weak or not tag[1]):
                return True
            at = tag.end()
        else:
            return False
    return False


def _seconds(date: str | None) -> int | None:
    """Seconds since the epoch of an HTTP date in any of its three forms (§5.6.7), None if it is none."""
    parsed = parsedate(date) if date else None
    if parsed is None:
        return None
    try:
        return calendar.timegm(parsed)
    except (ValueError, OverflowError):
        return None


def _failed(now: Validators) -> errors.PreconditionFailed:
    return errors.PreconditionFailed(
        "It has been changed since, or is not what the request was meant for", headers=now.headers()
    )
