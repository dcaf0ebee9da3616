"""Pillow's readers, one by one: each is imported when the first file of its format comes.

A reader is called directly and not by `Image.open`: a file is read as what it was recognised as, MPO files
are the JPEGs that they begin with, and the fifty other formats never see a hostile byte.
"""

from importlib import import_module
from typing import BinaryIO, Final

from PIL import Image, ImageFile

from tagline.media.errors import MediaError, broken_image
from tagline.media.formats import Format

_READERS: Final = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif.as_plugin", "HeifImageFile"),
    "HEIF": ("pillow_heif.as_plugin", "HeifImageFile"),
}

# Pillow's limit would refuse real panoramas; ours (decoded.py) goes by format.
Image.MAX_IMAGE_PIXELS = None


def opened(file: BinaryIO, file_format: Format) -> ImageFile.ImageFile:
    """The picture in `file` with its headers read, its pixels not yet.

    Raises MediaError: broken_image, heif_not_installed, out_of_memory.
    """
    module, reader = _READERS[file_format.name]
    try:
        plugin = import_module(module)
    except ImportError:
        raise MediaError(
            "heif_not_installed", "HEIC pictures need the package pillow-heif, which is not installed."
        ) from None
    file.seek(0)
    try:
        image = getattr(plugin, reader)(file)
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's readers raise SyntaxError, struct.error, KeyError and more for what is no picture.
        raise broken_image() from error
    if not isinstance(image, ImageFile.ImageFile) or min(image.size) < 1:
        raise broken_image()
    return image
