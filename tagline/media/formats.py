"""Which format a file has, told by its first bytes and never by its name."""

from typing import Final, Literal, NamedTuple

Kind = Literal["photo", "video"]

HEAD_BYTES: Final = 4096
"""How much of a file `recognise` wants to see."""


class Format(NamedTuple):
    """A kind of file that is shown in the library."""

    name: str
    mime_type: str
    kind: Kind
    extension: str


JPEG = Format("JPEG", "image/jpeg", "photo", ".jpg")
PNG = Format("PNG", "image/png", "photo", ".png")
WEBP = Format("WebP", "image/webp", "photo", ".webp")
GIF = Format("GIF", "image/gif", "photo", ".gif")
TIFF = Format("TIFF", "image/tiff", "photo", ".tif")
BMP = Format("BMP", "image/bmp", "photo", ".bmp")
AVIF = Format("AVIF", "image/avif", "photo", ".avif")
HEIC = Format("HEIC", "image/heic", "photo", ".heic")
HEIF = Format("HEIF", "image/heif", "photo", ".heif")
MP4 = Format("MP4", "video/mp4", "video", ".mp4")
MOV = Format("MOV", "video/quicktime", "video", ".mov")

FORMATS: Final = {f.name: f for f in (JPEG, PNG, WEBP, GIF, TIFF, BMP, AVIF, HEIC, HEIF, MP4, MOV)}

_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_OLD_MOV_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf", b"1pic"})
_MP4_BRANDS = frozenset(
    {b"isom", b"avc1", b"mp41", b"mp42", b"mp71", b"mp4v", b"MSNV", b"M4V ", b"M4VH", b"M4VP", b"dash"}
    | {b"f4v ", b"F4V ", b"XAVC", b"mmp4", b"NDSC", b"NDSH", b"NDSM", b"NDSP", b"NDSS", b"NDXC", b"NDXH"}
    | {b"NDXM", b"NDXP", b"NDXS", b"hvc1", b"cmfc", b"cmf2", b"av01", b"FACE", b"MGSV", b"SDV ", b"CAEP"}
)
# Still pictures and sounds that share the container; they are not videos.
_OTHER_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"crx ", b"jp2 ", b"jpx ", b"jpm ", b"jxl ", b"mjp2"})


def recognise(head: bytes) -> Format | None:
    """The format of a file that begins with `head` (4 KiB are enough), or None if it is none of ours."""
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(_TIFF_HEADS):
        return TIFF
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return BMP
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    return MOV if _is_old_mov(head) else None


def _by_brand(head: bytes) -> Format | None:
    """ISO/IEC 14496-12 §4.3: the major brand decides, a general one leaves it to the compatible brands."""
    size = int.from_bytes(head[:4], "big")
    if size < 16:
        return None
    major = head[8:12]
    box = head[16 : min(size, len(head))]
    compatible = {box[i : i + 4] for i in range(0, len(box) - 3, 4)}
    if major in _OTHER_BRANDS:
        return None
    if major == b"qt  ":
        return MOV
    for brands in ({major}, compatible):
        if brands & _AVIF_BRANDS:
            return AVIF
        if brands & _HEIC_BRANDS:
            return HEIC
        if major in _HEIF_BRANDS:
            continue
        if any(_is_mp4(brand) for brand in brands):
            return MP4
    if major in _HEIF_BRANDS or compatible & _HEIF_BRANDS:
        return HEIF
    return MOV if b"qt  " in compatible else None


def _is_mp4(brand: bytes) -> bool:
    return brand in _MP4_BRANDS or brand.startswith((b"iso", b"3gp", b"3g2", b"3ge", b"3gg", b"3gr", b"3gs"))


def _is_old_mov(head: bytes) -> bool:
    """QuickTime before ftyp (Apple, QuickTime File Format): boxes from the first byte, in any order."""
    at = 0
    for _ in range(4):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind not in _OLD_MOV_BOXES:
            return False
        if kind == b"moov":
            # The first box inside tells a film from any other file that happens to say "moov" here.
            return head[at + 12 : at + 16] in (b"mvhd", b"cmov", b"rmra", b"prfl", b"udta")
        if kind in (b"mdat", b"pnot"):
            return size == 1 or size >= 8
        if size < 8 or at + size + 8 > len(head):
            return size >= 8 and kind == b"wide"
        at += size
    return False
