"""Colours as a screen shows them: whatever a picture is stored in becomes sRGB, 8 bits."""

import io
from typing import Final

from PIL import Image

_MOST_PROFILE_BYTES: Final = 4 * 1024 * 1024
_SPACES: Final = {"RGB": b"RGB ", "RGBA": b"RGB ", "L": b"GRAY", "LA": b"GRAY", "CMYK": b"CMYK"}
# "c2" is the tiny sRGB profile that Facebook and others embed.
_SRGB_NAMES: Final = ("srgb", "c2", "urgb")


def plain(image: Image.Image) -> Image.Image:
    """`image` in a mode that can be shrunk without loss: palettes and single bits are spread out."""
    if "transparency" in image.info and image.mode in ("P", "RGB", "L", "1"):
        return image.convert("RGBA")
    if image.mode == "P":
        return image.convert("RGB")
    if image.mode in ("PA", "La", "RGBa", "RGBX"):
        return image.convert("RGB" if image.mode == "RGBX" else "LA" if image.mode == "La" else "RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I;16") and image.mode != "I;16":
        return image.convert("I")
    return image


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` (in a mode that `plain` gives) as RGB, or RGBA where something is transparent, in sRGB.

    A profile that is broken, or is meant for other colours than the picture's, is passed over.
    """
    if image.mode in ("I;16", "I", "F"):
        image = _eight_bits(image)
    if profile and _is_needed(profile, image.mode):
        image = _converted(image, profile)
    if image.mode == "LA":
        image = image.convert("RGBA")
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    return image


def on_white(image: Image.Image) -> Image.Image:
    """`image` without its transparency, as it looks on white paper."""
    if image.mode == "RGB":
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit greys to 8; figures without a known range (floats, heights) are stretched to what they use."""
    low, high = image.getextrema()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return image.convert("L")
    if image.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0, 65535 if high > 255 else 255
    factor = 255 / (high - low) if high > low else 0.0
    return image.convert("F").point(lambda value: value * factor - low * factor).convert("L")


def profile_name(profile: bytes) -> str:
    """The description in an ICC profile (ICC.1:2022 §9.2.41), empty where there is none."""
    for number in range(min(int.from_bytes(profile[128:132], "big"), 100)):
        entry = profile[132 + 12 * number : 144 + 12 * number]
        if entry[:4] != b"desc":
            continue
        at, size = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
        tag = profile[at : at + size]
        if tag[:4] == b"desc":
            length = int.from_bytes(tag[8:12], "big")
            return tag[12 : 12 + length].split(b"\0")[0].decode("latin-1")
        if tag[:4] == b"mluc":
            length, start = int.from_bytes(tag[20:24], "big"), int.from_bytes(tag[24:28], "big")
            return tag[start : start + length].decode("utf-16-be", "ignore").split("\0")[0]
    return ""


def _is_needed(profile: bytes, mode: str) -> bool:
    if len(profile) > _MOST_PROFILE_BYTES or profile[16:20] != _SPACES.get(mode):
        return False
    return not (mode.startswith("RGB") and profile_name(profile).casefold().startswith(_SRGB_NAMES))


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    # Little CMS costs 2 MB, and most photos are sRGB.
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image if alpha is None else image.convert("RGB" if image.mode == "RGBA" else "L")
    try:
        converted = ImageCms.profileToProfile(
            colours,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    if converted is None:
        return image
    if alpha is not None:
        converted.putalpha(alpha)
    return converted
