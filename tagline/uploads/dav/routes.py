"""Routes of WebDAV: every method at every address below `/dav/`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tagline.accounts.credentials import CREDENTIALS
from tagline.api import Scope, api, mount
from tagline.config import CONFIG
from tagline.db import DB
from tagline.errors import BadRequest, Conflict, Denied, NotAllowed, PreconditionFailed, UnsupportedMedia
from tagline.jobs import JOBS
from tagline.photos.looking import LOOKING
from tagline.storage.provider import STORAGE
from tagline.streaming import SMALL, send_file
from tagline.uploads.dav import moving, places, properties, receiving, removing, transfer, xml
from tagline.uploads.dav.library import Library, stamp
from tagline.uploads.dav.locks import LONGEST_OWNER, Locked, seconds_of
from tagline.uploads.dav.properties import Answering, Attached
from tagline.uploads.dav.scratch import Scratch
from tagline.uploads.dav.share import SHARE, Asked, Share, asked, check_conditions, check_hidden
from tagline.uploads.dav.tree import Node, tag_of
from tagline.uploads.dav.xml import DAV
from tagline.uploads.expecting import hold_back
from tagline.uploads.expiring import hourly
from tagline.uploads.parts import INCOMING
from tagline.uploads.sending import GATE

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

routes = web.RouteTableDef()

ALLOWED = "OPTIONS, PROPFIND, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, LOCK, UNLOCK, PROPPATCH"
_SCOPES = ({"exclusive"}, {"shared"})
# What is stored may be anything: a browser is to run nothing of it with this server's rights.
_HARMLESS = {"Cache-Control": "private, no-cache", "Content-Security-Policy": "default-src 'none'; sandbox"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def on(method: str, scope: Scope, **options: Any) -> Callable[[Handler], Handler]:
    """Declare what answers a method, at the library itself and at all below it."""

    def decorate(handler: Handler) -> Handler:
        handle = api(scope=scope)(handler)
        for path in ("", "/{path:.*}"):
            routes.route(method, path, **options)(handle)
        return handler

    return decorate


@on("OPTIONS", "read")
async def get_options(request: web.Request) -> web.StreamResponse:
    """What this server can do: WebDAV of the classes 1 and 2."""
    return web.Response(headers={"DAV": "1, 2", "Allow": ALLOWED, "MS-Author-Via": "DAV"})


@on("GET", "read")
async def get_file(request: web.Request) -> web.StreamResponse:
    """A file, or a page that lists a folder for people who come with a browser."""
    this = await asked(request)
    node, share = this.there, this.share
    if node.entry is None:
        return await _listed(request, this)
    if node.apart:
        opened = await share.scratch.read(this.key)
    else:
        opened = await share.storage.open(this.key, prefetch=SMALL)
    with request.app[CREDENTIALS].held(request):
        return await send_file(
            request, opened, etag=tag_of(opened.entry), content_type=node.kind,
            last_modified=opened.entry.mtime_ns / 1e9, headers=_HARMLESS,
        )  # fmt: skip


async def _listed(request: web.Request, this: Asked) -> web.StreamResponse:
    page = web.StreamResponse(headers={**_HARMLESS, "Content-Type": "text/html; charset=utf-8"})
    await page.prepare(request)
    if request.method == "HEAD":
        return page
    title = escape(places.name_of(this.key) or "Tagline")
    await page.write(f'<!doctype html><html lang="en"><title>{title}</title><h1>{title}</h1><ul>'.encode())
    async for nodes in this.share.tree.children(this.key):
        items = [(places.address(node.key, folder=not node.entry), places.name_of(node.key)) for node in nodes]
        lines = [f'<li><a href="{escape(address)}">{escape(name)}</a></li>' for address, name in items]
        await page.write("".join(lines).encode())
    await page.write(b"</ul></html>\n")
    return page


@on("PROPFIND", "read")
async def find_properties(request: web.Request) -> web.StreamResponse:
    """Properties of a file or folder and, with `Depth: 1`, of what is in the folder."""
    this = await asked(request)
    depth = _depth(request)
    if depth not in ("0", "1", "infinity"):
        raise BadRequest("Depth is 0, 1 or infinity.")
    if depth == "infinity":
        raise Denied(
            "Ask for one folder at a time, with Depth: 1.", code="propfind_finite_depth",
            precondition="propfind-finite-depth",
        )  # fmt: skip
    wanted = properties.wanted(await xml.body_of(request))
    node, share = this.there, this.share
    rows = await share.db.rows("dav.properties", path=this.key)
    deep = depth == "1" and node.entry is None
    if deep:
        rows += await share.db.rows("dav.properties_of_children", **places.bounds(this.key))
    quota = None
    if wanted.asks_for_quota:
        quota = await properties.quota(share.storage, request.app[CONFIG].reserve_mb << 20)
    answering = Answering(wanted, Attached(rows), share.locks, quota)
    first = answering.response(node)
    if not deep:
        return xml.multistatus([first])
    answer = web.StreamResponse(status=207, headers={"Content-Type": xml.TYPE})
    children = share.tree.children(this.key)
    # What the storage has against it is told before anything is sent.
    nodes: list[Node] | None = await anext(children, None)
    await answer.prepare(request)
    await answer.write((xml.HEAD + first).encode())
    while nodes is not None:
        await answer.write("".join(map(answering.response, nodes)).encode())
        nodes = await anext(children, None)
        await asyncio.sleep(0)
    await answer.write(xml.END.encode())
    return answer


@on("PROPPATCH", "write")
async def change_properties(request: web.Request) -> web.StreamResponse:
    """Attach properties to a file or folder, or take them away: all that are named, or none."""
    this = await asked(request)
    instructions = properties.patches(await xml.body_of(request))
    node = this.there
    this.check_locks(this.key, member=False)
    parts = await properties.patch(this.share.db, this.key, instructions)
    return xml.multistatus([xml.response(places.address(this.key, folder=node.entry is None), *parts)])


@on("PUT", "upload", expect_handler=hold_back)
async def put_file(request: web.Request) -> web.StreamResponse:
    """Store a file. If it is a photo, it is one of the library once this is answered."""
    this = await asked(request)
    with request.app[CREDENTIALS].held(request):
        entry = await receiving.receive(request, this, ALLOWED)
    headers = {"ETag": f'"{tag_of(entry)}"'}
    if "X-OC-Mtime" in request.headers:
        headers["X-OC-Mtime"] = "accepted"
    return web.Response(status=204 if this.node else 201, headers=headers)


@on("MKCOL", "upload")
async def make_folder(request: web.Request) -> web.StreamResponse:
    """Make a folder."""
    this = await asked(request)
    if request.can_read_body:
        raise UnsupportedMedia("MKCOL takes no body here.")
    if this.node:
        raise NotAllowed("There is something at this address already.", headers={"Allow": ALLOWED})
    check_hidden(this.key)
    share, key = this.share, this.key
    share.gate.accepting.check_writable()
    await this.check_parent(key)
    this.check_locks(key, member=True)
    async with share.alone(key):
        await asyncio.shield(_make_folder(this))
    return web.Response(status=201)


async def _make_folder(this: Asked) -> None:
    share, key = this.share, this.key
    if await share.tree.folder(key):
        # All that is in it is in the trash.
        await share.db.write(removing.mark_made, key)
        return
    await moving.make_free(share.library, share.tree, this.who, key)
    await moving.make_folder(share.library, key)


@on("DELETE", "upload")
async def delete(request: web.Request) -> web.StreamResponse:
    """Put a photo, or all that is in a folder, into the trash; a file that is no photo goes out of sight."""
    this = await asked(request)
    node, share, key = this.there, this.share, this.key
    if not key:
        raise Denied("The library itself cannot be deleted.")
    this.need(node)
    if this.is_folder and _depth(request) != "infinity":
        raise BadRequest("A folder is deleted with all that is in it: Depth is infinity.")
    check_conditions(request, node)
    share.gate.accepting.check_writable()
    try:
        this.check_locks(key, member=True, deep=this.is_folder)
    except Locked as locked:
        return _of_a_member(locked, key)
    if node.apart:
        await share.scratch.drop(key)
        hidden = await share.tree.at(key)
        this.need(hidden)
        node = hidden or node
    if not node.apart:
        await asyncio.shield(_delete(this, node))
    share.locks.end_below(key)
    return web.Response(status=204)


async def _delete(this: Asked, node: Node) -> None:
    share, key = this.share, this.key
    if node.entry:
        await removing.remove_file(share.library, this.who, node.entry, stamp())
    else:
        await share.scratch.drop_below(key)
        await removing.remove_folder(share.library, share.tree, this.who, key)


@on("MOVE", "upload")
async def move(request: web.Request) -> web.StreamResponse:
    """Give a file or folder another name or place. Photos keep their id, line and history."""
    this = await asked(request)
    if this.is_folder and _depth(request) != "infinity":
        raise BadRequest("A folder moves with all that is in it: Depth is infinity.")
    try:
        wanted = await transfer.read(request, this, moves=True)
    except Locked as locked:
        return _of_a_member(locked, this.key)
    await transfer.move(wanted)
    return web.Response(status=204 if wanted.there else 201)


@on("COPY", "write")
async def copy(request: web.Request) -> web.StreamResponse:
    """Copy a file, or a folder with what is in it. A copy of a photo is another path of the same photo."""
    this = await asked(request)
    depth = _depth(request)
    if depth not in ("0", "infinity"):
        raise BadRequest("Depth is 0 or infinity.")
    try:
        wanted = await transfer.read(request, this, moves=False)
    except Locked as locked:
        return _of_a_member(locked, this.key)
    await transfer.copy(wanted, deep=depth == "infinity")
    return web.Response(status=204 if wanted.there else 201)


def _depth(request: web.Request) -> str:
    return request.headers.get("Depth", "infinity").strip().lower()


def _of_a_member(locked: Locked, key: str) -> web.StreamResponse:
    """207 where it is something in the folder that is locked (RFC 4918 §9.6.1); raises where it is not."""
    if not locked.key.startswith(places.folder_key(key)):
        raise locked
    return xml.multistatus([xml.response(places.address(locked.key, folder=False), xml.status_line(423))])


@on("LOCK", "upload")
async def lock(request: web.Request) -> web.StreamResponse:
    """Lock a file or folder, for an hour at most; without a body, begin the time of a lock anew."""
    this = await asked(request)
    this.need(this.node)
    seconds = seconds_of(request.headers.get("Timeout"))
    root = await xml.body_of(request)
    if root is None:
        return _refreshed(this, seconds)
    deep, exclusive, owner = _lock_info(root, _depth(request))
    share, key = this.share, this.key
    if this.node is None:
        share.gate.accepting.check_writable()
        await this.check_parent(key)
        this.check_locks(places.above(key), member=False)
    check_conditions(request, this.node)
    if (blocking := share.locks.blocking(key, deep=deep, exclusive=exclusive)) and all(
        each.key.startswith(places.folder_key(key)) and each.key != key for each in blocking
    ):
        # RFC 4918 §9.10.9: which of those below is in the way.
        responses = [xml.response(places.address(each.key, folder=False), xml.status_line(423)) for each in blocking]
        return xml.multistatus([*responses, xml.response(places.address(key, folder=True), xml.status_line(424))])
    made = share.locks.add(
        key, deep=deep, exclusive=exclusive, owner=owner, user_id=this.who.user_id, seconds=seconds
    )  # fmt: skip
    if this.node is None:
        try:
            await share.scratch.put_empty(key)
        except BaseException:
            share.locks.end(made.token)
            raise
    headers = {"Lock-Token": f"<{made.token}>", "Content-Type": xml.TYPE}
    return web.Response(status=200 if this.node else 201, text=_discovered(made.described()), headers=headers)


def _lock_info(root: "Element", depth: str) -> tuple[bool, bool, str]:
    """What a lock is to be: deep, exclusive, and whose, in XML; raises BadRequest."""
    scopes = {xml.name(scope)[1] for part in root if xml.name(part) == (DAV, "lockscope") for scope in part}
    if xml.name(root) != (DAV, "lockinfo") or depth not in ("0", "infinity") or scopes not in _SCOPES:
        raise BadRequest("The body is a lockinfo with a scope, and Depth is 0 or infinity.")
    owner = "".join(xml.written(part) for part in root if xml.name(part) == (DAV, "owner"))
    if len(owner) > LONGEST_OWNER:
        raise BadRequest("The owner of a lock is told in fewer words here.")
    return depth == "infinity", scopes == {"exclusive"}, owner


def _refreshed(this: Asked, seconds: int) -> web.StreamResponse:
    locks = [each for each in this.share.locks.on(this.key) if each.token in this.tokens]
    if not locks or locks[0].user_id != this.who.user_id:
        raise PreconditionFailed("To refresh a lock, name its token in If.")
    this.share.locks.refresh(locks[0], seconds)
    return web.Response(text=_discovered(locks[0].described()), headers={"Content-Type": xml.TYPE})


def _discovered(described: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<D:prop xmlns:D="DAV:"><D:lockdiscovery>{described}</D:lockdiscovery></D:prop>\n'
    )


@on("UNLOCK", "upload")
async def unlock(request: web.Request) -> web.StreamResponse:
    """End a lock."""
    this = await asked(request)
    token = request.headers.get("Lock-Token", "").strip()
    if not (token.startswith("<") and token.endswith(">")):
        raise BadRequest("Say in Lock-Token which lock is to end, in angle brackets.")
    ended = this.share.locks.of(token[1:-1])
    if ended is None or not ended.covers(this.key):
        raise Conflict("There is no such lock here.", code="no_such_lock")
    if ended.user_id != this.who.user_id:
        raise Denied("The lock is somebody else's.")
    this.share.locks.end(ended.token)
    return web.Response(status=204)


async def _challenge(request: web.Request, response: web.StreamResponse) -> None:
    """Programs that know WebDAV ask their user for a name and a password."""
    if response.status == 401 and (request.path + "/").startswith(places.ROOT):
        response.headers.add("WWW-Authenticate", 'Basic realm="Tagline", charset="UTF-8"')


async def _share(app: web.Application) -> AsyncIterator[None]:
    db, storage = app[DB], app[STORAGE]
    library = Library(db, storage, app[LOOKING], app[JOBS])
    scratch = Scratch(app[INCOMING], app[CONFIG].upload_expires_hours * 3600)
    app[SHARE] = Share(db, storage, library, scratch, app[GATE])

    async def expire() -> None:
        if storage.writable:
            await removing.expire(library, scratch)

    async with hourly(expire):
        yield
    scratch.close()


def setup(app: web.Application) -> None:
    """WebDAV, at `/dav/` alone."""
    app.cleanup_ctx.append(_share)
    app.on_response_prepare.append(_challenge)
    mount(app, routes, ("/dav",), invalid=400)
