import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.media.formats import (
    AVIF,
    BMP,
    GIF,
    HEIC,
    HEIF,
    JPEG,
    MOV,
    MP4,
    PNG,
    TIFF,
    WEBP,
    Format,
    recognise,
)
from tests.media.samples import box, corners, mov, saved


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major, bytes(4), *compatible)


@pytest.mark.parametrize(
    ("pillow", "expected"),
    [
        ("JPEG", JPEG),
        ("PNG", PNG),
        ("WEBP", WEBP),
        ("GIF", GIF),
        ("TIFF", TIFF),
        ("BMP", BMP),
        ("AVIF", AVIF),
    ],
)
def test_what_pillow_writes_is_recognised(pillow: str, expected: Format) -> None:
    assert recognise(saved(corners(), pillow)[:4096]) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ftyp(b"heic", b"mif1"), HEIC),
        (ftyp(b"mif1", b"mif1", b"heic"), HEIC),
        (ftyp(b"msf1", b"hevc"), HEIC),
        (ftyp(b"mif1", b"avif", b"miaf"), AVIF),
        (ftyp(b"avis", b"msf1"), AVIF),
        (ftyp(b"mif1", b"mif1"), HEIF),
        (ftyp(b"isom", b"iso2", b"avc1"), MP4),
        (ftyp(b"mp42", b"isom"), MP4),
        (ftyp(b"3gp4", b"3gp4"), MP4),
        (ftyp(b"XAVC", b"mp42"), MP4),
        (ftyp(b"qt  ", b"qt  "), MOV),
        (box(b"moov", box(b"mvhd", bytes(100))), MOV),
        (box(b"wide") + struct.pack(">I", 4000) + b"mdat", MOV),
        (box(b"free", bytes(16)) + struct.pack(">I", 4000) + b"mdat", MOV),
        (b"MM\0*\0\0\0\x08", TIFF),
        (b"II*\0\x08\0\0\0", TIFF),
    ],
)
def test_containers_are_told_apart_by_their_brands(head: bytes, expected: Format) -> None:
    assert recognise(head) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff\xd8",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"%PDF-1.7",
        b"BM is how this letter begins, and it goes on",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"PK\x03\x04",
        b"#!/bin/sh\n",
        b"free as a bird",
        ftyp(b"M4A ", b"mp42"),
        ftyp(b"crx ", b"isom"),
        ftyp(b"jxl "),
    ],
)
def test_everything_else_is_not_ours(head: bytes) -> None:
    assert recognise(head) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_format_or_none(head: bytes) -> None:
    for start in (b"", b"\0\0\0\x20ftyp", b"\0\0\0\x08wide", b"BM", b"RIFF"):
        found = recognise(start + head)
        assert found is None or found.kind in ("photo", "video")


def test_a_name_is_never_asked() -> None:
    assert recognise(io.BytesIO(mov()).read(4096)) == MOV
