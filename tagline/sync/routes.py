"""Routes of the change feed, and of edits made offline. HTTP only."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from aiohttp import web

from tagline.accounts.credentials import CREDENTIALS
from tagline.api import Example, Json, api, identity, mount
from tagline.changes import HUB, Action
from tagline.db import DB
from tagline.photos.lines import Author
from tagline.photos.photo import EXAMPLE, Photo
from tagline.sync import edits
from tagline.sync.cursors import Point
from tagline.sync.edits import EDIT_EXAMPLE, RESULT_EXAMPLE, EditResults, OfflineEdits
from tagline.sync.feed import FEED, MOST_CHANGES, Feed, Page

routes = web.RouteTableDef()

# Below this a packet more or less is not worth the time.
LEAST_COMPRESSED = 2048
_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.I)

_CHANGE = {
    "seq": 4711, "entity": "photo", "entity_id": EXAMPLE["id"], "action": "update", "version": 3,
    "at": "2025-07-01T18:22:03.120000Z", "by": {"id": "0f4e…", "name": "Ana"}, "device": "Ana's phone",
    "data": EXAMPLE,
}  # fmt: skip
_CURSOR = "WyJjaGFuZ2VzIiw0NzExLDE3NTEzOTQxMjMxMjAwMDAsNDcxMV0"


class FeedQuery(msgspec.Struct, frozen=True):
    """From where to go on, how many changes at most, and how long to wait for the first one, in seconds."""

    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_CHANGES)] = MOST_CHANGES
    wait: Annotated[int, msgspec.Meta(ge=0, le=60)] = 0


class FeedChange(msgspec.Struct):
    """A thing that changed, at its newest change. `data` is what it is now, null once it is deleted; `by` is null where
    the service itself did it (a scan). `action` is `create` for what the client cannot know yet."""

    seq: int
    entity: str
    entity_id: str
    action: Action
    version: int
    at: str
    by: Author | None
    device: str
    data: Photo | None


class FeedPage(msgspec.Struct):
    """Changes in order. Go on at `cursor`; at once if `has_more`, else when you like, or with `wait`."""

    changes: list[FeedChange]
    cursor: str
    has_more: bool


@routes.get("/sync/changes")
@api(
    headers={"Accept-Encoding": "gzip, for a fifth of the bytes"},
    errors=(400, 410),
    example=Example(
        query={"limit": 1000, "wait": 30}, answer={"changes": [_CHANGE], "cursor": _CURSOR, "has_more": False}
    ),
)
async def list_changes(request: web.Request, query: FeedQuery) -> Json[FeedPage] | web.Response:
    """What has changed since a cursor, each thing once, as it is now.

    Without a cursor: everything there is, in pages, then what has changed since the first of them. A cursor that the
    server knows nothing of any more (it was put back from a copy) answers 410: start anew without one.
    """
    feed = request.app[FEED]
    with request.app[CREDENTIALS].held(request):
        page = await _changes(feed, query)
    return _compressed(request, page.json)


async def _changes(feed: Feed, query: FeedQuery) -> Page:
    """A page, or the first that is not empty within the time that the client waits."""
    cursor = await feed.resume(query.cursor) if query.cursor else await feed.begin()
    page = await feed.page(cursor, query.limit)
    clock = asyncio.get_running_loop()
    until = clock.time() + query.wait
    while query.wait and isinstance(cursor, Point) and not page.changes:
        cursor = page.cursor
        if not await feed.beyond(cursor.seq, until - clock.time()):
            break
        page = await feed.page(cursor, query.limit)
    return page


def _compressed(request: web.Request, body: bytes) -> web.Response:
    """JSON with gzip where the client takes that; a large body is compressed in a thread."""
    response = web.Response(
        body=body, content_type="application/json", charset="utf-8", headers={"Vary": "Accept-Encoding"}
    )
    if len(body) >= LEAST_COMPRESSED and _GZIP.search(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)
    return response


@routes.post("/sync/edits")
@api(
    scope="write",
    errors=(400,),
    example=Example(body={"edits": [EDIT_EXAMPLE]}, answer={"results": [RESULT_EXAMPLE]}),
)
async def send_edits(request: web.Request, body: OfflineEdits) -> Json[EditResults]:
    """Edits made offline, each merged with what happened meanwhile.

    `applied`: nothing did. `merged`: something did, and this went in beside it. `conflict`: both wrote another line;
    the one that was here first stays the current one, and this one is in the history. An edit that is sent again gets
    its first answer again.
    """
    results = await edits.merge(request.app[DB], identity(request), body.edits)
    return Json(msgspec.json.encode({"results": results}))


async def _feed(app: web.Application) -> AsyncIterator[None]:
    newest = await app[DB].row("changes.newest")
    feed = Feed(app[DB], newest["seq"] if newest else 0)
    app[FEED] = feed
    app[HUB].listen(feed.noticed)
    yield


def setup(app: web.Application) -> None:
    """The feed, and its routes."""
    app.cleanup_ctx.append(_feed)
    app.on_shutdown.append(_let_go)
    mount(app, routes, ("/api", "/api/v1"), invalid=400)


async def _let_go(app: web.Application) -> None:
    app[FEED].close()
