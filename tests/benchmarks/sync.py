"""Sync: what is known, the feed in small and large libraries, the first sync, and an edit until others see it."""

import gzip
import http.client
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import msgspec

from tagline.sync import cursors
from tests.benchmarks import load, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.library import library
from tests.benchmarks.listeners import Heard
from tests.benchmarks.load import Load, request, summary
from tests.benchmarks.servers import ROOT, Server

ROWS = 100_000
SUMS = 1_000
CHANGES = 100
# Each is asked for in turn: more than the pages that the server remembers for those who ask for the same.
POINTS = 12
PAGE = 1_000
LISTENERS = 200


def known(bench: Bench) -> Iterator[Line]:
    """Which of a thousand sums are here."""
    made = library(bench.kept, ROWS)
    chance = random.Random(5)
    with closing(sqlite3.connect(made.database)) as connection:
        here = [row[0] for row in connection.execute("select sha256 from photos order by id limit 10000")]
    questions = []
    for _ in range(20):
        sums = chance.sample(here, SUMS // 2) + [f"{chance.getrandbits(256):064x}" for _ in range(SUMS // 2)]
        chance.shuffle(sums)
        questions.append(msgspec.json.encode({"sha256": sums}))
    with bench.scratch() as scratch, servers.tagline(made.copied(scratch / "data"), made.photos) as server:
        asked = [request("/photos/known", server.token, "POST", question) for question in questions]
        answer = server.ask("POST", "/photos/known", msgspec.json.decode(questions[0]))
        assert len(answer["known"]) == len(answer["unknown"]) == SUMS // 2
        load.waits(server.port, asked, 0.3, clients=1)
        seen = [load.waits(server.port, asked, bench.seconds, clients=1) for _ in range(bench.rounds)]
        floor = [_looked_up(made.database, questions, bench.seconds) for _ in range(bench.rounds)]
    what = f"known: {SUMS:,} sums, half of them here"
    beside = f"{ROWS:,} photos; one query of SQLite alone"
    middle, rare = Figure("ms", [one.p50 for one in floor]), Figure("ms", [one.p99 for one in floor])
    yield Line(f"{what}: median", Figure("ms", [one.p50 for one in seen]), at_most=10, extra=[f"{beside}: {middle}"])
    yield Line(f"{what}: p99", Figure("ms", [one.p99 for one in seen]), at_most=10, extra=[f"{beside}: {rare}"])


def feed(bench: Bench) -> Iterator[Line]:
    """A hundred changes in libraries of two sizes, and the whole state of one."""
    few, many = 1_000, (100_000 if bench.quick else 1_000_000)
    with ExitStack() as stack:
        scratch = stack.enter_context(bench.scratch())
        asked: dict[int, tuple[Server, Sequence[bytes]]] = {}
        for size in (few, many):
            made = library(bench.kept, size)
            data = made.copied(scratch / f"data-{size}")
            server = stack.enter_context(servers.tagline(data, made.photos))
            asked[size] = server, _hundreds(server, data / "tagline.db", made.ids(CHANGES + POINTS + 1))

        def waits(size: int) -> Callable[[], float]:
            server, requests = asked[size]
            return lambda: load.waits(server.port, requests, bench.seconds, clients=1).p50

        for size in (few, many):
            load.waits(asked[size][0].port, asked[size][1], 0.3, clients=1)
        values = bench.turns({"few": waits(few), "many": waits(many)})
    yield Line(
        f"feed: {CHANGES} changes, {many:,} photos: median wait",
        Figure("ms", values["many"]), Figure("ms", values["few"]), f"at {few:,} photos", at_most=1.2,
    )  # fmt: skip
    yield from _whole(bench)


def realtime(bench: Bench) -> Iterator[Line]:
    """From an edit to the event at other clients."""
    made = library(bench.kept, ROWS)
    ids = made.ids(100)
    edits = 100 if bench.quick else 300
    with bench.scratch() as scratch, servers.tagline(made.copied(scratch / "data"), made.photos) as server:
        for name, way, count in (
            ("WebSocket, 1 client", "websocket", 1), (f"WebSocket, {LISTENERS} clients", "websocket", LISTENERS),
            ("Socket.IO, 1 client", "socket.io", 1), (f"Socket.IO, {LISTENERS} clients", "socket.io", LISTENERS),
        ):  # fmt: skip
            _heard(server, way, count, 10, ids)
            rounds = [_heard(server, way, count, edits, ids) for _ in range(bench.rounds)]
            yield Line(
                f"edit to event, {name}: median", Figure("ms", [median(heard.events) for heard in rounds]),
                Figure("ms", [median(heard.answers) for heard in rounds]), "the edit's own answer",
                extra=[
                    f"p99 {Figure('ms', [_rare(heard.events) for heard in rounds])}; of the answer "
                    f"{Figure('ms', [_rare(heard.answers) for heard in rounds])}"
                ],
            )  # fmt: skip


def _hundreds(server: Server, database: Path, ids: Sequence[str]) -> list[bytes]:
    """Requests for a hundred changes each, from several points."""
    for number, photo_id in enumerate(ids):
        server.ask("PATCH", f"/photos/{photo_id}/metadata", {"description": f"Ana at the lake, {number}"})
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("select seq, at from changes where entity = 'photo' order by seq").fetchall()
    paths = []
    for seq, at in rows[-len(ids) :][:POINTS]:
        paths.append(f"/api/sync/changes?cursor={cursors.write(cursors.Point(seq, at, seq))}&limit={CHANGES}")
        assert len(server.ask("GET", paths[-1])["changes"]) == CHANGES
    return [request(path, server.token) for path in paths]


def _whole(bench: Bench) -> Iterator[Line]:
    """The first sync: everything, page by page, as a phone asks for it."""
    made = library(bench.kept, ROWS)
    with bench.scratch() as scratch, servers.tagline(made.copied(scratch / "data"), made.photos) as server:
        yield _synced(bench, server, made.database, compressed=False)
        yield _synced(bench, server, made.database, compressed=True)


def _synced(bench: Bench, server: Server, database: Path, *, compressed: bool) -> Line:
    pages: list[float] = []
    sizes: list[int] = []

    def all_of_it() -> float:
        took, size = _first_sync(server, compressed)
        pages.extend(took)
        sizes.append(size)
        return sum(took)

    values = bench.turns({"ours": all_of_it, "read": partial(_read_all, database, compressed)})
    return Line(
        f"first sync of {ROWS:,} photos{', with gzip' * compressed}", Figure("s", values["ours"]),
        Figure("s", values["read"]), f"SQLite{' and gzip' * compressed} alone",
        extra=[
            f"{sizes[0] / 1e6:.1f} MB in pages of {PAGE:,}; a page {1000 * median(pages):.1f} ms, the longest "
            f"{1000 * max(pages):.1f} ms"
        ],
    )  # fmt: skip


def _first_sync(server: Server, compressed: bool) -> tuple[list[float], int]:
    """Seconds of each page, and bytes of all together."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}"} | ({"Accept-Encoding": "gzip"} if compressed else {})
    took, size, photos, cursor = [], 0, 0, ""
    try:
        while True:
            began = time.perf_counter()
            connection.request("GET", f"/api/sync/changes?limit={PAGE}{cursor}", None, headers)
            answer = connection.getresponse()
            content = answer.read()
            took.append(time.perf_counter() - began)
            assert answer.status == 200, content[:500]
            size += len(content)
            page = msgspec.json.decode(gzip.decompress(content) if answer.headers["Content-Encoding"] else content)
            photos += len(page["changes"])
            cursor = f"&cursor={page['cursor']}"
            if not page["has_more"]:
                assert photos == ROWS
                return took, size
    finally:
        connection.close()


def _read_all(database: Path, compressed: bool) -> float:
    """Seconds to read the same texts, page by page."""
    began = time.perf_counter()
    with closing(sqlite3.connect(database)) as connection:
        reading = connection.execute("select item from photos order by taken_rank desc")
        while rows := reading.fetchmany(PAGE):
            text = ",".join(row[0] for row in rows).encode()
            if compressed:
                gzip.compress(text, 6)
    return time.perf_counter() - began


def _looked_up(database: Path, questions: Sequence[bytes], seconds: float) -> Load:
    """What it takes to look as many sums up by a query alone."""
    took = []
    asked = cycle([msgspec.json.encode(msgspec.json.decode(question)["sha256"]).decode() for question in questions])
    with closing(sqlite3.connect(database)) as connection:
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            connection.execute(
                "select s.value, p.id from json_each(?) s join photos p on p.sha256 = s.value", (next(asked),)
            ).fetchall()
            took.append(time.perf_counter() - began)
    return summary(took, seconds)


def _heard(server: Server, way: str, count: int, edits: int, ids: Sequence[str]) -> Heard:
    """What listeners, a process of their own, heard. Raises CalledProcessError."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.listeners", str(server.port), way, str(count), str(edits), *ids],
        stdout=subprocess.PIPE, check=True, cwd=ROOT, env=os.environ | {"TOKEN": server.token},
    )  # fmt: skip
    return msgspec.json.decode(ran.stdout, type=Heard)


def _rare(waits: Sequence[float]) -> float:
    ordered = sorted(waits)
    return ordered[round((len(ordered) - 1) * 0.99)]
