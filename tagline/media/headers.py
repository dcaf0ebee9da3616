"""Size and metadata blocks of pictures, format by format, without their pixels."""

from typing import Any, BinaryIO, Final, NamedTuple

from PIL import Image

from tagline.media import exif, heif
from tagline.media.errors import broken_image
from tagline.media.formats import AVIF, GIF, HEIC, HEIF, TIFF, WEBP, Format
from tagline.media.plugins import opened

_IPTC_RESOURCE: Final = 0x0404
_TIFF_IPTC: Final = 33723
_MOST_BYTES: Final = 4 * 1024 * 1024


class Headers(NamedTuple):
    """What stands before the pixels.

    width, height: as stored, or as displayed where `orientation` is 1. `orientation` is None where the EXIF
    block decides it, else 1 to 8 (the container's word counts, ISO/IEC 23008-12).
    """

    width: int
    height: int
    exif: Image.Exif | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    orientation: int | None = None


def read(file: BinaryIO, file_format: Format) -> Headers:
    """The headers of a picture; raises MediaError broken_image where there is none."""
    if file_format in (HEIC, HEIF, AVIF):
        still = heif.read(file)
        return Headers(still.width, still.height, exif.parse(still.exif), still.xmp, orientation=1)
    if file_format == WEBP:
        return _webp(file)
    if file_format == GIF:
        return _gif(file)
    return _pillow(file, file_format)


def _pillow(file: BinaryIO, file_format: Format) -> Headers:
    image = opened(file, file_format)
    info: dict[Any, Any] = image.info
    if file_format == TIFF:
        # Pillow gives the size of a TIFF as displayed already.
        return Headers(*image.size, _tiff_tags(image), _bytes(info.get("xmp")), _tiff_iptc(image), orientation=1)
    photoshop = info.get("photoshop")
    return Headers(
        *image.size,
        exif.parse(_bytes(info.get("exif"))),
        _bytes(info.get("xmp")),
        _bytes(photoshop.get(_IPTC_RESOURCE)) if isinstance(photoshop, dict) else None,
    )


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _tiff_tags(image: Image.Image) -> Image.Exif | None:
    try:
        return image.getexif()
    except Exception:
        # Pillow raises anything for a hostile directory; the size is known all the same.
        return None


def _tiff_iptc(image: Image.Image) -> bytes | None:
    # The raw bytes, as Pillow's own IPTC reader takes them: writers declare them as bytes, as undefined or
    # (Photoshop) as 32-bit numbers, of which Pillow would give only the first.
    raw = getattr(getattr(image, "tag_v2", None), "_tagdata", None)
    return _bytes(raw.get(_TIFF_IPTC)) if isinstance(raw, dict) else None


def _gif(file: BinaryIO) -> Headers:
    """Screen and first frame (GIF89a §18, §20): Pillow would fill a picture of that size, up to 4 GB of it."""
    file.seek(6)
    screen = file.read(7)
    if len(screen) < 7:
        raise broken_image()
    width, height = int.from_bytes(screen[:2], "little"), int.from_bytes(screen[2:4], "little")
    if screen[4] & 0x80:
        file.seek(3 << ((screen[4] & 7) + 1), 1)
    for _ in range(4096):
        block = file.read(1)
        if block == b",":
            frame = file.read(8)
            left, top, across, down = (int.from_bytes(frame[at : at + 2], "little") for at in (0, 2, 4, 6))
            # A frame that reaches beyond the screen enlarges it.
            width, height = max(width, left + across), max(height, top + down)
            break
        if block != b"!":
            break
        file.seek(1, 1)
        for _ in range(65536):
            size = file.read(1)
            if size in (b"", b"\0"):
                break
            file.seek(size[0], 1)
    if not width or not height:
        raise broken_image()
    return Headers(width, height)


def _webp(file: BinaryIO) -> Headers:
    """RIFF chunks (RFC 9649): Pillow would set up a decoder for the whole file."""
    file.seek(12)
    size: tuple[int, int] | None = None
    blocks: dict[bytes, bytes] = {}
    for _ in range(4096):
        head = file.read(8)
        if len(head) < 8:
            break
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        skip = length + (length & 1)
        if kind in (b"VP8X", b"VP8 ", b"VP8L") and size is None:
            start = file.read(min(10, length))
            size = _webp_size(kind, start)
            skip -= len(start)
        elif kind in (b"EXIF", b"XMP ") and length <= _MOST_BYTES:
            blocks[kind] = file.read(length)
            skip -= length
        file.seek(skip, 1)
    if size is None:
        raise broken_image()
    return Headers(*size, exif.parse(blocks.get(b"EXIF")), blocks.get(b"XMP "))


def _webp_size(kind: bytes, start: bytes) -> tuple[int, int] | None:
    if len(start) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(start[4:7], "little"), 1 + int.from_bytes(start[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(start[1:5], "little")
        return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)) if start[0] == 0x2F else None
    if start[3:6] != b"\x9d\x01\x2a":
        return None
    return int.from_bytes(start[6:8], "little") & 0x3FFF, int.from_bytes(start[8:10], "little") & 0x3FFF
