"""Thumbnails: every size of one photo from one decode, written so that nobody ever reads half of one."""

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from PIL import Image

from tagline.media.colour import on_white
from tagline.media.decoded import fitted
from tagline.media.errors import not_written, out_of_memory

SIZES: Final = (256, 512, 1024, 2048)
"""Longest edges in pixels."""

GRID: Final = 256

_WEBP_QUALITY: Final = 80
_WEBP_METHOD: Final = 2
_JPEG_QUALITY: Final = 82


def make(image: Image.Image, places: Mapping[int, Path], file_format: str = "webp") -> Image.Image:
    """Write `image` (RGB or RGBA, as decoded for the largest size) to `places`, longest edge → file.

    A picture that is smaller than a size is written as it is. Gives the smallest one back. Raises MediaError:
    disk_full, not_writable, out_of_memory.
    """
    for longest in sorted(places, reverse=True):
        target = fitted(image.size, longest)
        if target != image.size:
            image = image.resize(target, Image.Resampling.BICUBIC, reducing_gap=2.0)
        try:
            encoded = encode(image, file_format)
        except MemoryError:
            raise out_of_memory() from None
        write(places[longest], encoded)
    return image


def encode(image: Image.Image, file_format: str) -> bytes:
    """`image` as "webp" (transparency kept) or "jpeg" (on white), without any metadata."""
    out = io.BytesIO()
    if file_format == "webp":
        # Imported here so that a worker that only reads headers does without libwebp.
        from PIL import WebPImagePlugin as _  # noqa: F401

        image.save(out, "WEBP", quality=_WEBP_QUALITY, method=_WEBP_METHOD)
    else:
        # As above.
        from PIL import JpegImagePlugin as _jpeg  # noqa: F401

        on_white(image).save(out, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return out.getvalue()


def write(place: Path, content: bytes) -> None:
    """Write a file beside its place and rename it, making its folder if there is none; raises MediaError."""
    beside = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        try:
            beside.write_bytes(content)
        except FileNotFoundError:
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
        beside.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise not_written(error) from error
