"""The header `If` (RFC 4918 §10.4): lists of lock tokens and entity tags, one of which has to hold."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec

from tagline.errors import BadRequest, Invalid
from tagline.uploads.dav.places import ROOT, place_of

_PIECE = re.compile(r"[ \t]*(?:(?P<url><[^<>]*>)|(?P<open>\()|(?P<close>\))|(?P<not>not\b)|\[(?P<tag>[^\]]*)\])", re.I)
MOST_CONDITIONS = 1000


class Condition(msgspec.Struct, frozen=True):
    """A state token (a URI) or an entity tag (with its quotes) that has to be, or not to be, that of a resource."""

    negated: bool
    token: str | None = None
    tag: str | None = None


class Conditions(msgspec.Struct, frozen=True):
    """A list: all have to hold. `tagged` is the address that they are about; None for the request's own."""

    tagged: str | None
    all: tuple[Condition, ...]


def read(header: str) -> list[Conditions]:
    """The lists of the header; raises BadRequest."""
    lists: list[Conditions] = []
    tagged: str | None = None
    inside: list[Condition] | None = None
    negated = False
    at, count = 0, 0
    header = header.rstrip(" \t")
    while at < len(header):
        piece = _PIECE.match(header, at)
        if not piece:
            raise BadRequest("The header If cannot be read.")
        at, kind = piece.end(), piece.lastgroup
        count += 1
        if inside is None and kind == "open":
            inside = []
        elif inside is None and kind == "url":
            tagged = piece["url"][1:-1]
        elif inside is not None and kind == "not" and not negated:
            negated = True
        elif inside is not None and kind in ("url", "tag"):
            token = piece["url"][1:-1] if kind == "url" else None
            inside.append(Condition(negated, token, piece["tag"] if kind == "tag" else None))
            negated = False
        elif inside and kind == "close" and not negated:
            lists.append(Conditions(tagged, tuple(inside)))
            inside = None
        else:
            raise BadRequest("The header If cannot be read.")
        if count > MOST_CONDITIONS:
            raise BadRequest("The header If has too many conditions.")
    if inside is not None or not lists:
        raise BadRequest("The header If cannot be read.")
    return lists


def tokens(lists: list[Conditions]) -> frozenset[str]:
    """All lock tokens that a header names: these are submitted, whatever they are said to be about (§6.5)."""
    return frozenset(one.token for each in lists for one in each.all if one.token)


async def holds(
    lists: list[Conditions], key: str, etag: Callable[[str], Awaitable[str | None]], locked: Callable[[str, str], bool]
) -> bool:
    """Whether one of the lists holds. `etag(key)` is that of a file, with quotes; `locked(key, token)` whether a lock
    with that token is on it. `key` is what the request is about."""
    for each in lists:
        about = key if each.tagged is None else _key(each.tagged)
        tag = await etag(about) if about is not None and any(one.tag is not None for one in each.all) else None
        if all(_true(one, about, tag, locked) != one.negated for one in each.all):
            return True
    return False


def _true(one: Condition, about: str | None, tag: str | None, locked: Callable[[str, str], bool]) -> bool:
    if about is None:
        return False
    if one.token is not None:
        return locked(about, one.token)
    return one.tag is not None and one.tag == tag


def _key(address: str) -> str | None:
    """The key of an address; None where that is none of ours."""
    try:
        path = urlsplit(address).path
        return place_of(path).key if (path + "/").startswith(ROOT) else None
    except (ValueError, Invalid):
        return None
