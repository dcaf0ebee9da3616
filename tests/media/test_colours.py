import io
import struct

import pytest
from PIL import Image, ImageCms

from tagline.media import colour
from tagline.media.decoded import decode
from tagline.media.formats import FORMATS
from tests.media.samples import corners, saved


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def wide_gamut(swap: bool = True) -> bytes:
    """sRGB with red and blue primaries swapped, under another name: no conversion could be clearer."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for number in range(int.from_bytes(profile[128:132], "big")):
        at = 132 + 12 * number
        tags[bytes(profile[at : at + 4])] = at
    if swap:
        red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
        profile[red : red + 4], profile[blue : blue + 4] = profile[blue : blue + 4], profile[red : red + 4]
    desc = tags[b"desc"]
    start, size = struct.unpack(">II", profile[desc + 4 : desc + 12])
    text = profile[start : start + size].replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    profile[start : start + size] = text
    return bytes(profile)


def shown(content: bytes, kind: str) -> Image.Image:
    image, _ = decode(io.BytesIO(content), FORMATS[kind], 256)
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF", "AVIF"])
def test_an_embedded_profile_is_applied(kind: str) -> None:
    red = Image.new("RGB", (32, 32), "red")
    image = shown(saved(red, kind, icc_profile=wide_gamut()), kind)
    found = image.getpixel((16, 16))
    assert isinstance(found, tuple)
    assert found[2] > 240
    assert found[0] < 15


def test_transparency_survives_the_conversion() -> None:
    image = shown(saved(Image.new("RGBA", (32, 32), (255, 0, 0, 128)), "PNG", icc_profile=wide_gamut()), "PNG")
    assert image.getpixel((16, 16)) == (0, 0, 255, 128)


def test_srgb_itself_needs_no_conversion() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour.profile_name(profile).startswith("sRGB")
    image = Image.new("RGB", (4, 4), "red")
    assert colour.to_srgb(image, profile) is image


@pytest.mark.parametrize("profile", [b"", b"nonsense", bytes(200), wide_gamut()[:300], wide_gamut()[:132]])
def test_broken_profiles_are_passed_over(profile: bytes) -> None:
    assert colour.to_srgb(Image.new("RGB", (4, 4), "red"), profile).getpixel((1, 1)) == (255, 0, 0)


def test_a_profile_for_other_colours_is_passed_over() -> None:
    assert colour.to_srgb(Image.new("L", (4, 4), 77), wide_gamut()).getpixel((1, 1)) == (77, 77, 77)


def test_transparent_pictures_lie_on_white_paper() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 255, 255))
    paper = colour.on_white(image)
    assert [paper.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (0, 0, 255)]
    assert colour.on_white(corners()).mode == "RGB"
