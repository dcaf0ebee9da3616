"""Texts as they come out of files: mojibake, control characters, and what cameras write unasked."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

CAPTION_LENGTH: Final = 10_000
KEYWORD_LENGTH: Final = 200
KEYWORD_COUNT: Final = 100

# C0 and C1 but tab and line feed, lone surrogates, and what Unicode calls no characters at all.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_ONLY_MARKS = re.compile(r"[\s.\-_*?\u00a0\u3000]*")
_CAMERA_NUMBER = re.compile(r"(?:dscn?|dscf|img|p|sdc|cimg|dcim|pict|hpim|kif)[ _-]?\d{3,8}(?:\.jpe?g)?")

_BOILERPLATE: Final = frozenset(
    {
        "olympus digital camera",
        "sony dsc",
        "dcim",
        "dcim\\100media",
        "minolta dsc",
        "konica minolta digital camera",
        "konica minolta",
        "samsung",
        "samsung digital camera",
        "samsung camera pictures",
        "maximum",
        "exif_jpeg_picture",
        "exif-jpeg-picture",
        "jpeg",
        "epson dsc picture",
        "dcf 1.0",
        "<untitled>",
        "untitled",
        "digital stillcamera",
        "digital still camera",
        "digital camera",
        "user comments",
        "user comment",
        'charset="ascii"',
        'charset="unicode"',
        "default",
        "my beautiful picture",
        "<digimax",
        "<kenox",
        "kodak digital still camera",
        "hp photosmart",
        "camera",
        "created with gimp",
        "ascii",
        "binary comment",
    }
)
_BOILERPLATE_STARTS: Final = ("dcim\\", "dcim/", "<kenox", "<digimax", "<samsung", "lead technologies")


def decode(raw: object) -> str:
    """Bytes (or Pillow's latin-1 reading of them) as text: UTF-8 where it is UTF-8, else Windows' Latin 1."""
    if isinstance(raw, str):
        try:
            return decode(raw.encode("latin-1"))
        except UnicodeEncodeError:
            return raw
    if not isinstance(raw, bytes):
        return ""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace").replace("\ufffd", "")


def clean(text: str, length: int) -> str:
    """`text` trimmed, NFC, without control characters (but tab and line feed), cut to `length`."""
    text = text[: 4 * length].replace("\r\n", "\n").replace("\r", "\n")
    text = unicodedata.normalize("NFC", _UNWANTED.sub("", text))
    return text.strip()[:length].rstrip()


def one_line(text: str, length: int) -> str:
    """`clean`, with every run of white space made one space."""
    return clean(" ".join(clean(text, length).split()), length)


def caption(text: str, camera: str | None = None) -> str | None:
    """The line that somebody wrote, or None where only the camera spoke."""
    line = clean(text, CAPTION_LENGTH)
    return None if is_boilerplate(line, camera) else line


def is_boilerplate(text: str, camera: str | None = None) -> bool:
    """True for what cameras and programs put where a caption belongs, and for nothing at all."""
    line = one_line(text, CAPTION_LENGTH)
    if _ONLY_MARKS.fullmatch(line):
        return True
    line = line.casefold()
    if line in _BOILERPLATE or line.startswith(_BOILERPLATE_STARTS) or _CAMERA_NUMBER.fullmatch(line):
        return True
    return camera is not None and line in camera.casefold() and len(line) > 2


def keywords(words: Iterable[str]) -> list[str]:
    """Cleaned keywords in their order, each once whatever its case, at most 100."""
    found: dict[str, str] = {}
    for word in words:
        keyword = one_line(word, KEYWORD_LENGTH)
        if keyword:
            found.setdefault(keyword.casefold(), keyword)
        if len(found) == KEYWORD_COUNT:
            break
    return list(found.values())
