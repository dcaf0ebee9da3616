"""The application: the one ordered list of what it is made of."""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from tagline import answers, cors, times
from tagline.accounts import routes as accounts
from tagline.api import JSON_LIMIT
from tagline.changes import HUB, Change, Hub
from tagline.config import CONFIG, Config
from tagline.db import DB, Database, Row, opened
from tagline.errors import Problem
from tagline.jobs import JOBS, Jobs
from tagline.operations import routes as operations
from tagline.photos import routes as photos
from tagline.sync import realtime
from tagline.sync import routes as sync
from tagline.uploads import routes as uploads

log = logging.getLogger(__name__)

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
        if "uploads" in config.modules:
            uploads.setup(app)
    if "sync" in config.modules:
        sync.setup(app)
        realtime.setup(app)
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
        await asyncio.gather(follower, return_exceptions=True)


async def _follow(db: Database, hub: Hub, seq: int) -> None:
    """Tell what other processes wrote: the command line makes keys and queues scans while the service runs."""
    rows: list[Row] = []
    while True:
        # A scan writes more than one look takes in: then there is no pause.
        await asyncio.sleep(0 if len(rows) == MOST_TOLD else LOOK_EVERY)
        try:
            rows = await db.rows("changes.since", seq=seq, limit=MOST_TOLD)
        except Problem as problem:
            log.warning("what other processes wrote cannot be read now: %s", problem.detail)
            rows = []
            continue
        if rows:
            hub.tell([Change(*row) for row in rows])
            # What this look found may be on its way from our own writer still; what the last one found has come.
            hub.passed(seq)
            seq = rows[-1]["seq"]


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
