"""Headers of HEIC, HEIF and AVIF stills (ISO/IEC 23008-12): size as displayed, EXIF, XMP; no decoder."""

import io
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from tagline.media.boxes import Box, content, find, size_of, walk
from tagline.media.errors import broken_image

_MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_ITEMS: Final = 8192


class Still(NamedTuple):
    """The primary picture: pixels as displayed, and the blocks that belong to it."""

    width: int
    height: int
    exif: bytes | None
    xmp: bytes | None


class _Location(NamedTuple):
    inside_idat: bool
    extents: list[tuple[int, int]]


def read(file: BinaryIO) -> Still:
    """The headers of the primary picture; raises MediaError broken_image where there is none."""
    end = size_of(file)
    meta_box = find(file, b"meta", 0, end)
    meta = content(file, meta_box, _MOST_BYTES)
    memory = io.BytesIO(meta)
    parts = {box.kind: box for box in walk(memory, 4, len(meta))}
    primary = _primary(content(memory, parts.get(b"pitm"), 64))
    size = _size(memory, parts.get(b"iprp"), primary)
    if size is None:
        raise broken_image()
    exif_id, xmp_id = _blocks(memory, parts.get(b"iinf"))
    places = _locations(content(memory, parts.get(b"iloc"), _MOST_BYTES))
    idat = content(memory, parts.get(b"idat"), _MOST_BYTES)
    exif = _item(file, places.get(exif_id), idat)
    return Still(*size, _tiff_part(exif), _item(file, places.get(xmp_id), idat))


def _primary(pitm: bytes) -> int:
    return int.from_bytes(pitm[4:8] if pitm[:1] == b"\x01" else pitm[4:6], "big")


def _size(meta: BinaryIO, iprp: Box | None, item: int) -> tuple[int, int] | None:
    """The properties of `item` in their order: ispe gives the size, clap cuts it, irot turns it."""
    if iprp is None:
        return None
    ipco = find(meta, b"ipco", iprp.start, iprp.end)
    if ipco is None:
        return None
    properties = list(walk(meta, ipco.start, ipco.end))
    size: tuple[int, int] | None = None
    for ipma in walk(meta, iprp.start, iprp.end):
        if ipma.kind != b"ipma":
            continue
        for index in _associations(content(meta, ipma, _MOST_BYTES), item):
            if not 0 < index <= len(properties):
                continue
            box = properties[index - 1]
            body = content(meta, box, 64)
            if box.kind == b"ispe" and len(body) >= 12:
                size = int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")
            elif box.kind == b"clap" and size and len(body) >= 16:
                size = _clean_aperture(body, size)
            elif box.kind == b"irot" and size and body and body[0] & 1:
                size = size[1], size[0]
    return size if size and min(size) > 0 else None


def _clean_aperture(clap: bytes, size: tuple[int, int]) -> tuple[int, int]:
    numbers = [int.from_bytes(clap[at : at + 4], "big") for at in range(0, 16, 4)]
    if not numbers[1] or not numbers[3]:
        return size
    width, height = numbers[0] // numbers[1], numbers[2] // numbers[3]
    return (width, height) if 0 < width <= size[0] and 0 < height <= size[1] else size


def _associations(ipma: bytes, wanted: int) -> Iterator[int]:
    """The numbers (from 1) of the properties of item `wanted`."""
    id_width = 4 if ipma[:1] > b"\0" else 2
    wide = bool(ipma[3] & 1) if len(ipma) > 3 else False
    at = 8
    for _ in range(min(int.from_bytes(ipma[4:8], "big"), _MOST_ITEMS)):
        if at + id_width >= len(ipma):
            return
        item, count = int.from_bytes(ipma[at : at + id_width], "big"), ipma[at + id_width]
        at += id_width + 1
        for _ in range(count):
            if item == wanted:
                # The top bit says that the property is essential.
                yield (
                    (int.from_bytes(ipma[at : at + 2], "big") & 0x7FFF if wide else ipma[at] & 0x7F)
                    if at < len(ipma)
                    else 0
                )
            at += 2 if wide else 1


def _blocks(meta: BinaryIO, iinf: Box | None) -> tuple[int, int]:
    """The item ids of EXIF and XMP, -1 where there is none."""
    exif = xmp = -1
    if iinf is None:
        return exif, xmp
    version = content(meta, iinf, 1)
    for infe in walk(meta, iinf.start + (8 if version > b"\0" else 6), iinf.end):
        body = content(meta, infe, 256)
        if infe.kind != b"infe" or len(body) < 12 or body[0] < 2:
            continue
        width = 4 if body[0] > 2 else 2
        item = int.from_bytes(body[4 : 4 + width], "big")
        kind, names = body[6 + width : 10 + width], body[10 + width :].split(b"\0")
        if kind == b"Exif" and exif < 0:
            exif = item
        elif kind == b"mime" and xmp < 0 and len(names) > 1 and names[1] == b"application/rdf+xml":
            xmp = item
    return exif, xmp


def _locations(iloc: bytes) -> dict[int, _Location]:
    """Where each item's bytes lie (ISO/IEC 14496-12 §8.11.3)."""
    found: dict[int, _Location] = {}
    if len(iloc) < 8:
        return found
    version = iloc[0]
    offset_width, length_width = iloc[4] >> 4, iloc[4] & 15
    base_width, index_width = iloc[5] >> 4, iloc[5] & 15 if version else 0
    id_width = 4 if version == 2 else 2
    stream = io.BytesIO(iloc[6:])

    def number(width: int) -> int:
        return int.from_bytes(stream.read(width), "big")

    for _ in range(min(number(id_width), _MOST_ITEMS)):
        item = number(id_width)
        method = number(2) & 15 if version else 0
        stream.seek(2, 1)
        base = number(base_width)
        count = number(2)
        if count > 64 or stream.tell() >= len(iloc):
            break
        extents = []
        for _ in range(count):
            number(index_width)
            extents.append((base + number(offset_width), number(length_width)))
        found[item] = _Location(method == 1, extents)
    return found


def _item(file: BinaryIO, place: _Location | None, idat: bytes) -> bytes | None:
    if place is None or sum(length for _, length in place.extents) > _MOST_BYTES:
        return None
    source = io.BytesIO(idat) if place.inside_idat else file
    parts = []
    for offset, length in place.extents:
        if offset >= 1 << 62:
            return None
        source.seek(offset)
        parts.append(source.read(length))
    return b"".join(parts)


def _tiff_part(exif: bytes | None) -> bytes | None:
    """An Exif item begins with how far ahead its TIFF header lies (ISO/IEC 23008-12 annex A)."""
    if exif is None or len(exif) < 8:
        return None
    block = exif[4 + int.from_bytes(exif[:4], "big") :]
    return block if block[:2] in (b"II", b"MM") else None
