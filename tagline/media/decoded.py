"""Pixels: a file's picture, decoded no larger than wanted, in sRGB and upright."""

import warnings
from typing import BinaryIO, Final

from PIL import Image, ImageFile

from tagline.media import colour, exif, headers
from tagline.media.errors import MediaError, broken_image, not_readable, out_of_memory
from tagline.media.formats import AVIF, GIF, HEIC, HEIF, JPEG, PNG, TIFF, WEBP, Format
from tagline.media.plugins import opened

MOST_PIXELS: Final = 180_000_000
MOST_JPEG_PIXELS: Final = 250_000_000
"""JPEGs are shrunk while they are decoded, which takes a fraction of their memory."""

# A phone's 4032 pixels halve to 2016: stretched to 2048 nobody sees it, and it takes a quarter of the memory
# and half the time of decoding them all.
_ENOUGH: Final = 0.95

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(file: BinaryIO, file_format: Format, longest: int) -> tuple[Image.Image, MediaError | None]:
    """The picture in `file`, RGB or RGBA, its longest edge at most `longest` pixels, never enlarged.

    A JPEG that ends too early is shown as far as it goes; the second value then says so. Raises MediaError:
    broken_image, too_many_pixels, heif_not_installed, out_of_memory, not_readable.
    """
    with warnings.catch_warnings():
        # Pillow warns of harmless oddities.
        warnings.simplefilter("ignore")
        try:
            return _decode(file, file_format, longest, whole=True), None
        except MediaError as error:
            if error.code != "broken_image" or file_format not in (JPEG, PNG):
                raise
        damaged = MediaError("broken_image", "The file is damaged; only a part of the picture can be shown.")
        return _decode(file, file_format, longest, whole=False), damaged


def _decode(file: BinaryIO, file_format: Format, longest: int, *, whole: bool) -> Image.Image:
    # Pillow knows this setting only as a global; the worker does one thing at a time.
    ImageFile.LOAD_TRUNCATED_IMAGES = not whole
    try:
        if file_format in (GIF, WEBP):
            # Pillow takes memory for the whole picture as it opens these.
            _check_size(headers.read(file, file_format)[:2], file_format)
        image = opened(file, file_format)
        _check_size(image.size, file_format)
        target = fitted(image.size, longest)
        if file_format in (JPEG, HEIC, HEIF):
            image.draft(None, (max(1, int(target[0] * _ENOUGH)), max(1, int(target[1] * _ENOUGH))))
        image.load()
        profile = image.info.get("icc_profile")
        turn = _turn(image, file_format)
        upright = upright_srgb(image, target, profile if isinstance(profile, bytes) else None, turn)
        if not whole and _is_blank(upright):
            raise broken_image()
        return upright
    except MemoryError:
        raise out_of_memory() from None
    except OSError as error:
        if error.errno is not None:
            raise not_readable(error) from error
        raise broken_image() from error
    except MediaError:
        raise
    except Exception as error:
        # Decoders raise anything between struct.error and KeyError for hostile pixels.
        raise broken_image() from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def upright_srgb(image: Image.Image, target: tuple[int, int], profile: bytes | None, turn: int = 1) -> Image.Image:
    """`image` shrunk to `target` first, since all else costs by the pixel; then sRGB, then upright."""
    image = colour.plain(image)
    if image.size != target:
        gap = None if image.mode == "I;16" else 2.0
        image = image.resize(target, Image.Resampling.BICUBIC, reducing_gap=gap)
    image = colour.to_srgb(image, profile)
    if turn in _TURNS:
        image = image.transpose(_TURNS[turn])
    # What was embedded belongs to the original: position, names, thumbnails must not leak into copies.
    image.info = {}
    return image


def _is_blank(image: Image.Image) -> bool:
    """True where nothing of a damaged picture could be decoded: one colour all over."""
    bands = [band.getextrema() for band in image.split()]
    return all(low == high for low, high in bands)


def fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """`size` scaled down so that its longer edge is at most `longest`; no edge gets lost."""
    width, height = size
    scale = longest / max(width, height)
    if scale >= 1:
        return size
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_size(size: tuple[int, int], file_format: Format) -> None:
    most = MOST_JPEG_PIXELS if file_format == JPEG else MOST_PIXELS
    if size[0] * size[1] > most:
        raise MediaError(
            "too_many_pixels",
            f"The picture has {size[0] * size[1] / 1e6:,.0f} megapixels; {most / 1e6:.0f} are the limit.",
        )


def _turn(image: Image.Image, file_format: Format) -> int:
    """The orientation still to be applied: TIFF and HEIC come upright from their readers."""
    if file_format in (TIFF, HEIC, HEIF):
        return 1
    block = image.info.get("exif")
    if file_format not in (JPEG, PNG, WEBP, AVIF) or not isinstance(block, bytes):
        return 1
    return exif.orientation(exif.parse(block))
