"""Load over HTTP/1.1, keep-alive: requests/s by wrk where it is installed, waits (p50, p99) always by our own loop.

Requests are raw bytes, prepared before and sent in turn, so that both send exactly the same.
"""

import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from tests.benchmarks.bench import CLIENTS

WRK = shutil.which("wrk")
_BUFFER = 1 << 20
_WRK_SCRIPT = r"""
local requests, at = {}, 0
local file = io.open(os.getenv("REQUESTS"), "rb")
while true do
  local length = file:read("*n")
  if not length then break end
  file:read(1)
  requests[#requests + 1] = file:read(length)
end
file:close()
request = function()
  at = at % #requests + 1
  return requests[at]
end
done = function(summary, latency, sent)
  local e = summary.errors
  io.write(string.format("\nRESULT %d %d connect=%d read=%d write=%d status=%d timeout=%d\n",
    summary.requests, summary.duration, e.connect, e.read, e.write, e.status, e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What a server did under load; waits in ms."""

    rate: float
    p50: float
    p99: float
    longest: float


class LoadError(Exception):
    """The server did not answer as it should have; figures of it would mean nothing."""


def request(path: str, token: str = "", method: str = "GET", body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def rate(port: int, requests: Sequence[bytes], seconds: float, clients: int = CLIENTS) -> float:
    """Requests answered well in a second; raises LoadError if one was not."""
    if WRK is None:
        return waits(port, requests, seconds, clients).rate
    with tempfile.TemporaryDirectory() as directory:
        script, prepared = Path(directory, "turns.lua"), Path(directory, "requests")
        script.write_text(_WRK_SCRIPT, encoding="utf-8")
        prepared.write_bytes(b"".join(b"%d\n%b" % (len(one), one) for one in requests))
        command = [
            WRK,
            "-t1",
            f"-c{clients}",
            f"-d{max(1, round(seconds))}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env={"REQUESTS": str(prepared)})
    answered, microseconds, *wrong = ran.stdout.rpartition("RESULT ")[2].split()
    if any(not kind.endswith("=0") for kind in wrong) or answered == "0":
        raise LoadError(f"of {answered} answers: {', '.join(wrong)}, for {requests[0][:80]!r}…")
    return int(answered) / int(microseconds) * 1_000_000


def waits(port: int, requests: Sequence[bytes], seconds: float, clients: int = CLIENTS) -> Load:
    """The same by one process of ours, which sees every single wait. Raises LoadError."""
    return _run(port, cycle(requests), clients, time.perf_counter() + seconds)


def each(port: int, requests: Sequence[bytes], clients: int) -> Load:
    """Every request once."""
    return _run(port, iter(requests), clients, float("inf"))


class _Client:
    """One connection, and how much of its answer is still to come."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = b""
        self.left = 0
        self.began = 0.0

    def send(self, message: bytes) -> None:
        self.head, self.left = b"", 0
        self.began = time.perf_counter()
        self.socket.sendall(message)

    def receive(self, buffer: memoryview) -> bool:
        """Take what is there; whether the answer is complete."""
        count = self.socket.recv_into(buffer)
        if not count:
            raise LoadError("the server closed the connection")
        if self.left:
            self.left -= count
            return not self.left
        self.head += bytes(buffer[:count])
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return False
        status = int(self.head[9:12])
        if status not in (200, 206, 304):
            raise LoadError(f"answered {status}: {self.head[:2000]!r}")
        self.left = _length(self.head[:end], status) - (len(self.head) - end - 4)
        return not self.left


def _length(head: bytes, status: int) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    if status == 304 or at < 0:
        return 0
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


def _run(port: int, waiting: Iterator[bytes], clients: int, until: float) -> Load:
    buffer = memoryview(bytearray(_BUFFER))
    poller = select.epoll()
    open_clients: dict[int, _Client] = {}
    took: list[float] = []
    started = time.perf_counter()
    try:
        for _ in range(clients):
            client = _Client(port)
            open_clients[client.socket.fileno()] = client
            poller.register(client.socket.fileno(), select.EPOLLIN)
        busy = sum(_next(client, waiting, until) for client in open_clients.values())
        while busy:
            for number, _event in poller.poll():
                client = open_clients[number]
                if client.receive(buffer):
                    took.append(time.perf_counter() - client.began)
                    busy -= not _next(client, waiting, until)
    finally:
        poller.close()
        for client in open_clients.values():
            client.socket.close()
    seconds = time.perf_counter() - started
    return summary(took, seconds)


def _next(client: _Client, waiting: Iterator[bytes], until: float) -> bool:
    if time.perf_counter() >= until:
        return False
    message = next(waiting, None)
    if message is None:
        return False
    client.send(message)
    return True


def summary(took: Sequence[float], seconds: float) -> Load:
    """Waits in seconds as a Load."""
    if not took:
        raise LoadError("nothing was answered")
    ordered = sorted(1000 * one for one in took)
    last = len(ordered) - 1
    return Load(len(took) / seconds, ordered[last // 2], ordered[round(last * 0.99)], ordered[-1])
