"""`python -m tests.benchmarks [GROUP…] [--quick]`: prints each line as soon as it is measured; asserts nothing."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import (
    figures,
    files,
    lists,
    machine,
    memory,
    photos,
    scan,
    start,
    sync,
    thumbnails,
    uploads,
)
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Line
from tests.benchmarks.servers import ROOT

GROUPS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "lists": lists.run,
    "photos": photos.run,
    "files": files.run,
    "thumbnails": thumbnails.run,
    "scan": scan.run,
    "memory": memory.run,
    "start": start.run,
    "uploads": uploads.run,
    "known": sync.known,
    "feed": sync.feed,
    "realtime": sync.realtime,
}


def main() -> int:
    """Measure what was asked for; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Speed and size, as ratios within one run."
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default: all")
    parser.add_argument(
        "--quick", action="store_true", help="shorter, fewer rounds, up to 100,000 rows: about five minutes"
    )
    parser.add_argument(
        "--dir", type=Path, default=ROOT / "build/bench", help="where libraries and photos are kept (build/bench)"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.groups if name not in GROUPS]:
        parser.error(f"no such group: {', '.join(unknown)}")
    bench = Bench(options.dir.resolve(), options.quick)
    print(machine.described(), figures.heading(), sep="\n\n", flush=True)
    missed = 0
    began = time.monotonic()
    for name in options.groups or GROUPS:
        print(f"\n{name}", flush=True)
        for line in GROUPS[name](bench):
            missed += line.missed
            print(figures.row(line), flush=True)
    print(f"\n{missed} targets missed; {(time.monotonic() - began) / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
