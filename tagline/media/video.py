"""Headers of MP4 and MOV films (ISO/IEC 14496-12; Apple, QuickTime File Format), by reading a few boxes."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO, Final

import msgspec

from tagline.media import captured
from tagline.media.boxes import Box, content, find, size_of, walk
from tagline.media.exif import sane_position
from tagline.media.text import decode

_MAC_EPOCH: Final = datetime(1904, 1, 1)
_MOST_TRACKS: Final = 64
_MOST_TEXT: Final = 64 * 1024
# ISO 6709 annex H: "+46.1234+009.2345+123.4/", degrees only, as phones write it.
_POSITION: Final = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)")

_APPLE: Final = "com.apple.quicktime."


class Film(msgspec.Struct):
    """What the boxes tell: pixels as displayed, seconds, degrees; None or empty for what they don't."""

    width: int | None = None
    height: int | None = None
    duration: float | None = None
    taken: captured.Moment | None = None
    lat: float | None = None
    lon: float | None = None
    make: str = ""
    model: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()


def read(file: BinaryIO) -> Film:
    """The film in `file`; damage costs what stands behind it, nothing raises but reading itself."""
    film = Film()
    moov = find(file, b"moov", 0, size_of(file))
    if moov is None:
        return film
    tracks = 0
    words: dict[str, str] = {}
    for box in walk(file, moov.start, moov.end):
        if box.kind == b"mvhd":
            _movie_header(content(file, box, 128), film)
        elif box.kind == b"trak" and film.width is None and tracks < _MOST_TRACKS:
            tracks += 1
            film.width, film.height = _track_size(file, box) or (None, None)
        elif box.kind in (b"udta", b"meta"):
            words.update(_words(file, box))
    _tell(words, film)
    return film


def _movie_header(mvhd: bytes, film: Film) -> None:
    wide = mvhd[:1] == b"\x01"
    if len(mvhd) < (32 if wide else 20):
        return
    width = 8 if wide else 4
    created = int.from_bytes(mvhd[4 : 4 + width], "big")
    scale_at = 4 + 2 * width
    scale = int.from_bytes(mvhd[scale_at : scale_at + 4], "big")
    length = int.from_bytes(mvhd[scale_at + 4 : scale_at + 4 + width], "big")
    if scale and 0 < length < (1 << 8 * width) - 1 and length / scale < 1e7:
        film.duration = round(length / scale, 3)
    # Within what people filmed digitally; 0 (1904) and other nonsense mean that the clock was not set.
    if 2_082_844_800 < created < 6_217_000_000:
        film.taken = captured.by_utc(_MAC_EPOCH + timedelta(seconds=created))


def _track_size(file: BinaryIO, trak: Box) -> tuple[int, int] | None:
    """Width and height of a picture track, turned as its matrix says; None for sound and the like."""
    tkhd = content(file, find(file, b"tkhd", trak.start, trak.end), 128)
    mdia = find(file, b"mdia", trak.start, trak.end)
    if mdia is None:
        return None
    if content(file, find(file, b"hdlr", mdia.start, mdia.end), 16)[8:12] != b"vide":
        return None
    matrix_at = 52 if tkhd[:1] == b"\x01" else 40
    if len(tkhd) < matrix_at + 44:
        return None
    a, b, c, d = (
        int.from_bytes(tkhd[matrix_at + at : matrix_at + at + 4], "big", signed=True) for at in (0, 4, 12, 16)
    )
    size_at = matrix_at + 36
    width = int.from_bytes(tkhd[size_at : size_at + 4], "big") >> 16
    height = int.from_bytes(tkhd[size_at + 4 : size_at + 8], "big") >> 16
    if not width or not height:
        return None
    turned = abs(b) > abs(a) and abs(c) > abs(d)
    return (height, width) if turned else (width, height)


def _words(file: BinaryIO, box: Box) -> Iterator[tuple[str, str]]:
    """Texts by name: Apple's keys (com.apple.quicktime.…) and the © boxes of user data."""
    if box.kind == b"meta":
        yield from _apple_words(file, box)
        return
    for part in walk(file, box.start, box.end):
        if part.kind == b"meta":
            yield from _apple_words(file, part)
        elif part.kind[:1] == b"\xa9":
            # QuickTime's international text: length, language, text.
            body = content(file, part, _MOST_TEXT)
            yield part.kind.decode("latin-1"), decode(body[4 : 4 + int.from_bytes(body[:2], "big")])


def _apple_words(file: BinaryIO, meta: Box) -> Iterator[tuple[str, str]]:
    # ISO's meta has version and flags before its boxes, QuickTime's has not.
    head = content(file, meta, 8)
    start = meta.start if head[4:8] in (b"hdlr", b"keys", b"ilst") else meta.start + 4
    parts = {part.kind: part for part in walk(file, start, meta.end)}
    ilst = parts.get(b"ilst")
    if ilst is None:
        return
    names = _key_names(content(file, parts.get(b"keys"), _MOST_TEXT))
    for item in walk(file, ilst.start, ilst.end):
        data = content(file, find(file, b"data", item.start, item.end), _MOST_TEXT)
        if int.from_bytes(data[:4], "big") != 1:
            continue
        name = names.get(int.from_bytes(item.kind, "big")) or item.kind.decode("latin-1")
        yield name, decode(data[8:])


def _key_names(keys: bytes) -> dict[int, str]:
    names: dict[int, str] = {}
    at = 8
    for number in range(1, 1 + min(int.from_bytes(keys[4:8], "big"), 256)):
        size = int.from_bytes(keys[at : at + 4], "big")
        if size < 8:
            break
        names[number] = decode(keys[at + 8 : at + size])
        at += size
    return names


def _tell(words: dict[str, str], film: Film) -> None:
    def first(*names: str) -> str:
        return next((words[name] for name in names if words.get(name)), "")

    film.make = first(_APPLE + "make", "\xa9mak")
    film.model = first(_APPLE + "model", "\xa9mod")
    film.description = first(_APPLE + "description", "\xa9des", "\xa9cmt", "desc", "\xa9inf")
    film.keywords = tuple(first(_APPLE + "keywords", "\xa9key").split(","))
    position = _POSITION.match(first(_APPLE + "location.ISO6709", "\xa9xyz"))
    if position:
        film.lat, film.lon = sane_position(float(position[1]), float(position[2])) or (None, None)
    created = first(_APPLE + "creationdate", "\xa9day")
    # A bare year in ©day is a tag of the music business.
    if len(created) >= 19 and (moment := captured.by_iso(created)) is not None:
        film.taken = moment
