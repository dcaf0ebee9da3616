"""One photo, and an edit of its line, beside a bare row and a bare update."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count

import msgspec

from tests.benchmarks import load, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import library
from tests.benchmarks.load import request
from tests.benchmarks.servers import Server

ROWS = 100_000
PHOTOS = 1_000
# More than a server can take in one measurement, so that each writes another line.
EDITS_A_SECOND = 12_000


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    made = library(bench.kept, ROWS)
    ids = made.ids(PHOTOS)
    with ExitStack() as stack:
        scratch = stack.enter_context(bench.scratch())
        ours = stack.enter_context(servers.tagline(made.copied(scratch / "data"), made.photos))
        quiet = stack.enter_context(servers.tagline(made.copied(scratch / "quiet"), made.photos, LOG_LEVEL="warning"))
        bare_database = scratch / "bare.db"
        bare_database.write_bytes(made.bare.read_bytes())
        bare = stack.enter_context(servers.bare(bare_database))

        def getting(server: Server) -> Callable[[], Sequence[bytes]]:
            asked = [request(f"/photos/{photo_id}", server.token) for photo_id in ids]
            return lambda: asked

        texts = (f"Ana and Ben at the lake, evening {number}" for number in count())

        def editing(server: Server, path: str) -> Callable[[], Sequence[bytes]]:
            def edits() -> Sequence[bytes]:
                many = round(EDITS_A_SECOND * bench.seconds)
                addresses = [path.format(id=ids[number % PHOTOS]) for number in range(many)]
                return [
                    request(address, server.token, "PATCH", msgspec.json.encode({"description": next(texts)}))
                    for address in addresses
                ]

            return edits

        edit = "/photos/{id}/metadata"
        yield _line(bench, "one photo", ours, getting(ours), bare, getting(bare), 0.6)
        yield _quiet(bench, quiet, getting(quiet))
        yield _line(
            bench,
            "an edit, on disk, with its change row",
            ours,
            editing(ours, edit),
            bare,
            editing(bare, "/photos/{id}"),
            0.5,
        )
        yield _quiet(bench, quiet, editing(quiet, edit))
        alone = load.waits(ours.port, editing(ours, edit)(), bench.seconds, clients=1)
        alone_bare = load.waits(bare.port, editing(bare, "/photos/{id}")(), bench.seconds, clients=1)
        yield Line(
            "an edit, one client: median wait", Figure("ms", [alone.p50]), Figure("ms", [alone_bare.p50]), "bare update"
        )


def _line(
    bench: Bench, what: str, ours: Server, asked: Callable[[], Sequence[bytes]],
    bare: Server, beside: Callable[[], Sequence[bytes]], at_least: float,
) -> Line:  # fmt: skip
    load.waits(ours.port, asked(), 0.3)
    seen = load.waits(ours.port, asked(), bench.seconds)
    values = bench.turns(
        {
            "ours": lambda: load.rate(ours.port, asked(), bench.seconds),
            "bare": lambda: load.rate(bare.port, beside(), bench.seconds),
        }
    )
    return Line(
        what, Figure("/s", values["ours"]), Figure("/s", values["bare"]), "bare", at_least=at_least,
        extra=[f"{ROWS:,} rows; p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms at 16 clients"],
    )  # fmt: skip


def _quiet(bench: Bench, server: Server, asked: Callable[[], Sequence[bytes]]) -> Line:
    return Line("  the same, LOG_LEVEL=warning", Figure("/s", [load.rate(server.port, asked(), bench.seconds)]))
