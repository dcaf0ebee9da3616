"""Lists: a page of 50 at a thousand, a hundred thousand and a million rows, beside a bare page built in SQL."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from urllib.parse import quote

from tests.benchmarks import load, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import COMMON, Library, library, vocabulary
from tests.benchmarks.load import Load, request
from tests.benchmarks.servers import Server

DEEP = 40


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    measured: dict[str, dict[int, Load]] = {}
    for size in bench.sizes:
        yield from _of_size(bench, library(bench.kept, size), measured)
    least, most = bench.sizes[0], bench.sizes[-1]
    for name, at_most in (
        ("first page", 1.5),
        ("deep by cursor", 1.5),
        ("search: a common word", None),
        ("untold", None),
    ):
        small, large = measured[name][least], measured[name][most]
        yield Line(
            f"{name}: p99 at {most:,} rows",
            Figure("ms", [large.p99]),
            Figure("ms", [small.p99]),
            f"at {least:,}",
            at_most=at_most,
        )
    for name in ("search: a common word", "search: never asked before"):
        small, large = measured[name][least], measured[name][most]
        yield Line(
            f"{name}: median wait at {most:,}",
            Figure("ms", [large.p50]),
            Figure("ms", [small.p50]),
            f"at {least:,}",
            at_most=3,
        )


def _of_size(bench: Bench, made: Library, measured: dict[str, dict[int, Load]]) -> Iterator[Line]:
    size = f"{made.size:,}"
    with ExitStack() as stack:
        scratch = stack.enter_context(bench.scratch())
        ours = stack.enter_context(servers.tagline(made.copied(scratch / "data"), made.photos))
        bare = stack.enter_context(servers.bare(made.bare))
        plain = [request("/photos")]
        deep = [request(f"/photos?before={rank}") for rank in made.ranks(DEEP)]

        def line(
            name: str, asked: Sequence[bytes], beside: Sequence[bytes] = plain, at_least: float | None = None
        ) -> Line:
            measured.setdefault(name, {})[made.size] = seen = _waits(bench, ours, asked)
            values = bench.turns(
                {
                    "ours": lambda: load.rate(ours.port, asked, bench.seconds),
                    "bare": lambda: load.rate(bare.port, beside, bench.seconds),
                }
            )
            return Line(
                f"{name}, {size} rows",
                Figure("/s", values["ours"]),
                Figure("/s", values["bare"]),
                "bare page",
                at_least=at_least,
                extra=[f"p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms at 16 clients"],
            )

        first = _asked(ours, ["/photos"])
        yield line("first page", first, at_least=0.5)
        if made.size == bench.sizes[0]:
            quiet = stack.enter_context(
                servers.tagline(made.copied(scratch / "quiet"), made.photos, LOG_LEVEL="warning")
            )
            without_log = load.rate(quiet.port, _asked(quiet, ["/photos"]), bench.seconds)
            yield Line("  the same, LOG_LEVEL=warning", Figure("/s", [without_log]))
        yield line("deep by cursor", _asked(ours, _cursors(ours, made.size)), deep, at_least=0.5)
        yield line("untold", _asked(ours, ["/photos?untold=true"]))
        yield line("untold in groups", _asked(ours, ["/photos/untold"]))
        yield line("search: a common word", _asked(ours, [f"/photos?q={COMMON}"]))
        yield _first_searches(ours, made, measured)
        yield _offset(bench, ours, made, first)


def _waits(bench: Bench, server: Server, asked: Sequence[bytes]) -> Load:
    load.waits(server.port, asked, 0.3)
    return load.waits(server.port, asked, bench.seconds)


def _asked(server: Server, paths: Sequence[str]) -> list[bytes]:
    return [request(path, server.token) for path in paths]


def _cursors(server: Server, size: int) -> list[str]:
    """Paths of pages deep in the list, each behind another cursor."""
    offsets = range(size // 2, size - 100, max(1, size // 2 // DEEP))
    pages = (server.ask("GET", f"/photos?limit=1&offset={offset}") for offset in offsets)
    return [f"/photos?cursor={page['next_cursor']}" for page in pages]


def _first_searches(server: Server, made: Library, measured: dict[str, dict[int, Load]]) -> Line:
    """Searches of which none was asked before: their totals are counted as well. One client, as somebody types."""
    known = vocabulary()
    typed = [f"{known[place]} {known[place + 1][:2]}" for place in range(1, 60, 2)]
    typed += [known[place][:length] for place in range(2, 40) for length in (2, 3, 4)]
    typed += [f"{COMMON} {known[place]}" for place in range(40)]
    paths = [f"/photos?q={quote(text)}" for text in dict.fromkeys(typed)]
    name = "search: never asked before"
    measured.setdefault(name, {})[made.size] = seen = load.each(server.port, _asked(server, paths), 1)
    return Line(
        f"{name}, {made.size:,} rows",
        Figure("ms", [seen.p50]),
        extra=[f"median of {len(paths)} searches as somebody types, one client; p99 {seen.p99:.1f} ms"],
    )


def _offset(bench: Bench, server: Server, made: Library, first: Sequence[bytes]) -> Line:
    middle = _asked(server, [f"/photos?offset={made.size // 2}"])
    end = _asked(server, [f"/photos?offset={made.size - 100}"])
    values = bench.turns(
        {
            "end": lambda: load.rate(server.port, end, bench.seconds),
            "first": lambda: load.rate(server.port, first, bench.seconds),
        }
    )
    in_the_middle = load.rate(server.port, middle, bench.seconds)
    return Line(
        f"offset near the end, {made.size:,} rows",
        Figure("/s", values["end"]),
        Figure("/s", values["first"]),
        "offset 0",
        at_least=0.15,
        extra=[f"offset in the middle, the furthest from both ends: {in_the_middle:,.0f}/s"],
    )
