"""Server-sent events (WHATWG HTML §9.2): `EventSource` in a browser, `curl -N` in a shell."""

import asyncio

import msgspec
from aiohttp import web

from tagline.accounts.credentials import CREDENTIALS
from tagline.api import Example, api
from tagline.errors import Problem, Unauthenticated
from tagline.sync.events import EVENTS, Event, Listener
from tagline.sync.lasting import HEARTBEAT_SECONDS, SLOW_SECONDS, bounded, drop, ended_meanwhile

routes = web.RouteTableDef()

HEARTBEAT = b":\n\n"
# After so long a browser comes back by itself, ms.
RETRY = b"retry: 2000\n\n"


class StreamQuery(msgspec.Struct, frozen=True):
    """From where to go on. The header Last-Event-ID, which a browser sends by itself, goes before it."""

    cursor: str | None = None


@routes.get("/sync/events", allow_head=False)
@api(
    headers={"Last-Event-ID": "the cursor to go on from, as the last event's `id` gave it"},
    media="text/event-stream",
    example=Example(query={"cursor": "WyJjaGFuZ2VzIiw0NzExLDE3NTEzOTQxMjMxMjAwMDAsNDcxMV0"}),
)
async def stream_events(request: web.Request, query: StreamQuery) -> web.StreamResponse:
    """What happens, as it happens, as server-sent events.

    `ready` comes first, with a cursor. Then `photo_created`, `photo_updated`, `photo_deleted` with the photo (of a
    deleted one its `id`), each with `id`, the cursor behind it, which `/sync/changes` takes as well; and `job_progress`
    with the job. `reset` comes first where the cursor does not hold any more: begin anew with `/sync/changes`.
    """
    listener = await request.app[EVENTS].listener(request.headers.get("Last-Event-ID") or query.cursor)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            # nginx would keep it back.
            "X-Accel-Buffering": "no",
        }
    )
    with request.app[CREDENTIALS].held(request):
        if await ended_meanwhile(request):
            raise Unauthenticated("Invalid or expired token", headers={"WWW-Authenticate": 'Bearer realm="tagline"'})
        await response.prepare(request)
        bounded(request)
        try:
            await _send(response, RETRY + as_text(listener.first))
            await _tell(response, listener)
        except TimeoutError:
            drop(request)
        except (ConnectionError, Problem):
            # Gone; or the feed cannot be read now: who comes back with the last cursor misses nothing.
            response.force_close()
    return response


async def _tell(response: web.StreamResponse, listener: Listener) -> None:
    while not listener.closed:
        batches = await listener.next(HEARTBEAT_SECONDS)
        for batch in batches:
            for text in batch.formed(as_text):
                await _send(response, text)
        if not batches and not listener.closed:
            await _send(response, HEARTBEAT)


async def _send(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        await response.write(text)


def as_text(event: Event) -> bytes:
    """An event on the wire. Its JSON has no line feed."""
    head = f"event: {event.name}\n" if event.cursor is None else f"id: {event.cursor}\nevent: {event.name}\n"
    return b"".join((head.encode(), b"data: ", event.data, b"\n\n"))
