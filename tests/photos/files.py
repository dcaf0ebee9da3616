"""Files that scans meet: pictures of noise in any format, and the ways in which people and programs change them."""

import io
import os
import random
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image


def noise(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture unlike any of another seed, and hardly to be compressed."""
    width, height = size
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * width * height))


def write(path: Path, content: bytes) -> Path:
    """A file with this content, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """A picture as a file of a format."""
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def photo(path: Path, seed: int, size: tuple[int, int] = (64, 48), **options: Any) -> Path:
    """A JPEG that is unlike any of another seed."""
    return write(path, encoded(noise(seed, size), "JPEG", **options))


def large(path: Path, seed: int) -> Path:
    """A BMP of 270 kB: its fingerprint leaves out the middle, and a byte changed there leaves it a picture."""
    return write(path, encoded(noise(seed, (300, 300)), "BMP"))


def poke(path: Path, at: int, *, keep_time: bool = False) -> None:
    """Change one byte of a file in place; with `keep_time`, so that its time does not tell."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))
    later = before.st_mtime_ns if keep_time else before.st_mtime_ns + 5_000_000_000
    os.utime(path, ns=(later, later))


def touch(path: Path) -> None:
    """Give a file another time, and nothing else."""
    later = path.stat().st_mtime_ns + 7_000_000_000
    os.utime(path, ns=(later, later))


def swap(one: Path, other: Path) -> None:
    """Exchange the names of two files."""
    aside = one.with_name(one.name + ".aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def film(path: Path, size: str) -> Path:
    """A second of film, made by ffmpeg; `size` as in 320x240."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f"testsrc=size={size}:rate=5:duration=1"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", path],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def open_files() -> list[str]:
    """What this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(link))
    return found
