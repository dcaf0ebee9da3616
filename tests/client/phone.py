"""The command `tagline sync` as people run it, with a home of its own."""

import asyncio
import hashlib
import io
import os
import random
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
from PIL import Image

from tagline.__main__ import read
from tagline.commands.sync import run
from tests.robustness.service import ROOT


class Ran(msgspec.Struct):
    """How a run ended, and what it said."""

    status: int | None
    out: str
    err: str


class Phone:
    """A computer with a folder of photos."""

    def __init__(self, folder: Path, home: Path, key: str = "") -> None:
        self.folder = folder
        self.home = home
        self.key = key
        folder.mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """Its environment: this process's own, without what others have set in it."""
        foreign = ("TAGLINE_", "XDG_", "SYNC_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**own, "HOME": str(self.home), "PYTHONPATH": str(ROOT), **({"SYNC_KEY": self.key} if self.key else {})}

    def command(self, server: str, *arguments: str) -> list[str]:
        """What people type."""
        return ["sync", str(self.folder), "--server", server, *arguments]

    async def sync(self, server: str, *arguments: str) -> Ran:
        """A whole run, in this process; one at a time, since what it says is caught."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                options = read(self.command(server, *arguments))
                status = await run(options, self.environ)
            except SystemExit as end:
                status = int(end.code or 0)
        return Ran(status, out.getvalue(), err.getvalue())

    async def start(
        self, server: str, *arguments: str, before: tuple[str, ...] = (), terminal: int | None = None
    ) -> asyncio.subprocess.Process:
        """Begin a run as a process of its own.

        `before` are Python's own arguments, `terminal` is one to show the progress on.
        """
        return await asyncio.create_subprocess_exec(
            sys.executable, *before, "-W", "error", "-m", "tagline", *self.command(server, *arguments),
            env=self.environ, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE if terminal is None else terminal,
        )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """Wait for the end of a run."""
    out, err = await process.communicate()
    return Ran(process.returncode, out.decode(), err.decode())


def picture(path: Path, seed: int, size: int = 0) -> Path:
    """A small JPEG unlike any of another seed; bytes behind its end make it as large as `size`."""
    dice = random.Random(seed)
    out = io.BytesIO()
    Image.frombytes("RGB", (8, 8), dice.randbytes(192)).save(out, "JPEG", quality=95)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue() + dice.randbytes(max(0, size - out.tell())))
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def visible(library: Path) -> list[Path]:
    """Every file of a library that people see."""
    return sorted(
        path
        for path in library.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(library).parts)
    )
