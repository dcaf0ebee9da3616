"""Health: what works, what is worn, and what does not."""

import asyncio
import shutil
import time
from typing import Literal

import msgspec

from tagline import __version__, times
from tagline.config import Config
from tagline.db import Database
from tagline.errors import Problem
from tagline.storage.provider import Storage

Status = Literal["healthy", "degraded", "unhealthy"]
STARTED = time.monotonic()
DAY = 24 * 3600 * 1_000_000


class Check(msgspec.Struct):
    """One thing that was looked at, and what to do about it if it is not healthy."""

    status: Status
    detail: str


class Health(msgspec.Struct, omit_defaults=True):
    """The whole: `unhealthy` where the database is, `degraded` if anything is not as it should be.

    Without credentials, the status alone.
    """

    status: Status
    version: str | None = None
    uptime_s: float | None = None
    checks: dict[str, Check] | None = None


async def health(config: Config, db: Database, storage: Storage | None, doubt: str | None = None) -> Health:
    """Look at everything, now. `doubt`: why the last scan did not believe what it saw in the library."""
    checks = {
        "database": await _database(db),
        "disk": await asyncio.to_thread(_disk, config),
        "jobs": await _jobs(db),
    }
    if storage is not None:
        checks["storage"] = await _storage(storage, doubt)
    states = {check.status for check in checks.values()}
    overall: Status = (
        "unhealthy" if checks["database"].status == "unhealthy" else "healthy" if states == {"healthy"} else "degraded"
    )
    return Health(overall, __version__, round(time.monotonic() - STARTED, 1), checks)


async def _database(db: Database) -> Check:
    try:
        await db.row("changes.newest")
    except Problem as problem:
        return Check("unhealthy", problem.detail)
    return Check("healthy", "answers")


def _disk(config: Config) -> Check:
    try:
        free = shutil.disk_usage(config.data_dir).free
    except OSError as error:
        return Check("unhealthy", f"The data directory cannot be looked at: {error.strerror}")
    megabytes = f"{free >> 20} MB free"
    if free < config.reserve_mb << 20:
        return Check("degraded", f"{megabytes}; free some space, thumbnails and uploads wait for it")
    return Check("healthy", megabytes)


async def _storage(storage: Storage, doubt: str | None) -> Check:
    if not await storage.present():
        return Check("degraded", "The library's folder is away; is its disk plugged in and mounted?")
    if doubt:
        return Check("degraded", doubt)
    return Check("healthy", "there, and can be written" if storage.writable else "there, read-only")


async def _jobs(db: Database) -> Check:
    try:
        dead = await db.value("jobs.dead", since=times.now() - DAY)
    except Problem as problem:
        return Check("degraded", problem.detail)
    if dead:
        return Check("degraded", f"{dead} jobs failed today; GET /api/jobs tells why")
    return Check("healthy", "none failed today")
