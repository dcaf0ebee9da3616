"""`tagline serve`: the service, from the lock on its data directory to the last request in flight."""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock

from aiohttp import web

from tagline import __version__, logs
from tagline.accounts.firstrun import FIRST_RUN
from tagline.addresses import own_address
from tagline.app import create_app
from tagline.config import Config
from tagline.connections import Doorkeeper
from tagline.migrations import migrate
from tagline.sync import announcing

log = logging.getLogger(__name__)

# Requests in flight at SIGTERM have so long to finish, s.
FINISH_SECONDS = 10.0

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


class Refused(Exception):
    """The command cannot be done; the text says why and what to do."""


class Locked(Refused):
    """Another process serves this data directory."""


@contextmanager
def data_directory(config: Config) -> Iterator[None]:
    """Make the data directory, and hold its lock; raises Locked if another process does."""
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(config.data_dir / "tagline.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            f"The data directory {config.data_dir} cannot be used: {error.strerror}. TAGLINE_DATA_DIR names it."
        ) from error
    try:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise Locked(
                f"Another Tagline uses {config.data_dir} already. Stop that one first, "
                "or give this one another TAGLINE_DATA_DIR and PORT."
            ) from None
        yield
    finally:
        os.close(lock)


def prepare(config: Config) -> None:
    """What has to be there before the application starts: the default folder of photos, and the schema."""
    if config.storage_path == config.data_dir / "photos":
        config.storage_path.mkdir(exist_ok=True)
    migrate(config.database)


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; gives the exit status."""
    give_memory_back()
    logs.configure(config)
    with data_directory(config):
        prepare(config)
        asyncio.run(_serve(config))
    return 0


def give_memory_back() -> None:
    """Let glibc return freed memory to the system: lists and thumbnails come and go in pieces of 30 to 500 KB, of
    which it would keep 20 MB otherwise (mallopt(3)). The 256 KB that asyncio receives into at once stay below the
    threshold: mapping them anew each time was a third of an upload. Without mallopt (musl), nothing is to be done."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in ((M_ARENA_MAX, 2), (M_TRIM_THRESHOLD, 128 * 1024), (M_MMAP_THRESHOLD, 320 * 1024)):
            libc.mallopt(parameter, value)


async def _serve(config: Config) -> None:
    told_to_stop = _told_to_stop()
    app = create_app(config)
    # aiohttp waits for so long twice: for the handler, and again once the rest of its request's body is cut off.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=FINISH_SECONDS / 2)
    listening: asyncio.Server | None = None
    try:
        await runner.setup()
        listening = await _listen(config, runner)
        # What is here now stays: the collector need not look at it again, and looks less often at the rest.
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        port = listening.sockets[0].getsockname()[1]
        _greet(config, port, app[FIRST_RUN].token)
        announcing.begin(app, port)
        await told_to_stop.wait()
        log.info("stopping; requests in flight have %.0f seconds", FINISH_SECONDS)
    finally:
        if listening is not None:
            listening.close()
        await runner.cleanup()


async def _listen(config: Config, runner: web.AppRunner) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    assert runner.server is not None
    try:
        return await loop.create_server(
            Doorkeeper(runner.server, loop), config.host, config.port, reuse_address=True, backlog=128
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise Refused(f"Cannot listen on {config.host}:{config.port}: {why}. PORT and HOST choose another.") from error


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM and SIGINT; from before anybody can know that the service is there. A second one ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, told)
    return stop


def _greet(config: Config, port: int, setup_token: str | None) -> None:
    """Tell whoever started the service where it is, and at the first run how to set it up."""
    address = f"http://{own_address(config.host)}:{port}"
    library = config.storage_path if config.storage_backend == "local" else "photos in memory"
    lines = [f"Tagline {__version__} serves {library}", f"Open {address}"]
    if setup_token:
        # 6 ms of import, at the first run only.
        import segno

        link = f"{address}/setup#token={setup_token}"
        lines.append(f"Choose the household's password here, once: {link}")
        print("\n".join(lines), flush=True)
        segno.make(link, micro=False).terminal(out=sys.stdout, compact=True, border=2)
        sys.stdout.flush()
        return
    print("\n".join(lines), flush=True)
