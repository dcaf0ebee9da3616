"""Uploads: photos of 3 MB by 4 connections, with everything done, beside storing their bytes; memory of large ones."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from tests.benchmarks import floors, servers
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Line
from tests.benchmarks.memory_of import Memory, Peak, memory_of, tree
from tests.benchmarks.phones import CONNECTIONS, Sent, pictures
from tests.benchmarks.servers import ROOT, Server

POSTED = "POST /photos"
OURS = {POSTED: "/photos", "tus, one PATCH each": "tus", "tus, PATCHes of 1 MiB": "chunks"}
BARE = {"bare": "/bodies", "flushed": "/bodies?flushed", "hashed": "/bodies?flushed&hashed"}
LARGE_AT_ONCE = 8
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class _Cost:
    """What the rounds of one way took beside their time: ms of processor time for one photo, waits in ms."""

    server: list[float] = field(default_factory=list)
    workers: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    thumbnails: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [
            f"p50 {Figure('ms', self.p50)}, p99 {Figure('ms', self.p99)}",
            f"processor time for one photo: server {Figure('ms', self.server)}",
        ]
        if any(self.workers):
            parts.append(f"workers {Figure('ms', self.workers)}")
        parts.append(f"client {Figure('ms', self.client)}")
        return ", ".join(parts)


def run(bench: Bench) -> Iterator[Line]:
    """All lines of this group."""
    many = 100 if bench.quick else 1_000
    bases = pictures(bench.kept)
    costs = {name: _Cost() for name in (*OURS, *BARE)}
    works: dict[str, Callable[[], float]] = {
        **{name: partial(_ours, bench, way, many, bases, costs[name]) for name, way in OURS.items()},
        **{name: partial(_bare, bench, path, many, bases, costs[name]) for name, path in BARE.items()},
        "written": partial(_written, bench, many, bases),
    }
    figures = {name: Figure("/s", values) for name, values in bench.turns(works).items()}
    for name in OURS:
        yield Line(
            f"{many:,} photos of 3 MB: {name}", figures[name], figures["bare"], "bare aiohttp, not flushed",
            at_least=0.7 if name == POSTED else None, extra=[str(costs[name])],
        )  # fmt: skip
        yield Line("  beside one that flushes", figures[name], figures["flushed"], "bare aiohttp, fsync")
        yield Line("  beside one that hashes as well", figures[name], figures["hashed"], "bare aiohttp, SHA-256, fsync")
        yield Line("  beside writing alone", figures[name], figures["written"], "write and fsync, one by one")
    yield Line(
        "  thumbnails are there, after the last answer", Figure("s", costs[POSTED].thumbnails),
        extra=[f"bare aiohttp, {name}: {costs[name]}" for name in BARE],
    )  # fmt: skip
    yield from _memory(bench, bases)


def _ours(bench: Bench, way: str, many: int, bases: list[Path], cost: _Cost) -> float:
    """Photos in a second into an empty library."""
    with bench.scratch() as scratch:
        (scratch / "photos").mkdir()
        with servers.tagline(scratch / "data", scratch / "photos") as server:
            # The workers are awake, and the month's folder is there.
            sent(server, way, CONNECTIONS, bases[::-1])
            server.job_ended("digest")
            before = _cpu(server.pid)
            os.sync()
            result = sent(server, way, many, bases)
            _count(cost, result, before, _cpu(server.pid), many)
            if way == OURS[POSTED]:
                began = time.perf_counter()
                server.job_ended("digest")
                cost.thumbnails.append(time.perf_counter() - began)
            assert server.ask("GET", "/photos?limit=1")["total"] == many + CONNECTIONS
    return result.rate


def _bare(bench: Bench, way: str, many: int, bases: list[Path], cost: _Cost) -> float:
    """Bodies stored in a second."""
    with bench.scratch() as scratch, servers.bare(scratch / "bare.db") as server:
        sent(server, way, CONNECTIONS, bases)
        before = _cpu(server.pid)
        os.sync()
        result = sent(server, way, many, bases)
        _count(cost, result, before, _cpu(server.pid), many)
    return result.rate


def _written(bench: Bench, many: int, bases: list[Path]) -> float:
    with bench.scratch() as scratch:
        os.sync()
        return many / floors.measured("write", many, scratch, *bases)


def sent(server: Server, way: str, many: int, bases: list[Path], largest: int = 0) -> Sent:
    """What phones, a process of their own, took to send so many photos. Raises CalledProcessError."""
    arguments = [str(server.port), way, str(many), str(largest), *(str(base) for base in bases)]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.phones", *arguments],
        stdout=subprocess.PIPE, check=True, cwd=ROOT, env=os.environ | {"TOKEN": server.token},
    )  # fmt: skip
    return msgspec.json.decode(ran.stdout, type=Sent)


def _cpu(pid: int) -> tuple[float, float]:
    """Seconds of processor time of the server, and of all that it started."""
    seconds = [0.0, 0.0]
    for place, process in enumerate(tree(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            seconds[place > 0] += (int(words[11]) + int(words[12])) / _TICKS
    return seconds[0], seconds[1]


def _count(cost: _Cost, result: Sent, before: tuple[float, float], after: tuple[float, float], many: int) -> None:
    cost.server.append(1000 * (after[0] - before[0]) / many)
    cost.workers.append(1000 * (after[1] - before[1]) / many)
    cost.client.append(1000 * result.cpu / many)
    cost.p50.append(result.p50)
    cost.p99.append(result.p99)


def _memory(bench: Bench, bases: list[Path]) -> Iterator[Line]:
    """Server and workers while large files arrive at once."""
    megabytes = 128 if bench.quick else 1024
    with bench.scratch() as scratch:
        (scratch / "photos").mkdir()
        with servers.tagline(scratch / "data", scratch / "photos") as server:
            sent(server, "/photos", CONNECTIONS, bases[::-1])
            server.job_ended("digest")
            before = memory_of(server.pid)
            with Peak(server.pid) as peak:
                result = sent(server, "/photos", LARGE_AT_ONCE, bases, megabytes << 20)
            after = memory_of(server.pid)
            with Peak(server.pid) as read:
                server.job_ended("digest")
    what = f"{LARGE_AT_ONCE} uploads of {megabytes:,} MB at once"
    note = f"{result.bytes / 1e6 / LARGE_AT_ONCE * result.rate:,.0f} MB/s; {result.p99 / 1000:.1f} s the last"
    yield Line(
        f"{what}: peak", _resident(peak.most), _resident(before), "before", at_most=1.2, note=note,
        extra=[f"{peak.most.processes} processes; {peak.most.pss:.0f} MB where shared pages count once"],
    )  # fmt: skip
    yield Line("  afterwards", _resident(after), _resident(before), "before")
    yield Line("  while they are hashed and shown", _resident(read.most), _resident(before), "before")


def _resident(memory: Memory) -> Figure:
    return Figure("MB", [memory.rss])
