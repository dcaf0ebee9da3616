"""Expiring: what nobody went on with is dropped, hour by hour."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tagline.errors import Problem

EXPIRE_EVERY = 3600


@asynccontextmanager
async def hourly(expire: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """While this lasts, do something at once and every hour."""
    expiring = asyncio.create_task(_every_hour(expire))
    try:
        yield
    finally:
        expiring.cancel()
        with suppress(asyncio.CancelledError):
            await expiring


async def _every_hour(expire: Callable[[], Awaitable[object]]) -> None:
    while True:
        # The disk may be away; the next hour is early enough.
        with suppress(Problem, OSError):
            await expire()
        await asyncio.sleep(EXPIRE_EVERY)
