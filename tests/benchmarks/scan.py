"""Scans: how soon photos can be seen, how soon all is read, what an unchanged library costs, and who has to wait."""

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count, repeat
from pathlib import Path

from tests.benchmarks import floors, photographs, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import library
from tests.benchmarks.pace import Asked, paced
from tests.benchmarks.servers import PASSWORD, Server


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    many = 2_000 if bench.quick else 10_000
    small = photographs.small(bench.kept, many)
    large = photographs.large(bench.kept, 40 if bench.quick else 120)
    yield from _first(bench, small, f"{many:,} small photos", seen_first=True)
    yield from _first(bench, large, "12 megapixels, 4 MB", seen_first=False)
    if photographs.REAL.is_dir():
        yield _real(bench)
    yield _unchanged(bench)
    yield from _waiting(bench, small, many)


def _first(bench: Bench, folder: Path, what: str, *, seen_first: bool) -> Iterator[Line]:
    """A first scan, until photos can be seen and until all is read."""
    many = len(list(folder.rglob("*.jpg")))
    seen, read, header_floor, digest_floor = [], [], [], []
    for _ in range(bench.rounds):
        with bench.scratch() as scratch:
            header_floor.append(many / floors.measured("headers", scratch / "floor.db", folder))
        with bench.scratch() as scratch, servers.tagline(scratch / "data", folder, TAGLINE_WORKERS="2") as server:
            until_seen, until_read = _scan(server, many)
            seen.append(many / until_seen)
            read.append(many / until_read)
        digest_floor.append(many / floors.measured("digest", 2, folder))
    yield Line(
        f"first scan, photos visible: {what}",
        Figure("/s", seen),
        Figure("/s", header_floor),
        "headers and rows, 1 process",
        at_least=0.5 if seen_first else None,
    )
    yield Line(
        f"with hashes and thumbnails: {what}",
        Figure("/s", read),
        Figure("/s", digest_floor),
        "read, hash, 256 px; 2 processes",
        at_least=None if seen_first else 0.85,
    )


def _real(bench: Bench) -> Line:
    """Real photos of all formats, broken ones among them: no floor reads them all."""
    files = len([path for path in photographs.REAL.rglob("*") if path.is_file()])
    with bench.scratch() as scratch, servers.tagline(scratch / "data", photographs.REAL, TAGLINE_WORKERS="2") as server:
        until_seen, until_read = _scan(server, None)
    return Line(
        "first scan of shared/photos: all read", Figure("/s", [files / until_read]),
        extra=[f"{files} files; photos visible after {until_seen:.2f} s, all read after {until_read:.1f} s"],
    )  # fmt: skip


def _scan(server: Server, many: int | None) -> tuple[float, float]:
    """Seconds from the call until the scan answers, and until everything has its hash and thumbnail."""
    began = time.perf_counter()
    result = server.ask("POST", "/rescan")
    seen = time.perf_counter() - began
    job = server.job_ended("digest")
    read = time.perf_counter() - began
    assert many is None or result["imported_count"] == many, result
    assert job is not None
    assert job["state"] == "succeeded", job
    return seen, read


def _unchanged(bench: Bench) -> Line:
    """A library of 100,000 files in which nothing happened."""
    made = library(bench.kept, 100_000)
    with bench.scratch() as scratch, servers.tagline(made.copied(scratch / "data"), made.photos) as server:

        def rescan() -> float:
            began = time.perf_counter()
            result = server.ask("POST", "/rescan")
            seconds = time.perf_counter() - began
            assert result["unchanged"] == made.size, result
            return made.size / seconds

        rescan()
        values = bench.turns({"ours": rescan, "walk": lambda: made.size / floors.measured("walk", made.photos)})
    return Line(
        "rescan of 100,000 unchanged files",
        Figure("/s", values["ours"]),
        Figure("/s", values["walk"]),
        "bare scandir and stat",
        at_least=0.1,
    )


def _waiting(bench: Bench, folder: Path, many: int) -> Iterator[Line]:
    """What others wait for during a scan and the reading after it: 20 logins, lists and edits a second each."""
    with bench.scratch() as scratch, servers.tagline(scratch / "data", folder, TAGLINE_WORKERS="2") as server:
        ended = threading.Event()

        def scan() -> None:
            try:
                _scan(server, many)
            finally:
                ended.set()

        scanning = threading.Thread(target=scan)
        scanning.start()
        while not (photos := server.ask("GET", "/photos?limit=200")["items"]):
            time.sleep(0.01)
        asked = _asked([photo["id"] for photo in photos])
        busy = paced(server, asked, ended)
        scanning.join()
        quiet_ended = threading.Event()
        threading.Timer(2 * bench.seconds, quiet_ended.set).start()
        quiet = paced(server, asked, quiet_ended)
    for name, waits in busy.items():
        ordered = sorted(1000 * wait for wait in waits)
        middle, rare = ordered[len(ordered) // 2], ordered[round(len(ordered) * 0.99) - 1]
        note = (
            f"{len(ordered):,} asked; median {middle:.1f} ms, p99 {rare:.1f} ms; longest afterwards, without a scan: "
        )
        yield Line(
            f"scan of {many:,}: longest wait, {name}", Figure("ms", [ordered[-1]]), at_most=50,
            extra=[f"{note}{1000 * max(quiet[name]):.1f} ms"],
        )  # fmt: skip


def _asked(ids: Sequence[str]) -> dict[str, Iterator[Asked]]:
    """What is asked for, for ever."""
    edits: Iterator[Asked] = (
        ("PATCH", f"/photos/{ids[number % len(ids)]}/metadata", {"description": f"Ana at the lake, {number}"})
        for number in count()
    )
    return {
        "login": repeat(("POST", "/login", {"password": PASSWORD})),
        "list": repeat(("GET", "/photos", None)),
        "edit": edits,
    }
