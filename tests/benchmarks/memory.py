"""Memory of the server and its workers: idle, after work, and at its peak."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import load, photographs, servers
from tests.benchmarks.bench import CLIENTS, Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import library
from tests.benchmarks.load import request
from tests.benchmarks.memory_of import Memory, Peak, memory_of

REQUESTS = 10_000


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    yield from _idle_and_after(bench)
    many = 2_000 if bench.quick else 10_000
    large, small = photographs.large(bench.kept, 40 if bench.quick else 120), photographs.small(bench.kept, many)
    yield _line("peak of a scan of 12 megapixels, 256 px made", _peak(bench, large, None), 120)
    for size in (512, 2048):
        yield _line(f"peak with {size} px on demand, 12 megapixels", _peak(bench, large, size), 120)
    yield _line(f"peak of a scan of {many:,} photos", _peak(bench, small, None), 120)


def _idle_and_after(bench: Bench) -> Iterator[Line]:
    made = library(bench.kept, 100_000)
    ids = made.ids(1_000)
    with bench.scratch() as scratch:
        with servers.bare(scratch / "bare.db") as bare:
            floor = memory_of(bare.pid).rss
        with servers.tagline(made.copied(scratch / "data"), made.photos) as server:
            yield _line(
                "idle, 100,000 photos", memory_of(server.pid), 50, f"bare aiohttp with aiosqlite: {floor:.0f} MB"
            )
            paths = ["/photos", "/photos?untold=true", "/photos?q=lake", *(f"/photos/{photo_id}" for photo_id in ids)]
            asked = [request(path, server.token) for path in paths]
            for _ in range(REQUESTS // len(asked) + 1):
                load.each(server.port, asked, CLIENTS)
            yield _line(f"after {REQUESTS:,} requests", memory_of(server.pid))
            for _ in range(REQUESTS // len(asked) + 1):
                load.each(server.port, asked, CLIENTS)
            yield _line(f"after {2 * REQUESTS:,} requests", memory_of(server.pid))


def _peak(bench: Bench, folder: Path, size: int | None) -> Memory:
    """The most while a folder is scanned and read and, with a size, its thumbnails of that size are made."""
    with (
        bench.scratch() as scratch,
        servers.tagline(scratch / "data", folder, TAGLINE_WORKERS="2") as server,
        Peak(server.pid) as peak,
    ):
        server.ask("POST", "/rescan")
        server.job_ended("digest")
        if size:
            ids = [photo["id"] for photo in server.ask("GET", "/photos?limit=500")["items"]]
            asked = [request(f"/photos/{photo_id}/thumbnail?size={size}", server.token) for photo_id in ids]
            load.each(server.port, asked, CLIENTS)
    return peak.most


def _line(what: str, memory: Memory, at_most: float | None = None, note: str = "") -> Line:
    shared = f"{memory.processes} processes; {memory.pss:.0f} MB where shared pages count once"
    return Line(what, Figure("MB", [memory.rss]), at_most=at_most, extra=[shared], note=note)
