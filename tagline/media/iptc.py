"""The IPTC record of newspapers' time (IIM 4.2): caption, keywords, place."""

from typing import Final, NamedTuple

_CAPTION, _KEYWORD, _CITY, _STATE, _COUNTRY = (2, 120), (2, 25), (2, 90), (2, 95), (2, 101)
_CHARACTER_SET = (1, 90)
_UTF8: Final = b"\x1b%G"
_MOST_BYTES: Final = 1024 * 1024


class Iptc(NamedTuple):
    """What was found; `place` is city, state, country, each perhaps empty."""

    caption: str = ""
    keywords: tuple[str, ...] = ()
    place: tuple[str, ...] = ()


def read(block: bytes | None) -> Iptc:
    """The record in `block` (the content of Photoshop's resource 0x0404); what comes before damage counts."""
    if not block:
        return Iptc()
    sets = _datasets(block[:_MOST_BYTES])
    utf8 = _UTF8 in sets.get(_CHARACTER_SET, [b""])[0]

    def text(raw: bytes) -> str:
        raw = raw.rstrip(b"\0")
        if utf8:
            return raw.decode("utf-8", "replace")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def first(key: tuple[int, int]) -> str:
        return text(sets[key][0]) if key in sets else ""

    return Iptc(
        caption=first(_CAPTION),
        keywords=tuple(text(raw) for raw in sets.get(_KEYWORD, ())),
        place=(first(_CITY), first(_STATE), first(_COUNTRY)),
    )


def _datasets(block: bytes) -> dict[tuple[int, int], list[bytes]]:
    """(record, data set) → values in their order; ends at the first byte that makes no sense."""
    found: dict[tuple[int, int], list[bytes]] = {}
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        key = (block[at + 1], block[at + 2])
        size = int.from_bytes(block[at + 3 : at + 5], "big")
        at += 5
        if size & 0x8000:
            # An extended data set: the low bits tell how many bytes its length takes.
            width = size & 0x7FFF
            if width > 4:
                break
            size = int.from_bytes(block[at : at + width], "big")
            at += width
        if at + size > len(block):
            break
        found.setdefault(key, []).append(block[at : at + size])
        at += size
    return found
