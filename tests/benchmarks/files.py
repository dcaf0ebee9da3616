"""Pictures from disk to socket: originals of 4 MB, warm thumbnails, 304; beside aiohttp's own means and nginx."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests.benchmarks import load, photographs, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line, not_installed
from tests.benchmarks.load import request
from tests.benchmarks.servers import Server

PHOTOS = 24
# What a thumbnail in a grid weighs: the size is taken whose files come nearest to it.
THUMBNAIL_BYTES = 30_000


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    folder = photographs.large(bench.kept, PHOTOS)
    with ExitStack() as stack:
        scratch = stack.enter_context(bench.scratch())
        ours = stack.enter_context(servers.tagline(scratch / "data", folder))
        bare = stack.enter_context(servers.bare(scratch / "bare.db"))
        nginx = stack.enter_context(servers.nginx(scratch)) if servers.NGINX else None
        ours.ask("POST", "/rescan")
        ours.job_ended("digest")
        photos = ours.ask("GET", f"/photos?limit={PHOTOS}")["items"]
        thumbs = _Thumbnails(ours, photos, scratch / "data/cache/thumbnails")
        read = [request(f"/read?path={path}") for path in thumbs.paths]

        asked = {"ours": (ours, thumbs.asked), "bare": (bare, read)}
        if nginx:
            asked["nginx"] = (nginx, [request(str(path)) for path in thumbs.paths])
        note = f"{thumbs.bytes / 1000:.0f} KB each, {thumbs.size} px; {_waits(bench, ours, thumbs.asked)}"
        values = bench.turns(_works(bench, asked))
        yield Line(
            "warm thumbnail", _rate(values, "ours"), _rate(values, "bare"), "read and send", at_least=0.7, extra=[note]
        )
        yield (
            Line("warm thumbnail", _rate(values, "ours"), _rate(values, "nginx"), "nginx")
            if nginx
            else not_installed("warm thumbnail", "nginx")
        )

        tag = request("/304", If_None_Match='"abc"')
        asked = {"ours": (ours, thumbs.asked_again), "bare": (bare, [tag])}
        values = bench.turns(_works(bench, asked))
        yield Line(
            "thumbnail that the client has (304)", _rate(values, "ours"), _rate(values, "bare"), "bare 304",
            at_least=0.5, extra=[_waits(bench, ours, thumbs.asked_again)],
        )  # fmt: skip

        originals = [folder / photo["object_key"] for photo in photos]
        asked = {
            "ours": (ours, [request(photo["links"]["image"], ours.token) for photo in photos]),
            "bare": (bare, [request(f"/file?path={path}") for path in originals]),
        }
        if nginx:
            asked["nginx"] = (nginx, [request(str(path)) for path in originals])
        megabytes = median(path.stat().st_size for path in originals) / 1e6
        note = f"{megabytes:.1f} MB each; {_waits(bench, ours, asked['ours'][1])}"
        values = bench.turns(_works(bench, asked))
        yield Line(
            "original", _rate(values, "ours"), _rate(values, "bare"), "FileResponse", at_least=0.95, extra=[note]
        )
        yield (
            Line("original", _rate(values, "ours"), _rate(values, "nginx"), "nginx, 1 worker", at_least=0.7)
            if nginx
            else not_installed("original", "nginx")
        )


class _Thumbnails:
    """Thumbnails of one size, made already: how to ask for them, and where they lie."""

    def __init__(self, server: Server, photos: list[dict[str, str]], cache: Path) -> None:
        ids = [photo["id"] for photo in photos]
        # The largest from one decode brings all smaller ones with it.
        load.each(
            server.port, [request(f"/photos/{photo_id}/thumbnail?size=2048", server.token) for photo_id in ids], 2
        )
        weights = {
            int(folder.name): median(file.stat().st_size for file in folder.rglob("*.webp"))
            for folder in cache.iterdir() if folder.name.isdecimal()
        }  # fmt: skip
        self.size = min(weights, key=lambda size: abs(weights[size] - THUMBNAIL_BYTES))
        self.bytes = weights[self.size]
        self.paths = sorted((cache / str(self.size)).rglob("*.webp"))
        links = [f"/photos/{photo_id}/thumbnail?size={self.size}" for photo_id in ids]
        self.asked = [request(link, server.token) for link in links]
        self.asked_again = [
            request(link, server.token, If_None_Match=f'"{photo["sha256"]}-{self.size}-webp"')
            for link, photo in zip(links, photos, strict=True)
        ]


def _works(bench: Bench, asked: Mapping[str, tuple[Server, list[bytes]]]) -> dict[str, Callable[[], float]]:
    def work(server: Server, requests: list[bytes]) -> Callable[[], float]:
        return lambda: load.rate(server.port, requests, bench.seconds)

    return {name: work(*one) for name, one in asked.items()}


def _rate(values: Mapping[str, list[float]], name: str) -> Figure:
    return Figure("/s", values[name])


def _waits(bench: Bench, server: Server, asked: list[bytes]) -> str:
    load.waits(server.port, asked, 0.3)
    seen = load.waits(server.port, asked, bench.seconds)
    return f"p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms at 16 clients"
