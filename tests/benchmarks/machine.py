"""The machine that a run was made on, in a line: figures mean something only beside others of the same run."""

import os
import platform
import shutil
import sqlite3
from importlib import metadata
from pathlib import Path

PACKAGES = ("aiohttp", "pillow", "pyvips")


def described() -> str:
    """Processor, cores, memory, system, and the versions that speed depends on."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    versions += [f"{name} {version}" for name in PACKAGES if (version := _version(name))]
    tools = ", ".join(f"{name} {'yes' if shutil.which(name) else 'no'}" for name in ("wrk", "nginx"))
    return (
        f"{_processor()}, {cores} cores, {memory:.0f} GB, {platform.system()} {platform.release()}; "
        f"{', '.join(versions)}; {tools}; load {os.getloadavg()[0]:.1f} at the start"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("model name", "hardware") and value.strip():
            return value.strip()
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
