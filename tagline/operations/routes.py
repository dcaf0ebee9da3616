"""Routes of operations: health, jobs, the API document, and the pages that come with the service."""

import asyncio
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from tagline import jobs
from tagline.accounts.credentials import CREDENTIALS
from tagline.api import Example, Json, Uuid, api, identity, mount
from tagline.config import CONFIG
from tagline.db import DB
from tagline.errors import Invalid, NotFound, Problem
from tagline.jobs import JOBS, Job
from tagline.operations import openapi
from tagline.operations.health import Health, health
from tagline.photos.lists import Limit
from tagline.photos.scan import SCANNER
from tagline.storage.provider import STORAGE

routes = web.RouteTableDef()
root = web.RouteTableDef()
pages = web.RouteTableDef()

_JOB_ID = "b5d0f3a2-4e8b-4c57-9d0a-1f7c52e0a9b6"
_JOB = {
    "id": _JOB_ID, "kind": "scan", "state": "running", "done": 1200, "total": 4000, "message": "1180 new photos",
    "error": None, "result": None, "tries": 1, "created_at": "2026-11-20T09:00:00.000000Z",
    "started_at": "2026-11-20T09:00:00.010000Z", "ended_at": None,
}  # fmt: skip


class JobQuery(msgspec.Struct, frozen=True):
    """A page of jobs."""

    limit: Limit = 50
    cursor: str | None = None


class JobPage(msgspec.Struct):
    """Jobs, newest first."""

    total: int
    limit: int
    items: list[Job]
    next_cursor: str | None


class Alive(msgspec.Struct):
    """The process answers."""

    status: str


@root.get("/health")
@api(scope=None, errors=(503,), example=Example(answer={"status": "healthy"}))
async def get_health(request: web.Request) -> Json[Health]:
    """Whether everything works. 503 only when nothing does; details for who is signed in."""
    app = request.app
    scanner = app.get(SCANNER)
    found = await health(app[CONFIG], app[DB], app.get(STORAGE), scanner.warning if scanner else None)
    try:
        await app[CREDENTIALS].resolve(request)
    except Problem:
        found = Health(found.status)
    return Json(
        msgspec.json.encode(found),
        {"Cache-Control": "no-store"},
        status=503 if found.status == "unhealthy" else 200,
    )


@root.get("/health/live")
@api(scope=None, example=Example(answer={"status": "alive"}))
async def get_live(request: web.Request) -> Alive:
    """The process answers."""
    return Alive("alive")


@root.get("/health/ready")
@api(scope=None, errors=(503,), example=Example(answer={"status": "ready"}))
async def get_ready(request: web.Request) -> Alive:
    """Requests can be served: the database answers."""
    await request.app[DB].row("changes.newest")
    return Alive("ready")


@routes.get("/jobs")
@api(errors=(400,), example=Example(answer={"total": 1, "limit": 50, "items": [_JOB], "next_cursor": None}))
async def list_jobs(request: web.Request, query: JobQuery) -> JobPage:
    """Long work: what is queued, runs, and how it ended. Kept for a month."""
    before, before_id = _read_cursor(query.cursor) if query.cursor else (2**62, "")
    db = request.app[DB]
    rows = await db.rows("jobs.newest", before=before, before_id=before_id, take=query.limit + 1)
    more, rows = len(rows) > query.limit, rows[: query.limit]
    following = urlsafe_b64encode(f"{rows[-1]['created_at']} {rows[-1]['id']}".encode()).decode() if more else None
    return JobPage(await db.value("jobs.total"), query.limit, [jobs.from_row(row) for row in rows], following)


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        at, _, job_id = urlsafe_b64decode(cursor).decode().partition(" ")
        if not 0 <= int(at) < 2**62:
            raise ValueError(at)
        return int(at), job_id
    except ValueError:
        raise Invalid("cursor", "is not one that this server made") from None


@routes.get("/jobs/{job_id}")
@api(errors=(400, 404), example=Example(path={"job_id": _JOB_ID}, answer=_JOB))
async def get_job(request: web.Request, job_id: Uuid) -> Job:
    """One job and how far it is."""
    return await jobs.get(request.app[DB], job_id)


@routes.delete("/jobs/{job_id}")
@api(
    scope="write",
    errors=(400, 404, 409),
    example=Example(
        path={"job_id": _JOB_ID},
        answer={**_JOB, "state": "cancelled", "ended_at": "2026-11-20T09:00:12.000000Z"},
    ),
)
async def cancel_job(request: web.Request, job_id: Uuid) -> Job:
    """Cancel a job that is queued or runs. What it has done stays."""
    return await request.app[JOBS].cancel(job_id, identity(request).actor)


@routes.get("/openapi.json")
@api(scope=None, example=Example(answer={"openapi": "3.1.0"}))
async def get_openapi(request: web.Request) -> Json[dict[str, Any]]:
    """This API as an OpenAPI 3.1 document."""
    document = request.app[DOCUMENT]
    if not document:
        document.append(msgspec.json.encode(await asyncio.to_thread(openapi.document, request.app)))
    return Json(document[0], {"Cache-Control": "no-cache"})


# The document is written when it is first asked for: it takes 50 ms that the start need not wait for.
DOCUMENT = web.AppKey("document", list[bytes])
WEB = resources.files("tagline").joinpath("web")

_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png", ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}  # fmt: skip
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def _file(request: web.Request, name: str) -> web.Response:
    """A file of the web app; raises NotFound."""
    parts = name.split("/")
    ending = Path(name).suffix
    if ending not in _TYPES or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise NotFound("There is nothing at this address.")
    file = WEB.joinpath(*parts)
    try:
        body = await asyncio.to_thread(file.read_bytes)
    except OSError:  # not there, a directory, or a name that no file can have
        raise NotFound("There is nothing at this address.") from None
    etag = f'"{zlib.crc32(body):08x}-{len(body):x}"'
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY, "ETag": etag}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={**headers, "Content-Type": _TYPES[ending]})


@pages.get("/")
async def index(request: web.Request) -> web.Response:
    """The web app."""
    return await _file(request, "index.html")


@pages.get("/setup")
async def setup_page(request: web.Request) -> web.Response:
    """The page that the one-time set-up link opens."""
    return await _file(request, "setup.html")


@pages.get("/pair")
async def pair_page(request: web.Request) -> web.Response:
    """The page that a phone's camera opens from a pairing code."""
    return await _file(request, "pair.html")


@pages.get("/api/docs")
async def docs_page(request: web.Request) -> web.Response:
    """The API document to read and try, offline."""
    return await _file(request, "docs.html")


@pages.get("/static/{name:.+}")
async def static(request: web.Request) -> web.Response:
    """Scripts, styles and pictures of the web app."""
    return await _file(request, request.match_info["name"])


@pages.get("/favicon.ico")
async def favicon(request: web.Request) -> web.Response:
    """The icon, for those who ask where browsers always have."""
    return await _file(request, "icon.svg")


def setup(app: web.Application) -> None:
    """Health at the root as well, where monitors look; pages where people do."""
    app[DOCUMENT] = []
    mount(app, root, ("", "/api", "/api/v1"), invalid=400)
    mount(app, routes, ("/api", "/api/v1"), invalid=400)
    app.add_routes(pages)
