"""Servers as processes of their own: Tagline as it is started by users, bare aiohttp, nginx."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
PASSWORD = "the house by the lake"
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
_STARTS_WITHIN = 60.0
_CONF = """
daemon off; worker_processes 1; pid {here}/nginx.pid; error_log {here}/error.log; {user}
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  types {{ image/jpeg jpg; image/webp webp; }}
  client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3; uwsgi_temp_path {here}/4;
  scgi_temp_path {here}/5; server {{ listen 127.0.0.1:{port}; root /; }} }}
"""


@dataclass
class Server:
    """A server that answers. `started` is how long it took from exec to its first good answer, s."""

    port: int
    pid: int
    started: float
    token: str = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request; gives the answer's JSON, raises RuntimeError where it is no good one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1200)
        try:
            sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            if body is not None:
                sent["Content-Type"] = "application/json"
            content = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, content, sent | headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return msgspec.json.decode(text) if text[:1] in b"{[" else None

    def job_ended(self, kind: str) -> dict[str, Any] | None:
        """Wait until no job of a kind is open; gives the newest."""
        while True:
            jobs = [job for job in self.ask("GET", "/api/jobs?limit=50")["items"] if job["kind"] == kind]
            if all(job["state"] not in ("queued", "running") for job in jobs):
                return jobs[0] if jobs else None
            time.sleep(0.02)


@contextmanager
def tagline(data: Path, photos: Path, **environ: str) -> Iterator[Server]:
    """`tagline serve`, its log (info, as users have it) to nowhere, without a scan of its own, and signed in."""
    settings = {
        "TAGLINE_DATA_DIR": str(data), "PHOTO_STORAGE_PATH": str(photos), "BACKEND_PASSWORD": PASSWORD,
        "TAGLINE_RATE_LIMIT": "100000000", "TAGLINE_ANONYMOUS_LIMIT": "100000000", "TAGLINE_SCAN_AT_START": "off",
        "TAGLINE_WATCH": "off", "TAGLINE_ANNOUNCE": "off",
    }  # fmt: skip
    with _running(["-m", "tagline", "serve"], settings | environ) as server:
        server.token = server.ask("POST", "/login", {"password": PASSWORD})["access_token"]
        yield server


@contextmanager
def bare(database: Path) -> Iterator[Server]:
    """tests.benchmarks.bare over a database of its own."""
    with _running(["-m", "tests.benchmarks.bare", "{port}", str(database)], {}) as server:
        yield server


@contextmanager
def nginx(here: Path) -> Iterator[Server]:
    """nginx with one worker, serving the whole disk to this machine; where it is installed."""
    port = _free_port()
    conf = here / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(_CONF.format(here=here, port=port, user=user), encoding="utf-8")
    (here / "health").write_text("{}", encoding="utf-8")
    command = [str(NGINX), "-c", str(conf), "-p", str(here), "-e", str(here / "error.log")]
    with _process(command, {}, port, f"{here}/health") as server:
        yield server


@contextmanager
def _running(arguments: Sequence[str], environ: Mapping[str, str]) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with _process(command, kept | {"HOST": "127.0.0.1", "PORT": str(port)} | dict(environ), port, "/health") as server:
        yield server


@contextmanager
def _process(command: Sequence[str], environ: Mapping[str, str], port: int, health: str) -> Iterator[Server]:
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    try:
        while not _answers(port, health):
            if process.poll() is not None or time.perf_counter() - began > _STARTS_WITHIN:
                raise RuntimeError(f"{' '.join(command)} did not start")
            time.sleep(0.002)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        if process.poll() is not None:
            print(f"{' '.join(command)} ended with status {process.returncode}", file=sys.stderr)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int, health: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"GET {health} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(12) == b"HTTP/1.1 200"
    except ConnectionError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
