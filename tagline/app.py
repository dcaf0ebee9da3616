"""The application: the one ordered list of what it is made of."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from tagline import answers, cors, times
from tagline.accounts import routes as accounts
from tagline.api import JSON_LIMIT
from tagline.changes import HUB, Change, Hub
from tagline.config import CONFIG, Config
from tagline.db import DB, Database, opened
from tagline.jobs import JOBS, Jobs
from tagline.operations import routes as operations
from tagline.photos import routes as photos

# How often to look whether another process (the command line) has written, s.
LOOK_EVERY = 1.0
MOST_TOLD = 1000


def create_app(config: Config) -> web.Application:
    """The service. Its database is migrated already, and its data directory locked for it."""
    app = web.Application(client_max_size=JSON_LIMIT)
    app[CONFIG] = config
    answers.setup(app)
    cors.setup(app, config)
    app.cleanup_ctx.append(_database)
    app.cleanup_ctx.append(_jobs)
    accounts.setup(app)
    if "photos" in config.modules:
        photos.setup(app)
    operations.setup(app)
    app.cleanup_ctx.append(_run_jobs)
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    hub = Hub()
    app[HUB] = hub
    async with opened(app[CONFIG].database, hub.tell) as db:
        app[DB] = db
        newest = await db.row("changes.newest")
        times.set_floor(newest["at"] if newest else 0)
        follower = asyncio.create_task(_follow(db, hub, newest["seq"] if newest else 0))
        yield
        follower.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follower


async def _follow(db: Database, hub: Hub, seq: int) -> None:
    """Tell what other processes wrote: the command line makes keys and queues scans while the service runs."""
    told: set[int] = set()

    def note(changes: list[Change]) -> None:
        told.update(change.seq for change in changes)

    hub.listen(note)
    while True:
        await asyncio.sleep(LOOK_EVERY)
        rows = await db.rows("changes.since", seq=seq, limit=MOST_TOLD)
        others = [Change(*row) for row in rows if row["seq"] not in told]
        if rows:
            seq = rows[-1]["seq"]
            told = {number for number in told if number > seq}
        if others:
            hub.tell(others)


async def _jobs(app: web.Application) -> AsyncIterator[None]:
    jobs = Jobs(app[DB])
    app[JOBS] = jobs
    app[HUB].listen(jobs.noticed)
    yield
    await jobs.close()


async def _run_jobs(app: web.Application) -> AsyncIterator[None]:
    """Last, when every feature has registered its kinds."""
    await app[JOBS].start()
    yield
