"""A library of nothing but hostile files, all at once: no harm, in bounded time and memory."""

import asyncio
import os
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media import samples
from tests.photos.files import encoded, noise, photo, write
from tests.photos.test_thumbnails import HOSTILE, chunk
from tests.robustness.service import serving, settled

SEED = 7
SECONDS = 90
SERVICE_MEGABYTES = 200
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")

pytestmark = pytest.mark.slow


def mutated(dice: random.Random) -> Iterator[tuple[str, bytes]]:
    """Pictures with some bytes turned, cut off, doubled or put in anywhere."""
    for file_format in FORMATS:
        whole = encoded(noise(SEED, (64, 48)), file_format)
        for number in range(25):
            content = bytearray(whole)
            for _ in range(dice.choice((1, 3, 20))):
                content[dice.randrange(len(content))] = dice.randrange(256)
            at = dice.randrange(len(content))
            match number % 5:
                case 0:
                    del content[at:]
                case 1:
                    content[at:at] = bytes(dice.randrange(1, 5000))
                case 2:
                    content[at:at] = content[: dice.randrange(len(content))]
                case 3:
                    content[at : at + 4] = b"\xff\xff\xff\xff"
            yield f"mutated/{file_format}{number}", bytes(content)


def crafted() -> Iterator[tuple[str, bytes]]:
    """What somebody made on purpose."""
    jpeg = encoded(noise(1), "JPEG")
    for name, (content, _) in HOSTILE.items():
        yield f"crafted/{name}", content
    yield "crafted/a megabyte of markers", jpeg[:2] + b"\xff\xe1\x00\x02" * 250_000 + jpeg[2:]
    one_pixel = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000)))
    yield "crafted/a text of 100 MB", b"\x89PNG\r\n\x1a\n" + one_pixel + text + chunk(b"IEND", b"")
    pointers = b"".join(struct.pack(">HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825))
    ring = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + pointers + struct.pack(">I", 8)
    yield "crafted/exif that points at itself", samples.with_segment(jpeg, 0xE1, ring)
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(12))
    yield "crafted/a billion laughs", samples.with_xmp(jpeg, f"<!DOCTYPE x [{lol}]><x>&l11;</x>")
    outside = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + samples.xmp("<dc:title>&e;</dc:title>")
    yield "crafted/an entity from outside", samples.with_xmp(jpeg, outside)
    yield "crafted/boxes in boxes", samples.mov(*[b"\0\0\0\x08moov" * 100_000])
    yield "crafted/a box of nothing", samples.box(b"ftyp", b"qt  ", bytes(4)) + struct.pack(">I4s", 0, b"moov")
    yield "crafted/a box without end", samples.box(b"ftyp", b"mp42", bytes(4)) + b"\0\0\0\x01moov" + b"\xff" * 8
    yield "crafted/zeros", bytes(5_000_000)
    yield "crafted/half a header", b"\xff\xd8\xff"
    yield "crafted/markup", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    yield "crafted/a program", b"\x7fELF" + bytes(1000)
    yield "crafted/caption", encoded(noise(2), "JPEG", exif=samples.exif({0x010E: "<script>\u202e\x07" + "x" * 60_000}))


def fill(library: Path) -> int:
    """Everything hostile; gives how many files there are."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    count = 0
    for name, content in (*mutated(dice), *crafted()):
        write(library / name, content)
        count += 1
    os.mkfifo(library / "pipe.jpg")
    (library / "endless.jpg").symlink_to("/dev/zero")
    (library / "up").symlink_to("..")
    Path(os.fsdecode(os.fsencode(library) + b"/\xff\xfe.jpg")).write_bytes(b"\xff\xd8\xff")
    for number in range(10):
        photo(library / f"good/{number}.jpg", 100 + number, (320, 240))
    return count


def peak(pid: int) -> float:
    """The most memory that a process had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def test_hostile_files_of_every_kind_do_no_harm(tmp_path: Path) -> None:
    count = fill(tmp_path / "photos")
    async with asyncio.timeout(SECONDS), serving(tmp_path, TAGLINE_WORKER_TIMEOUT="10") as (service, ana):
        scan = (await ana.post("/rescan")).json
        assert scan["status"] == "ok"
        assert scan["imported_count"] + scan["duplicates"] + scan["skipped"] + scan["error_count"] == count + 11
        assert all(error["code"] and error["detail"].endswith(".") for error in scan["errors"] if "/" in error["path"])
        await settled(ana)
        photos = (await ana.get("/photos?limit=500")).json["items"]
        assert sum(found["object_key"].startswith("good/") for found in photos) == 10
        for found in photos:
            assert found["sha256"], found
            assert "root:" not in found["description"]
            thumbnail = await ana.get(f"{found['links']['thumbnail']}?size=512")
            assert thumbnail.status in (200, 415), (found, thumbnail)
            if found["object_key"].startswith("good/"):
                assert thumbnail.status == 200
            assert (await ana.get(found["links"]["image"])).status == 200
        jobs = (await ana.get("/api/jobs")).json["items"]
        assert {job["state"] for job in jobs} == {"succeeded"}
        again = (await ana.post("/rescan")).json
        assert (again["imported_count"], again["updated"], again["moved"]) == (0, 0, 0)
        assert again["errors"] == scan["errors"]
        assert peak(service.pid) < SERVICE_MEGABYTES
        assert await service.stop() == 0
