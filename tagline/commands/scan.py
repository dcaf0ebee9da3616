"""`tagline scan`: a scan with a progress bar; by the service where it runs, else by this process."""

import asyncio
import sys
from dataclasses import replace

import msgspec
from aiohttp import web
from tqdm import tqdm

from tagline import jobs, logs
from tagline.app import create_app
from tagline.changes import SERVICE
from tagline.commands.serve import Locked, Refused, data_directory, prepare
from tagline.config import Config
from tagline.db import DB, Database, opened
from tagline.photos.scan import ScanResult

POLL_SECONDS = 0.2


def scan(config: Config, accept_missing: bool) -> int:
    """Scan the library; gives the exit status: 0, or 1 when the scan failed or warns."""
    if "photos" not in config.modules:
        raise Refused("The module photos is off (TAGLINE_MODULES); there is nothing to scan.")
    logs.configure(replace(config, log_level="error"))
    try:
        with data_directory(config):
            prepare(config)
            return asyncio.run(_by_ourselves(config, accept_missing))
    except Locked:
        return asyncio.run(_by_the_service(config, accept_missing))


async def _by_ourselves(config: Config, accept_missing: bool) -> int:
    # Sign-ins are the service's: this process may have been given another password than it, or none.
    app = create_app(replace(config, scan_at_start=False, watch=False, backend_password=None))
    runner = web.AppRunner(app)
    try:
        await runner.setup()
        return await _scan(config, app[DB], accept_missing)
    finally:
        await runner.cleanup()


async def _by_the_service(config: Config, accept_missing: bool) -> int:
    """The service notices the job in the table."""
    async with opened(config.database) as db:
        return await _scan(config, db, accept_missing)


async def _scan(config: Config, db: Database, accept_missing: bool) -> int:
    print(f"Library: {config.data_dir}", file=sys.stderr)
    payload = {"accept_missing": True} if accept_missing else {}
    job = await _follow(db, await db.write(jobs.add, "scan", payload, SERVICE), "Scanning")
    if job.state != "succeeded":
        print(f"The scan {job.state}: {job.error or 'no reason given'}", file=sys.stderr)
        return 1
    result = msgspec.json.decode(bytes(job.result), type=ScanResult)
    _summary(result)
    digest = await db.value("jobs.open", kind="digest")
    if digest:
        await _follow(db, digest, "Reading new photos")
    return 0 if result.status == "ok" else 1


async def _follow(db: Database, job_id: str, title: str) -> jobs.Job:
    """Show a job's progress until it ends."""
    with tqdm(desc=title, unit=" files", disable=not sys.stderr.isatty()) as bar:
        while True:
            job = await jobs.get(db, job_id)
            bar.total = job.total
            bar.n = job.done
            bar.set_postfix_str(job.message)
            if job.state not in ("queued", "running"):
                return job
            await asyncio.sleep(POLL_SECONDS)


def _summary(result: ScanResult) -> None:
    copies = "copy" if result.duplicates == 1 else "copies"
    counts = {
        "imported": result.imported_count, "updated": result.updated, "moved": result.moved,
        "found again": result.found, copies: result.duplicates, "missing": result.missing,
        "unchanged": result.unchanged, "skipped": result.skipped,
    }  # fmt: skip
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing there"
    print(f"{told} ({result.duration_s:.1f} s)")
    for error in result.errors:
        print(f"  {error.path}: {error.detail} ({error.code})")
    if result.error_count > len(result.errors):
        print(f"  … and {result.error_count - len(result.errors)} more")
    if result.warning:
        print(f"Warning: {result.warning}", file=sys.stderr)
