"""What the work would take at least, as programs of their own that print seconds.

`python -m tests.benchmarks.floors WHAT …`:

headers DATABASE FOLDER      open, Pillow's header, EXIF, one row; no hash, one process
digest PROCESSES FOLDER      one read, SHA-256, decode (draft mode) to 256 px, WebP, written
vips PROCESSES SIZE FOLDER   pyvips' thumbnail to SIZE px, WebP, written
walk FOLDER                  os.scandir and a stat of each file
write COUNT FOLDER BASE…     photos as phones send them, each to a file of its own, fsync, the next
"""

import hashlib
import io
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

from PIL import Image

from tests.benchmarks import phones
from tests.benchmarks.servers import ROOT

# As Tagline's workers, so that the kernel gives both the same.
NICE = 10
QUALITY, EFFORT = 80, 2
ROWS_A_COMMIT = 500


def measured(*arguments: str | int | Path) -> float:
    """Run one of these in a fresh process; gives what it printed. Raises CalledProcessError."""
    command = [sys.executable, "-m", "tests.benchmarks.floors", *(str(argument) for argument in arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(ran.stdout.split()[-1])


def headers(database: Path, folder: Path) -> None:
    """What a scan has to do until photos can be seen."""
    connection = sqlite3.connect(database)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table photos (path text primary key, width, height, camera, taken_at, size, mtime)")
    for number, path in enumerate(_photos(folder), 1):
        state = path.stat()
        with Image.open(path) as image:
            tags = image.getexif()
            row = (
                str(path),
                *image.size,
                tags.get(0x0110),
                tags.get_ifd(0x8769).get(0x9003),
                state.st_size,
                state.st_mtime_ns,
            )
        connection.execute("insert into photos values (?, ?, ?, ?, ?, ?, ?)", row)
        if number % ROWS_A_COMMIT == 0:
            connection.commit()
    connection.commit()
    connection.close()


def digest(folder: Path, place: int, of: int) -> None:
    """One process's share of reading, hashing, and making thumbnails."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as there:
        for number, path in enumerate(_photos(folder)[place::of]):
            content = path.read_bytes()
            hashlib.sha256(content).hexdigest()
            image = Image.open(io.BytesIO(content))
            image.draft(None, (256, 256))
            image.thumbnail((256, 256))
            image.save(f"{there}/{number}.webp", "WEBP", quality=QUALITY, method=EFFORT)


def vips(size: int, shrink: int, folder: Path, place: int, of: int) -> None:
    """One process's share of thumbnails by libvips."""
    # Not a dependency: where it is installed.
    import pyvips

    with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as there:
        for number, path in enumerate(_photos(folder)[place::of]):
            if shrink:
                image = pyvips.Image.jpegload(str(path), shrink=shrink)
                image = image.resize(size / max(image.width, image.height))
            else:
                image = pyvips.Image.thumbnail(str(path), size, height=size, size="down")
            image.webpsave(f"{there}/{number}.webp", Q=QUALITY, effort=EFFORT, keep="none")


def walk(folder: Path) -> int:
    """How many files there are, each looked at."""
    files = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                files += walk(Path(entry.path))
            else:
                entry.stat(follow_symlinks=False)
                files += 1
    return files


def write(count: int, folder: Path, bases: list[bytes]) -> None:
    """What it takes to put so many bytes safely on this disk: as `dd conv=fsync` for each file."""
    for number in range(count):
        with open(folder / f"{number}.jpg", "wb", buffering=0) as file:
            file.write(phones.photo(number, bases))
            os.fsync(file.fileno())


def _photos(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


def _in_processes(count: int, work: Callable[..., None], *arguments: int | Path) -> float:
    """Seconds of the work alone: every process has done a photo before, so that all is imported and loaded."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(count + 1)
    processes = [
        context.Process(target=_share, args=(together, work, *arguments, place, count), daemon=True)
        for place in range(count)
    ]
    for process in processes:
        process.start()
    together.wait(60)
    began = time.perf_counter()
    together.wait(600)
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    return seconds


def _share(together: Barrier, work: Callable[..., None], *arguments: int | Path) -> None:
    try:
        os.nice(NICE)
        many = 1_000_000
        work(*arguments[:-2], arguments[-2], many)
        together.wait()
        work(*arguments)
        together.wait()
    except BaseException:
        # Then nobody waits for us in vain.
        together.abort()
        raise


def main(what: str, *arguments: str) -> float:
    """Seconds that it took."""
    began = time.perf_counter()
    match what, arguments:
        case "headers", (database, folder):
            headers(Path(database), Path(folder))
        case "walk", (folder,):
            walk(Path(folder))
        case "write", (count, folder, *bases):
            contents = [Path(base).read_bytes() for base in bases]
            began = time.perf_counter()
            write(int(count), Path(folder), contents)
        case "digest", (processes, folder):
            return _in_processes(int(processes), digest, Path(folder))
        case "vips", (processes, size, shrink, folder):
            os.environ["VIPS_CONCURRENCY"] = "1"
            return _in_processes(int(processes), vips, int(size), int(shrink), Path(folder))
        case _:
            raise SystemExit(__doc__)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
