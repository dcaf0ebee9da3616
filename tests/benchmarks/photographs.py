"""Photos as cameras make them, from gradients and noise: 12 megapixels in about 4 MB, and small ones. No two alike."""

import io
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image, ImageChops

from tests.benchmarks.servers import ROOT

# Real photos, where they are at hand.
REAL = ROOT.parent / "shared/photos"
LARGE = (4032, 3024)
SMALL = (320, 240)
_BASES = 4
# Standard deviation, of 255: makes 12 megapixels 4 MB.
_GRAIN = 12
_EXIF, _TAKEN, _ZONE = 0x8769, 0x9003, 0x9011
_FIRST = datetime(2012, 5, 1, 9, 0)


def large(kept: Path, count: int) -> Path:
    """A folder with so many 12-megapixel JPEGs of about 4 MB."""
    return _folder(kept, f"large-{count}", count, LARGE)


def small(kept: Path, count: int) -> Path:
    """A folder with so many JPEGs of about 30 KB."""
    return _folder(kept, f"small-{count}", count, SMALL)


def _folder(kept: Path, name: str, count: int, size: tuple[int, int]) -> Path:
    folder = kept / name
    done = folder / ".complete"
    if not done.exists():
        print(f"… making {count:,} photos of {size[0]} × {size[1]}, once", file=sys.stderr, flush=True)
        bases = [jpeg(seed, size) for seed in range(_BASES)]
        for number in range(count):
            taken = _FIRST + timedelta(minutes=37 * number)
            path = folder / f"{taken:%Y/%m}" / f"IMG_{number:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(with_exif(bases[number % _BASES], tags_of(number, taken)))
        done.touch()
    return folder


def with_exif(jpeg: bytes, tags: Image.Exif) -> bytes:
    """The JPEG with these tags as its first segment; its picture stays as it is."""
    body = b"Exif\0\0" + tags.tobytes().removeprefix(b"Exif\0\0")
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def tags_of(number: int, taken: datetime) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0131] = "Apple", "iPhone 12", f"made for a benchmark, {number}"
    details = tags.get_ifd(_EXIF)
    details[_TAKEN], details[_ZONE] = f"{taken:%Y:%m:%d %H:%M:%S}", "+02:00"
    details[0x829A], details[0x829D], details[0x8827] = 1 / 250, 1.8, 64
    return tags


def jpeg(seed: int, size: tuple[int, int]) -> bytes:
    """Gradients with the grain of a sensor: an even picture would decode too fast, white noise too slowly."""
    chance = random.Random(seed)
    bands = []
    for _ in range(3):
        slope = Image.linear_gradient("L").rotate(chance.randrange(360)).resize(size, Image.Resampling.BICUBIC)
        shapes = Image.frombytes("L", (24, 18), chance.randbytes(24 * 18)).resize(size, Image.Resampling.BICUBIC)
        bands.append(ImageChops.blend(slope, shapes, 0.4))
    grain = Image.effect_noise(size, _GRAIN)
    image = Image.merge("RGB", [ImageChops.overlay(band, grain) for band in bands])
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, subsampling="4:2:0")
    return out.getvalue()
