import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tagline.media.decoded import decode
from tagline.media.errors import MediaError
from tagline.media.formats import FORMATS, recognise
from tests.media.samples import corners, exif, looks_upright, saved, stored

PHOTOS = Path("/work/shared/photos")
ORIENTATION = sorted((PHOTOS / "orientation").glob("*.jpg")) if PHOTOS.is_dir() else []


def pixels(content: bytes, longest: int = 64) -> Image.Image:
    file_format = recognise(content[:4096])
    assert file_format is not None
    image, damage = decode(io.BytesIO(content), file_format, longest)
    assert damage is None
    return image


def failure(content: bytes) -> str:
    file_format = recognise(content[:4096])
    assert file_format is not None
    with pytest.raises(MediaError) as caught:
        decode(io.BytesIO(content), file_format, 64)
    assert "/" not in caught.value.detail
    return caught.value.code


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(96, 64), (64, 96)])
def test_every_orientation_comes_out_upright(file_format: str, orientation: int, size: tuple[int, int]) -> None:
    content = saved(stored(orientation, *size), file_format, exif=exif({0x0112: orientation}))
    image = pixels(content, 48)
    assert image.size == (48, 32) if size == (96, 64) else (32, 48)
    assert looks_upright(image)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_comes_out_upright(orientation: int) -> None:
    out = io.BytesIO()
    pillow_heif.from_pillow(stored(orientation)).save(out, exif=exif({0x0112: orientation}).tobytes())
    assert looks_upright(pixels(out.getvalue(), 48))


def test_without_pillow_heif_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    pillow_heif.from_pillow(corners()).save(out)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    assert failure(out.getvalue()) == "heif_not_installed"


@pytest.mark.parametrize("path", ORIENTATION, ids=lambda path: path.name)
def test_real_photos_of_one_scene_look_alike_whatever_their_orientation(path: Path) -> None:
    first = pixels(path.with_name(path.name.replace(path.stem[-1], "1")).read_bytes(), 32).convert("L")
    this = pixels(path.read_bytes(), 32).convert("L")
    assert this.size == first.size
    difference = sum(abs(a - b) for a, b in zip(this.tobytes(), first.tobytes(), strict=True))
    assert difference / len(this.tobytes()) < 12


@pytest.mark.parametrize("mode", ["L", "LA", "P", "PA", "1", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_becomes_rgb(mode: str) -> None:
    if mode.startswith("I"):
        grey = corners(mode="L")
        wide = grey.convert("I").point(lambda value: value * 257)
        image = wide.convert("I;16")
    else:
        image = corners(mode=mode)
    if mode == "PA":
        image = corners(mode="RGBA").quantize()
    found = pixels(saved(image, "PNG"), 48)
    assert found.mode == "RGB"
    white, red = found.getpixel((36, 24)), found.getpixel((12, 8))
    assert isinstance(white, tuple)
    assert isinstance(red, tuple)
    assert min(white) > 240
    assert sum(red) < 400


def test_transparency_is_kept_and_only_where_there_is_any() -> None:
    image = corners(mode="RGBA")
    assert pixels(saved(image, "PNG")).mode == "RGB"
    image.putpixel((3, 3), (0, 0, 0, 0))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {}), ("TIFF", {})):
        assert pixels(saved(image, kind, **options)).mode == "RGBA"
    palette = corners(mode="P")
    assert pixels(saved(palette, "PNG", transparency=palette.getpixel((3, 3)))).mode == "RGBA"


def test_cmyk_and_animations_and_floats_are_shown() -> None:
    assert looks_upright(pixels(saved(corners(mode="CMYK"), "JPEG", quality=95)), 90)
    for kind in ("GIF", "WEBP", "PNG"):
        frames: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (96, 64))]}
        assert looks_upright(pixels(saved(corners(), kind, **frames)), 60)
    assert pixels(saved(corners(mode="F"), "TIFF")).mode == "RGB"


def test_nothing_is_enlarged_and_no_edge_gets_lost() -> None:
    assert pixels(saved(corners(30, 20), "JPEG"), 256).size == (30, 20)
    assert pixels(saved(Image.new("RGB", (3000, 1)), "JPEG"), 256).size == (256, 1)


def test_a_photo_that_halves_to_a_little_less_than_asked_still_has_the_size_asked() -> None:
    assert pixels(saved(corners(504, 378), "JPEG"), 256).size == (256, 192)


def test_nothing_embedded_is_left() -> None:
    image = pixels(saved(corners(), "JPEG", exif=exif({0x010F: "Canon"}), comment=b"secret"))
    assert image.info == {}


def test_a_photo_that_ends_early_is_shown_as_far_as_it_goes() -> None:
    content = saved(Image.effect_noise((400, 400), 90).convert("RGB"), "JPEG")
    for cut in (len(content) // 2, len(content) * 9 // 10):
        file_format = recognise(content)
        assert file_format is not None
        image, damage = decode(io.BytesIO(content[:cut]), file_format, 64)
        assert image.size == (64, 64)
        assert damage is not None
        assert damage.code == "broken_image"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_photo_without_anything_to_show_is_broken() -> None:
    content = saved(corners(), "JPEG")
    assert failure(content[: content.index(b"\xff\xda")]) == "broken_image"
    assert failure(b"\xff\xd8\xff\xe0" + bytes(100)) == "broken_image"
    assert failure(b"\x89PNG\r\n\x1a\n" + bytes(100)) == "broken_image"


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def test_bombs_are_refused_by_their_header() -> None:
    assert failure(png(100_000, 100_000, zlib.compress(bytes(1_000_000)))) == "too_many_pixels"
    assert failure(png(0x7FFFFFFF, 1, b"")) == "too_many_pixels"
    for kind, at, size in (("GIF", 6, b"\xff\xff\xff\xff"), ("GIF", 6, b"\1\0\1\0"), ("WEBP", 24, b"\xff\x3f\0" * 2)):
        frames: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (96, 64))]}
        huge = bytearray(saved(corners(), kind, **frames))
        huge[at : at + len(size)] = size
        if size[0] == 1:
            frame = huge.index(b",\0\0\0\0\x60\0\x40\0")
            huge[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
        assert failure(bytes(huge)) == "too_many_pixels"
    big = bytearray(saved(corners(), "JPEG"))
    at = big.index(b"\xff\xc0")
    big[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    assert failure(bytes(big)) == "too_many_pixels"


def test_panoramas_of_135_megapixels_are_no_bombs() -> None:
    assert pixels(saved(Image.new("L", (30_000, 4_500)), "JPEG"), 256).size == (256, 38)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF"]), st.data())
def test_damaged_pixels_are_pixels_or_a_media_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(saved(corners(32, 24), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    names = {name.upper(): file_format for name, file_format in FORMATS.items()}
    codes = set()
    try:
        image, _ = decode(io.BytesIO(bytes(content)), names[kind], 16)
    except MediaError as error:
        codes.add(error.code)
    else:
        assert image.mode in ("RGB", "RGBA")
        assert max(image.size) <= 16
    assert codes <= {"broken_image", "too_many_pixels", "out_of_memory"}
