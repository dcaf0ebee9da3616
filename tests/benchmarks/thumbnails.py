"""Thumbnails of 12-megapixel JPEGs: by Tagline's workers beside pyvips in as many processes; over HTTP on demand."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tagline.workers import Workers
from tests.benchmarks import floors, load, photographs, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.load import request

SIZE = 512
# Tagline decodes 4032 px at an eighth, 504, and enlarges that; libvips by itself at a quarter, which costs more.
ALIKE = 8
CLIENTS = 4


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    count = 40 if bench.quick else 120
    folder = photographs.large(bench.kept, count)
    paths = sorted(folder.rglob("*.jpg"))
    for processes in (1, 2):
        yield from _made(bench, folder, f"{SIZE} px made by {processes} worker{'s'[: processes - 1]}", processes)
    if photographs.REAL.is_dir():
        yield from _made(bench, photographs.REAL / "camera", f"{SIZE} px of shared/photos/camera, 2 workers", 2)
    values = bench.turns(
        {
            "demanded": lambda: _on_demand(bench, folder, count),
            "alone": lambda: count / asyncio.run(_by_workers(bench, 2, paths)),
        }
    )
    yield Line(
        f"{SIZE} px over HTTP on demand, {CLIENTS} clients", Figure("/s", values["demanded"]),
        Figure("/s", values["alone"]), "2 workers alone", at_least=0.9,
        extra=["the photos are in the library and have their thumbnails for the grid already"],
    )  # fmt: skip


def _made(bench: Bench, folder: Path, what: str, processes: int) -> Iterator[Line]:
    """By Tagline's workers, and by pyvips where that is installed."""
    paths = sorted(folder.rglob("*.jpg"))
    works = {"ours": lambda: len(paths) / asyncio.run(_by_workers(bench, processes, paths))}
    real = folder.parent == photographs.REAL
    if find_spec("pyvips"):
        works["vips"] = lambda: len(paths) / floors.measured("vips", processes, SIZE, 0, folder)
    if find_spec("pyvips") and not real:
        works["alike"] = lambda: len(paths) / floors.measured("vips", processes, SIZE, ALIKE, folder)
    values = bench.turns(works)
    made = Figure("/s", values["ours"])
    if "vips" not in values:
        yield Line(what, made, note="pyvips: not installed")
        return
    target = 1.0 if processes == 2 and not real else None
    yield Line(what, made, Figure("/s", values["vips"]), "pyvips, as many processes", at_least=target)
    if "alike" in values:
        yield Line(
            "  beside one that decodes as little",
            made,
            Figure("/s", values["alike"]),
            f"pyvips, shrink={ALIKE}",
            at_least=target,
        )


async def _by_workers(bench: Bench, processes: int, paths: list[Path]) -> float:
    """Seconds that the pool of processes takes, once it is warm."""
    workers = Workers(processes)
    with bench.scratch() as there:

        async def make(number: int, path: Path) -> None:
            await workers.run("thumbnails", path=str(path), places={SIZE: str(there / f"{number}.webp")})

        try:
            await asyncio.gather(*(make(-1 - number, paths[0]) for number in range(2 * processes)))
            began = time.perf_counter()
            await asyncio.gather(*(make(number, path) for number, path in enumerate(paths)))
            return time.perf_counter() - began
        finally:
            await workers.close()


def _on_demand(bench: Bench, folder: Path, count: int) -> float:
    """Thumbnails in a second, asked for by clients who see them for the first time."""
    with bench.scratch() as scratch, servers.tagline(scratch / "data", folder, TAGLINE_WORKERS="2") as server:
        server.ask("POST", "/rescan")
        server.job_ended("digest")
        ids = [photo["id"] for photo in server.ask("GET", f"/photos?limit={count}")["items"]]
        asked = [request(f"/photos/{photo_id}/thumbnail?size={SIZE}", server.token) for photo_id in ids]
        # The workers are awake from the scan.
        seen = load.each(server.port, asked, CLIENTS)
        shutil.rmtree(scratch / "data/cache")
        return seen.rate
