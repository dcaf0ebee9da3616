"""The start: from exec to the first good answer, with 100,000 photos in the library."""

import subprocess
import sys
import time
from collections.abc import Iterator

from tests.benchmarks import servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import library
from tests.benchmarks.servers import ROOT

TIMES = 7


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    made = library(bench.kept, 100_000)
    with bench.scratch() as scratch:
        data = made.copied(scratch / "data")
        ours, bare, imports = [], [], []
        for _ in range(TIMES):
            # As users start it: its own scan begins at once, over 100,000 files.
            with servers.tagline(data, made.photos, TAGLINE_SCAN_AT_START="on", TAGLINE_WATCH="on") as server:
                ours.append(server.started)
            with servers.bare(scratch / "bare.db") as server:
                bare.append(server.started)
            imports.append(_import())
    yield Line(
        "start to the first answer, 100,000 photos", Figure("s", ours), at_most=0.4,
        extra=[f"bare aiohttp with aiosqlite: {Figure('s', bare)}; imports alone: {Figure('s', imports)}"],
    )  # fmt: skip


def _import() -> float:
    """Seconds to import all that `tagline serve` does, the interpreter's own start included."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tagline.__main__"], cwd=ROOT, check=True)
    return time.perf_counter() - began
