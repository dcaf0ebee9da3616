"""Small pictures and films, made as tests need them."""

import io
import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

CORNERS = {"top left": "red", "top right": "lime", "bottom left": "blue", "bottom right": "white"}


def corners(width: int = 96, height: int = 64, mode: str = "RGB") -> Image.Image:
    """Red, green, blue and white quarters: every turn and flip of it looks different."""
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate(CORNERS.values()):
        x, y = number % 2 * (width // 2), number // 2 * (height // 2)
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image.convert(mode)


# How to store an upright picture so that the orientation of that number makes it upright again.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(orientation: int, width: int = 96, height: int = 64) -> Image.Image:
    """`corners` as a camera held that way stores it."""
    image = corners(width, height)
    return image.transpose(STORED[orientation]) if orientation in STORED else image


def looks_upright(image: Image.Image, tolerance: int = 40) -> bool:
    """True where the four quarters are where `corners` has them."""
    rgb = image.convert("RGB")
    width, height = rgb.size
    for number, colour in enumerate(CORNERS.values()):
        at = (width * (1 + 2 * (number % 2)) // 4, height * (1 + 2 * (number // 2)) // 4)
        found, wanted = rgb.getpixel(at), Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        assert isinstance(found, tuple)
        assert isinstance(wanted, tuple)
        if any(abs(a - b) > tolerance for a, b in zip(found, wanted, strict=True)):
            return False
    return True


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """`image` as a file."""
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def exif(
    main: Mapping[int, Any] | None = None,
    details: Mapping[int, Any] | None = None,
    gps: Mapping[int, Any] | None = None,
) -> Image.Exif:
    """An EXIF block with these tags in its three directories."""
    tags = Image.Exif()
    tags.update(main or {})
    if details:
        tags.get_ifd(ExifTags.IFD.Exif).update(details)
    if gps:
        tags.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    return tags


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """`jpeg` with one more segment after its first marker."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def with_xmp(jpeg: bytes, packet: str | bytes) -> bytes:
    """`jpeg` with an XMP packet."""
    raw = packet.encode() if isinstance(packet, str) else packet
    return with_segment(jpeg, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + raw)


def xmp(inner: str, attributes: str = "") -> str:
    """An XMP packet around the properties `inner`."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        f' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{inner}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )


def iptc(*records: tuple[int, int, bytes]) -> bytes:
    """IPTC data sets (record, number, value)."""
    return b"".join(struct.pack(">BBBH", 0x1C, *key, len(value)) + value for *key, value in records)


def with_iptc(jpeg: bytes, record: bytes) -> bytes:
    """`jpeg` with an IPTC record in a Photoshop segment."""
    resource = b"8BIM" + struct.pack(">HxxI", 0x0404, len(record)) + record + b"\0" * (len(record) % 2)
    return with_segment(jpeg, 0xED, b"Photoshop 3.0\0" + resource)


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of an MP4 file."""
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + kind + body


def mvhd(created: int = 0, scale: int = 1000, duration: int = 2500) -> bytes:
    """A movie header, version 0; `created` in seconds since 1904."""
    return box(b"mvhd", struct.pack(">IIIII", 0, created, created, scale, duration), bytes(80))


def video_track(width: int, height: int, matrix: tuple[int, int, int, int] = (1, 0, 0, 1)) -> bytes:
    """A picture track of that size, turned by `matrix`."""
    a, b, c, d = (number << 16 for number in matrix)
    turn = struct.pack(">iiiiiiiii", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    tkhd = box(b"tkhd", bytes(40), turn, struct.pack(">II", width << 16, height << 16))
    return box(b"trak", tkhd, box(b"mdia", box(b"hdlr", bytes(8), b"vide", bytes(13))))


def apple_meta(words: Mapping[str, str]) -> bytes:
    """QuickTime's keys and values."""
    keys = b"".join(box(b"mdta", name.encode()) for name in words)
    items = b"".join(
        box(struct.pack(">I", number), box(b"data", struct.pack(">II", 1, 0), text.encode()))
        for number, text in enumerate(words.values(), 1)
    )
    return box(
        b"meta",
        box(b"hdlr", bytes(8), b"mdta", bytes(13)),
        box(b"keys", struct.pack(">II", 0, len(words)), keys),
        box(b"ilst", items),
    )


def mov(*boxes: bytes) -> bytes:
    """A QuickTime file whose moov holds `boxes`."""
    return box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + box(b"moov", *boxes)
