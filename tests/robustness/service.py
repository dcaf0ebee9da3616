"""The service as a process of its own, as systemd runs it, and commands beside it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.house import PASSWORD, Client, until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 20

# Root may read everything. Without these two capabilities it is bound by permissions as anybody else is.
WITHOUT_RIGHTS = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2): ctypes.CDLL(None).prctl(24, capability)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def environment(data: Path, **environ: str) -> dict[str, str]:
    """The settings of a service for tests; the rest of the environment is passed on for coverage's sake."""
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "HOST": "127.0.0.1", "PORT": "0", "TAGLINE_DATA_DIR": str(data),
        "BACKEND_PASSWORD": PASSWORD, "TAGLINE_WATCH": "off", "TAGLINE_SCAN_AT_START": "off",
        "TAGLINE_ANONYMOUS_LIMIT": "100000", "TAGLINE_ANNOUNCE": "off", "LOG_LEVEL": "warning", **environ,
    }  # fmt: skip


async def tagline(
    data: Path, *arguments: str, before: Sequence[str] = (), **environ: str
) -> tuple[int | None, str, str]:
    """Run a command; gives its exit status and what it said. `before`: Python's own arguments."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *before, "-m", "tagline", *arguments, env=environment(data, **environ), cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


class Service:
    """A running `tagline serve`."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self._process = process
        self.pid = process.pid
        self.address = address

    async def kill(self) -> None:
        """As a power cut would, as far as the process sees."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._reap()

    async def stop(self) -> int:
        """As systemd does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        return await self._reap()

    async def _reap(self) -> int:
        assert self._process.stdout is not None
        await self._process.stdout.read()
        return await self._process.wait()


async def start(data: Path, **environ: str) -> Service:
    """Start the service and wait until it answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tagline", "serve", env=environment(data, **environ), cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(START_SECONDS):
        while line := await process.stdout.readline():
            said += line
            if line.startswith(b"Open http"):
                return Service(process, line.split()[1].decode())
    await process.wait()
    raise AssertionError(f"the service did not start: {said.decode()}")


async def signed_in(session: ClientSession, address: str) -> Client:
    """Ana, at the service at an address."""
    answer = await Client(session, address, {}).post("/login", {"password": PASSWORD})
    assert answer.status == 200, answer
    session.cookie_jar.clear()
    return Client(session, address, {"Authorization": f"Bearer {answer.json['access_token']}"})


@asynccontextmanager
async def serving(
    data: Path, *, signed_in_as: dict[str, str] | None = None, **environ: str
) -> AsyncIterator[tuple[Service, Client]]:
    """The service with ana signed in (or with the headers that she had before); killed at the end."""
    async with ClientSession() as session:
        service = await start(data, **environ)
        try:
            if signed_in_as:
                yield service, Client(session, service.address, signed_in_as)
            else:
                yield service, await signed_in(session, service.address)
        finally:
            await service.kill()


async def settled(ana: Client, seconds: float = 90) -> None:
    """Wait until no job runs any more."""

    async def idle() -> bool:
        jobs = (await ana.get("/api/jobs")).json["items"]
        return all(job["state"] not in ("queued", "running") for job in jobs)

    await until(idle, seconds)


async def everything(ana: Client) -> list[Any]:
    """All photos of a library, by its pages."""
    found: list[Any] = []
    query = "limit=500"
    while query:
        page = (await ana.get(f"/photos?{query}")).json
        found += page["items"]
        query = f"limit=500&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    return found
