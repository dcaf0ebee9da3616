"""`tagline sync`: back a folder of photos up to a Tagline server, from any computer."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

from aiohttp import ClientSession
from tqdm import tqdm
from yarl import URL

from tagline.client import credentials
from tagline.client.folder import LocalFile
from tagline.client.memory import Busy, remembered
from tagline.client.sending import Sending, Summary
from tagline.client.server import (
    Credentials,
    Misdirected,
    Nobody,
    Refused,
    Server,
    Unreachable,
    address_of,
    connections,
)

DONE, INCOMPLETE, USAGE, INTERRUPTED = 0, 1, 2, 130

# Without a terminal a line tells how far it is, so often, s.
TELL_EVERY = 30.0
MOST_OTHERS = 5

NO_CREDENTIALS = """\
The server does not know this computer yet. Do one of these:
  --pair CODE      with a code, or its link, that somebody who is signed in has asked for (POST /api/auth/pair); once
  --key-file FILE  with a file that holds an API key of scope `upload`: tagline key add NAME --scope upload
  SYNC_KEY=…       the same key in the environment"""


class Wrong(Exception):
    """The command cannot be done as it was given; the text says why."""


def sync(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Send a folder; gives the exit status: 0 all is there, 1 some is not, 2 wrong usage, 130 interrupted."""

    async def until_interrupted() -> int:
        _end_by_signals()
        return await run(options, environ)

    try:
        return asyncio.run(until_interrupted())
    except asyncio.CancelledError:
        return INTERRUPTED


async def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The same in a loop that runs already."""
    try:
        return await _sync(options, environ)
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return USAGE
    except (Misdirected, Refused) as error:
        print(error, file=sys.stderr)
    except Unreachable as error:
        print(
            f"The server at {options.server} cannot be reached: {error}. Is it running, and is this computer in the "
            "same network?",
            file=sys.stderr,
        )
    except Busy:
        print("Another run is sending this folder to this server already.", file=sys.stderr)
    return INCOMPLETE


async def _sync(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    folder = _folder(options.folder)
    try:
        address = address_of(options.server)
    except Misdirected as error:
        raise Wrong(str(error)) from error
    state = _state(environ)
    async with connections(Path(options.ca) if options.ca else None) as http:
        server = Server(http, address, Nobody())
        await server.greet()
        server.credentials = await _credentials(options, environ, state, http, address)
        with remembered(state, folder, _name(address)) as memory, Bar(not options.quiet) as bar:
            sending = Sending(
                server, folder, memory, bar, parallel=options.parallel, patience=options.patience, dry=options.dry_run
            )
            interrupted = False
            try:
                await sending.run()
            except asyncio.CancelledError:
                interrupted = True
    tell(sending.summary, options.quiet)
    if interrupted:
        print("Interrupted. Run the same command again: it goes on where it was.", file=sys.stderr)
        return INTERRUPTED
    return DONE if sending.summary.complete else INCOMPLETE


def _folder(name: str) -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise Wrong(f"{name} is no folder.")
    return folder


def _end_by_signals() -> None:
    """Ctrl-C and SIGTERM end the run in good order."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)


def _state(environ: Mapping[str, str]) -> Path:
    """XDG Base Directory Specification: what should survive between two runs."""
    configured = environ.get("XDG_STATE_HOME", "")
    base = (
        Path(configured)
        if configured.startswith("/")
        else Path(environ.get("HOME") or "~").expanduser() / ".local/state"
    )
    return base / "tagline"


async def _credentials(
    options: argparse.Namespace, environ: Mapping[str, str], state: Path, http: ClientSession, address: URL
) -> Credentials:
    """Those that were given, or the session that is remembered; raises Wrong, Refused."""
    if options.key_file:
        return _key(_read(options.key_file), options.key_file)
    path = credentials.session_file(state, _name(address))
    if options.pair:
        return await credentials.paired(Server(http, address, Nobody()), options.pair, path)
    if "SYNC_KEY" in environ:
        return _key(environ["SYNC_KEY"].strip(), "SYNC_KEY")
    tokens = credentials.load(path)
    if tokens is None:
        raise Wrong(NO_CREDENTIALS)
    return credentials.Session(path, tokens)


def _read(file: str) -> str:
    try:
        return Path(file).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"{file} cannot be read: {error}") from error


def _key(key: str, where: str) -> Credentials:
    if not key.isascii() or not key.isprintable() or not key or " " in key:
        raise Wrong(f"{where} holds no API key; one looks like tgl_… and is a single line.")
    return credentials.Key(key)


def _name(address: URL) -> str:
    """What a server is remembered as."""
    return f"{address.host}:{address.port}{address.path.rstrip('/')}"


class Bar:
    """Bytes and files so far: a bar on a terminal, otherwise a line now and then."""

    def __init__(self, shown: bool) -> None:
        self._on_terminal = shown and sys.stderr.isatty()
        self._lines = shown and not self._on_terminal
        self._bar = tqdm(
            desc="Sending", total=0, unit="B", unit_scale=True, dynamic_ncols=True, disable=not self._on_terminal
        )
        self._files = self._of = 0
        self._bytes = self._of_bytes = 0
        self._told = monotonic()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def wanted(self, size: int) -> None:
        """A file is going to be sent."""
        self._of += 1
        self._grow(size)

    def moved(self, size: int) -> None:
        """So much more is there."""
        self._bytes += size
        if self._on_terminal:
            self._bar.update(size)

    def done(self, file: LocalFile, left: int) -> None:
        """A file is through."""
        self._files += 1
        self._grow(-left)
        if self._on_terminal:
            self._bar.set_postfix_str(f"{self._files}/{self._of} files", refresh=False)
        elif self._lines and monotonic() - self._told >= TELL_EVERY:
            self._told = monotonic()
            print(
                f"{self._files:,} of {self._of:,} files, {size_of(self._bytes)} of {size_of(self._of_bytes)}",
                flush=True,
            )

    def _grow(self, size: int) -> None:
        self._of_bytes += size
        if self._on_terminal:
            self._bar.total = self._of_bytes


def tell(summary: Summary, quiet: bool) -> None:
    """Say what a run did: numbers on standard output, what went wrong on standard error."""
    for problem in summary.problems:
        print(f"{problem.path}: {problem.why}", file=sys.stderr)
    if summary.failed > len(summary.problems):
        print(f"… and {summary.failed - len(summary.problems):,} more", file=sys.stderr)
    if summary.ended:
        print(summary.ended, file=sys.stderr)
    if quiet:
        return
    with suppress(BrokenPipeError):
        print(numbers(summary), flush=True)
        if summary.others:
            some = ", ".join(summary.some_others[:MOST_OTHERS])
            more = ", …" if summary.others > MOST_OTHERS else ""
            print(f"{summary.others:,} {'is' if summary.others == 1 else 'are'} no photo or video: {some}{more}")
        if summary.pending:
            print("The server still reads its own files; run the command again later for those that wait for it.")


def numbers(summary: Summary) -> str:
    """One line: what there was of everything that there was."""
    copies = "copy of another" if summary.copies == 1 else "copies of others"
    counts = {
        "there already": summary.here, "would be sent": summary.would, "sent": summary.sent,
        copies: summary.copies, "deleted on the server": summary.deleted,
        "waiting for the server": summary.pending, "changed meanwhile": summary.altered, "failed": summary.failed,
        "not sent": summary.unsent,
    }  # fmt: skip
    told = [f"{count:,} {name}" for name, count in counts.items() if count]
    if summary.resumed:
        at = told.index(f"{summary.sent:,} sent")
        told[at] += f" ({summary.resumed:,} resumed)"
    nothing = "nothing sent" if summary.ended else "nothing there"
    return f"{', '.join(told) or nothing}; {size_of(summary.bytes)} in {summary.seconds:.1f} s"


def size_of(size: int) -> str:
    """Bytes for people."""
    number = float(size)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
