"""Routes of uploads: in one request, in parts by tus, and what is known already."""

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from tagline import times
from tagline.accounts.credentials import CREDENTIALS
from tagline.api import Example, Json, Uuid, api, identity, mount
from tagline.config import CONFIG
from tagline.db import DB
from tagline.errors import BadRequest, PreconditionFailed, Problem, Unavailable, UnsupportedMedia
from tagline.jobs import JOBS
from tagline.photos.digest import DIGESTER
from tagline.photos.looking import LOOKING
from tagline.photos.photo import EXAMPLE, Photo
from tagline.storage.provider import STORAGE
from tagline.uploads import known, tus
from tagline.uploads.accepting import ACCEPTING, Accepting
from tagline.uploads.dav import routes as dav
from tagline.uploads.expecting import end_of_waiting, hold_back
from tagline.uploads.expiring import hourly
from tagline.uploads.known import KnownAnswer, KnownQuestion
from tagline.uploads.parts import INCOMING, Incoming
from tagline.uploads.sending import GATE, Gate, SendQuery, receive
from tagline.uploads.tus import Tus, Upload

# Beside the library's routes, at the root as well.
photo_routes = web.RouteTableDef()
routes = web.RouteTableDef()

_BINARY: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM: dict[str, Any] = {
    "type": "object", "required": ["file"],
    "properties": {
        "sha256": {"type": "string"}, "taken_at": {"type": "string", "format": "date-time"},
        "album": {"type": "string"}, "again": {"type": "boolean"}, "file": _BINARY,
    },
}  # fmt: skip
_SUM = EXAMPLE["sha256"]
_ID = "c1f1a7de-0b52-4a5f-9f0e-6d9a3f4f7a10"
_PART = {
    "id": _ID, "size": 2314123, "offset": 1048576, "photo_id": None, "duplicate": False,
    "expires_at": "2026-11-22T09:00:00.000000Z",
}  # fmt: skip
_UPLOADS = re.compile(r"/api(/v1)?/uploads(/|\Z)")
_RESUMABLE = {"Tus-Resumable": "1.0.0; 412 for another version"}

TUS = web.AppKey("tus", Tus)


class SentPhoto(Photo):
    """The photo that a file has become, or is; `duplicate` if it was here before."""

    duplicate: bool


class Progress(msgspec.Struct):
    """An upload: `offset` of `size` bytes are here. Once complete it is the photo `photo_id`."""

    id: str
    size: int
    offset: int
    photo_id: str | None
    duplicate: bool
    expires_at: str


@photo_routes.post("/photos", expect_handler=hold_back)
@api(
    scope="upload",
    status=201,
    errors=(400, 403, 404, 410, 413, 415, 422),
    also={200: "The photo was here already: `duplicate` is true, nothing was stored"},
    takes={"multipart/form-data": _FORM, "image/*": _BINARY, "video/*": _BINARY, "application/octet-stream": _BINARY},
    headers={
        "Content-Disposition": 'the file\'s name, for a body that is the file itself: attachment; filename="IMG_1.jpg"',
        "Content-Digest": "its sha-256 (RFC 9530); Repr-Digest is understood as well",
    },
    example=Example(answer={**EXAMPLE, "duplicate": False}),
)
async def send_photo(request: web.Request, query: SendQuery) -> Json[SentPhoto]:
    """Send one file, as a form (field `file`, last) or as the body itself.

    What a form says in fields, a body that is the file says in the query. `taken_at` counts where the file itself
    does not tell; `album` is a folder's id or name. Content that was deleted for good is refused unless `again`.
    """
    with request.app[CREDENTIALS].held(request):
        sent = await receive(request.app[GATE], request, identity(request), query)
    body = f'{sent.item[:-1]},"duplicate":{"true" if sent.duplicate else "false"}}}'
    headers = {"ETag": f'"{sent.version}"'}
    if not sent.duplicate:
        headers["Location"] = f"/photos/{sent.photo_id}"
    return Json(body, headers, status=200 if sent.duplicate else 201)


@photo_routes.post("/photos/known")
@api(
    scope="upload",
    errors=(422,),
    example=Example(
        body={"sha256": [_SUM], "sizes": {_SUM: 2314123}},
        answer={"known": {_SUM: EXAMPLE["id"]}, "deleted": [], "unknown": [], "pending": []},
    ),
)
async def ask_known(request: web.Request, body: KnownQuestion) -> KnownAnswer:
    """Before sending: which of up to 1,000 sums are here, were deleted for good, or are to be sent."""
    return await known.known(request.app[DB], request.app[DIGESTER], body)


@routes.options("/uploads")
@api(scope=None, status=204)
async def tus_options(request: web.Request) -> web.StreamResponse:
    """What of tus is understood here."""
    return web.Response(
        status=204,
        headers={
            "Tus-Version": tus.VERSION, "Tus-Extension": tus.EXTENSIONS,
            "Allow": ",".join(sorted(route.method for route in request.match_info.route.resource or ())),
            "Tus-Max-Size": str(request.app[GATE].most),
            "Tus-Checksum-Algorithm": ",".join(tus.CHECKSUMS),
        },
    )  # fmt: skip


@routes.post("/uploads", expect_handler=hold_back)
@api(
    scope="upload",
    status=201,
    errors=(400, 403, 404, 410, 412, 413, 415),
    headers={
        **_RESUMABLE, "Upload-Length": "the file's size in bytes",
        "Upload-Metadata": "filename, filetype, sha256, taken_at, album, again: key and base64, apart by commas",
        "Upload-Checksum": "sha1 or sha256 of this body, in base64",
    },
)  # fmt: skip
async def create_upload(request: web.Request) -> web.StreamResponse:
    """Begin an upload by tus 1.0; the answer's Location is where its bytes go. A body is its first chunk."""
    _check_version(request)
    if "Upload-Length" not in request.headers:
        raise BadRequest("Upload-Length is missing: how large is the file?", code="malformed_header")
    metadata = request.headers.get("Upload-Metadata", "")
    if len(metadata) > tus.LONGEST_METADATA:
        raise BadRequest(f"Upload-Metadata has more than {tus.LONGEST_METADATA} bytes.", code="malformed_header")
    uploads, who = request.app[TUS], identity(request)
    chunk = request.content_type == tus.CHUNK_TYPE
    checksum = tus.read_checksum(request.headers.get("Upload-Checksum")) if chunk else None
    upload = await uploads.create(who, tus.number(request, "Upload-Length"), metadata)
    location = {"Location": f"{request.path.rstrip('/')}/{upload.id}"}
    if chunk:
        try:
            with request.app[CREDENTIALS].held(request):
                upload = await uploads.append(who, upload.id, 0, request, checksum)
        except Problem as problem:
            # The upload stands, and can be gone on with, unless it can never become a photo.
            problem.headers |= location
            raise
    return web.Response(status=201, headers=location | tus.headers_of(upload))


@routes.head("/uploads/{upload_id}")
@api(scope="upload", errors=(400, 404, 410, 412, 415), headers=_RESUMABLE)
async def upload_offset(request: web.Request, upload_id: Uuid) -> web.StreamResponse:
    """How many bytes of an upload are here, for sure."""
    _check_version(request)
    upload = await request.app[TUS].status(identity(request), upload_id)
    headers = tus.headers_of(upload) | {"Upload-Length": str(upload.size), "Cache-Control": "no-store"}
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return web.Response(headers=headers)


@routes.get("/uploads/{upload_id}", allow_head=False)
@api(scope="upload", errors=(400, 404, 410, 415), example=Example(path={"upload_id": _ID}, answer=_PART))
async def get_upload(request: web.Request, upload_id: Uuid) -> Progress:
    """An upload, for people and programs that do not speak tus."""
    return _progress(await request.app[TUS].look(identity(request), upload_id))


@routes.patch("/uploads/{upload_id}", expect_handler=hold_back)
@api(
    scope="upload",
    status=204,
    errors=(400, 404, 409, 410, 412, 413, 415, 460),
    takes={tus.CHUNK_TYPE: _BINARY},
    headers={
        **_RESUMABLE, "Upload-Offset": "where these bytes go: what HEAD told",
        "Upload-Checksum": "sha1 or sha256 of this body, in base64; if it is not, 460 and the body is thrown away",
    },
    example=Example(path={"upload_id": _ID}),
)  # fmt: skip
async def append_upload(request: web.Request, upload_id: Uuid) -> web.StreamResponse:
    """Add bytes to an upload. The last ones make a photo of it: the answer's header Tagline-Photo is its id."""
    _check_version(request)
    if request.content_type != tus.CHUNK_TYPE:
        raise UnsupportedMedia(f"Send the bytes with Content-Type: {tus.CHUNK_TYPE}.")
    checksum = tus.read_checksum(request.headers.get("Upload-Checksum"))
    offset = tus.number(request, "Upload-Offset")
    with request.app[CREDENTIALS].held(request):
        upload = await request.app[TUS].append(identity(request), upload_id, offset, request, checksum)
    return web.Response(status=204, headers=tus.headers_of(upload))


@routes.delete("/uploads/{upload_id}")
@api(
    scope="upload", status=204, errors=(400, 404, 412), headers=_RESUMABLE, example=Example(path={"upload_id": _ID})
)  # fmt: skip
async def end_upload(request: web.Request, upload_id: Uuid) -> None:
    """Give an upload up. A photo that it has become stays."""
    _check_version(request)
    await request.app[TUS].terminate(identity(request), upload_id)


@routes.post("/uploads/{upload_id}", expect_handler=hold_back)
@api(
    scope="upload", status=204, errors=(400, 404, 405, 409, 410, 412, 413, 415, 460), takes={tus.CHUNK_TYPE: _BINARY},
    headers={**_RESUMABLE, "X-HTTP-Method-Override": "PATCH or DELETE"}, example=Example(path={"upload_id": _ID}),
)  # fmt: skip
async def override_method(request: web.Request, upload_id: Uuid) -> web.StreamResponse:
    """PATCH or DELETE for clients that cannot send those (tus: X-HTTP-Method-Override)."""
    match request.headers.get("X-HTTP-Method-Override", "").upper():
        case "PATCH":
            return await append_upload(request)
        case "DELETE":
            return await end_upload(request)
    raise web.HTTPMethodNotAllowed("POST", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH"])


def _check_version(request: web.Request) -> None:
    if request.headers.get("Tus-Resumable") != tus.VERSION:
        raise PreconditionFailed(
            f"Say Tus-Resumable: {tus.VERSION}; this server speaks no other version of tus.",
            code="tus_version", headers={"Tus-Version": tus.VERSION},
        )  # fmt: skip


async def _resumable(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer says which version of tus it is of (§ Tus-Resumable), also one to a method that is none here."""
    if request.method != "OPTIONS" and _UPLOADS.match(request.path):
        response.headers["Tus-Resumable"] = tus.VERSION


def _progress(upload: Upload) -> Progress:
    return Progress(
        upload.id, upload.size, upload.offset, upload.photo_id, upload.duplicate, times.to_text(upload.expires_at)
    )


async def _uploads(app: web.Application) -> AsyncIterator[None]:
    config, db, storage = app[CONFIG], app[DB], app[STORAGE]
    incoming = Incoming(storage, config.data_dir / "uploads", config.reserve_mb << 20)
    accepting = Accepting(db, storage, app[LOOKING], app[DIGESTER], app[JOBS])
    gate = Gate(incoming, accepting, config.upload_max_mb << 20)
    app[INCOMING], app[ACCEPTING], app[GATE] = incoming, accepting, gate
    app[TUS] = Tus(db, gate, config.upload_expires_hours)
    if storage.writable:
        # A library that goes away right now has its parts swept at the next start.
        with contextlib.suppress(Unavailable):
            await incoming.sweep(row["id"] for row in await db.rows("uploads.open"))
    async with hourly(lambda: app[TUS].expire(times.now())):
        yield
    incoming.close()


def setup(app: web.Application) -> None:
    """The routes of sending; `/photos…` also at the root, as the library's."""
    app.cleanup_ctx.append(_uploads)
    app.on_response_prepare.append(_resumable)
    app.on_response_prepare.append(end_of_waiting)
    mount(app, photo_routes, ("", "/api", "/api/v1"), invalid=422)
    mount(app, routes, ("/api", "/api/v1"), invalid=400)
    dav.setup(app)
