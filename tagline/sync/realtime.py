"""Realtime: the three ways to hear of what happens, on one app."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from aiohttp import web

from tagline.api import mount
from tagline.changes import HUB
from tagline.db import DB
from tagline.jobs import JOBS
from tagline.sync import announcing, sse
from tagline.sync.events import EVENTS, Events
from tagline.sync.feed import FEED
from tagline.sync.websocket import UNKNOWN, send_unknown_away, websocket

if TYPE_CHECKING:
    from tagline.sync.sockets import Sockets


class SocketIO:
    """Socket.IO, loaded when somebody asks for it first."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._loading = asyncio.Lock()
        self._sockets: Sockets | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A request to `/socket.io/`."""
        async with self._loading:
            if self._sockets is None:
                self._sockets = (await asyncio.to_thread(_sockets))(self._app)
        return await self._sockets.handle(request)

    async def close(self) -> None:
        """End all its clients."""
        if self._sockets:
            await self._sockets.close()


def _sockets() -> "type[Sockets]":
    # 0.1 s of import and 14 MB, only where somebody uses it.
    from tagline.sync.sockets import Sockets

    return Sockets


async def socket_io(request: web.Request) -> web.StreamResponse:
    """Socket.IO, by polling and by WebSocket. Its clients say who they are in their handshake."""
    return await request.app[SOCKET_IO].handle(request)


async def _realtime(app: web.Application) -> AsyncIterator[None]:
    events = Events(app[DB], app[FEED])
    app[EVENTS] = events
    app[SOCKET_IO] = SocketIO(app)
    app[HUB].listen(events.noticed)
    app[JOBS].listen(events.progress.heard)
    yield


async def _end(app: web.Application) -> None:
    """Requests that last would keep the service from ending."""
    await app[EVENTS].close()
    await asyncio.gather(app[SOCKET_IO].close(), send_unknown_away(app))


def setup(app: web.Application) -> None:
    """Behind the feed, which this reads. The announcement is set up here as well."""
    app[UNKNOWN] = set()
    app.cleanup_ctx.append(_realtime)
    app.on_shutdown.append(_end)
    mount(app, sse.routes, ("/api", "/api/v1"), invalid=400)
    for path in ("/ws/sync", "/api/ws/sync"):
        app.router.add_get(path, websocket, allow_head=False)
    app.router.add_get("/socket.io/", socket_io, allow_head=False)
    app.router.add_post("/socket.io/", socket_io)
    announcing.setup(app)


SOCKET_IO = web.AppKey("socket_io", SocketIO)
