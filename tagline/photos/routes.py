"""Routes of the photo library. HTTP only: each handler calls one function, which tests and jobs call as well."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from tagline.api import Example, Json, PhotoId, Uuid, Version, api, identity, mount
from tagline.changes import HUB
from tagline.config import CONFIG
from tagline.db import DB, Row
from tagline.errors import DiskFull, NotFound, Unavailable
from tagline.jobs import JOBS
from tagline.photos import albums, counts, deleting, lines, lists, untold
from tagline.photos.counts import Timeline, TimelineQuery
from tagline.photos.digest import DIGESTER, Digester, retry_with_new_tools
from tagline.photos.lines import LINE_EXAMPLE, Based, BatchEdit, BatchResult, History, LineEdit
from tagline.photos.lists import ListQuery, PhotoPage
from tagline.photos.looking import LOOKING, Looking
from tagline.photos.memo import MEMO, Memo
from tagline.photos.photo import EXAMPLE, Photo
from tagline.photos.pictures import PICTURES, ImageQuery, Pictures, ThumbnailQuery
from tagline.photos.scan import SCANNER, Scanner, ScanResult
from tagline.photos.thumbs import THUMBS, Thumbs
from tagline.photos.untold import Untold, UntoldQuery
from tagline.photos.watch import watch
from tagline.storage.opening import open_storage
from tagline.storage.provider import STORAGE
from tagline.workers import Workers

routes = web.RouteTableDef()

BASED = {"If-Match": "the version that this is based on, in quotes; 412 if it is another one by now"}
_ID = {"photo_id": EXAMPLE["id"]}
_ALBUM = {
    "id": "6f1e2b0c-93d8-4c0f-a3b1-0e9d4a7c5f22", "title": "07", "folder": "2024/07/", "read_only": True, "photos": 12,
    "first_at": "2024-07-01T14:02:11.000000Z", "last_at": "2024-07-30T10:00:00.000000Z",
}  # fmt: skip
_GROUP = {
    "day": "2024-07-01", "from": "2024-07-01T16:02:11+02:00", "to": "2024-07-01T16:02:11+02:00", "count": 1,
    "photos": [EXAMPLE],
}  # fmt: skip
_PAGE = {
    "total": 1,
    "limit": 50,
    "offset": 0,
    "photo_ids": [EXAMPLE["id"]],
    "items": [EXAMPLE],
    "next_cursor": None,
}


class RescanQuery(msgspec.Struct, frozen=True):
    """`accept_missing`: believe that files are gone even where the library looks emptied."""

    accept_missing: bool = False


class DeleteQuery(msgspec.Struct, frozen=True):
    """`permanently`: delete the file as well. Only the owner may, and nothing brings it back."""

    permanently: bool = False


# The router tries them in this order; a grid asks for a hundred thumbnails for each list.


@routes.get("/photos/{photo_id}/thumbnail")
@api(
    headers={"Accept": "image/webp, or image/jpeg alone", "If-None-Match": "the ETag of what the client has"},
    errors=(404, 410, 415, 422, 503, 507),
    also={304: "The client has it already"},
    media="image/webp",
    example=Example(path=_ID, query={"size": 512}),
)
async def thumbnail(request: web.Request, photo_id: PhotoId, query: ThumbnailQuery) -> web.StreamResponse:
    """A thumbnail, upright and in sRGB; WebP, or JPEG where Accept does not take that."""
    return await request.app[PICTURES].thumbnail(request, photo_id, query)


@routes.get("/photos")
@api(errors=(422,), example=Example(query={"q": "lake", "limit": 50}, answer=_PAGE))
async def list_photos(request: web.Request, query: ListQuery) -> Json[PhotoPage]:
    """Photos, newest first, a page at a time."""
    return Json(await lists.page(request.app[DB], request.app[MEMO], query))


@routes.get("/photos/timeline")
@api(
    errors=(422,),
    example=Example(
        query={"by": "month"},
        answer={"by": "month", "total": 12, "items": [{"date": "2024-07", "count": 12}]},
    ),
)
async def timeline(request: web.Request, query: TimelineQuery) -> Timeline:
    """How many photos each day or month has, under the same filters as the list."""
    return await counts.timeline(request.app[DB], query)


@routes.get("/photos/untold")
@api(
    errors=(422,),
    example=Example(
        answer={
            "total": 1,
            "groups": [_GROUP],
            "years": [{"year": 2024, "photos": 12, "untold": 1}],
            "next_cursor": None,
        }
    ),
)
async def list_untold(request: web.Request, query: UntoldQuery) -> Json[Untold]:
    """Photos that have no line yet, in groups by day and burst, and the progress by year."""
    return Json(await untold.untold(request.app[DB], request.app[MEMO], query))


@routes.post("/photos/batch")
@api(
    scope="write",
    errors=(422,),
    example=Example(
        body={"photo_ids": [EXAMPLE["id"]], "add_keywords": ["lake"]},
        answer={"applied": 1, "results": [{"photo_id": EXAMPLE["id"], "status": "applied", "version": 4}]},
    ),
)
async def edit_batch(request: web.Request, body: BatchEdit) -> BatchResult:
    """One change to many photos."""
    return await lines.edit_batch(request.app[DB], identity(request), body)


@routes.get("/photos/{photo_id}")
@api(errors=(404, 422), example=Example(path=_ID, answer=EXAMPLE))
async def get_photo(request: web.Request, photo_id: PhotoId) -> Json[Photo]:
    """One photo."""
    row = await request.app[DB].row("photos.item", id=photo_id)
    if not row:
        raise NotFound("Photo not found")
    return _photo(row)


@routes.patch("/photos/{photo_id}/metadata")
@api(
    headers=BASED,
    scope="write",
    errors=(404, 409, 412, 422),
    example=Example(
        path=_ID,
        body={"description": "Ana at the lake", "last_modified": "2025-07-01T18:20:00.000000Z"},
        answer=EXAMPLE,
    ),
)
async def edit_photo(request: web.Request, photo_id: PhotoId, body: LineEdit) -> Json[Photo]:
    """Write a photo's line, or keywords, favourite, time, place.

    With `last_modified`, `version` or If-Match, nothing is changed if the photo was changed meanwhile.
    """
    based = lines.based_on(body, request.headers.get("If-Match"))
    return _photo(await request.app[DB].write(lines.edit, identity(request), photo_id, body, based))


@routes.get("/photos/{photo_id}/history")
@api(errors=(404, 422), example=Example(path=_ID, answer={"items": [LINE_EXAMPLE], "total": 1}))
async def history(request: web.Request, photo_id: PhotoId) -> History:
    """Every line that the photo ever had, and who wrote it."""
    return await lines.history(request.app[DB], photo_id)


@routes.post("/photos/{photo_id}/history/{version}/restore")
@api(headers=BASED, scope="write", errors=(404, 412, 422), example=Example(path={**_ID, "version": 1}, answer=EXAMPLE))
async def restore_line(request: web.Request, photo_id: PhotoId, version: Version) -> Json[Photo]:
    """Make an old line the current one again."""
    return _photo(await request.app[DB].write(lines.restore, identity(request), photo_id, version, _based(request)))


@routes.get("/photos/{photo_id}/image")
@api(
    headers={
        "Range": "parts of the file, in bytes",
        "If-None-Match": "the ETag of what the client has",
        "If-Range": "the ETag that the range is of",
    },
    errors=(404, 410, 412, 416, 422, 503),
    also={206: "A part of the file", 304: "The client has it already"},
    media="image/*",
    example=Example(path=_ID),
)
async def image(request: web.Request, photo_id: PhotoId, query: ImageQuery) -> web.StreamResponse:
    """The original, from disk to socket: ranges and conditional requests as HTTP has them."""
    return await request.app[PICTURES].image(request, photo_id, query)


@routes.delete("/photos/{photo_id}")
@api(
    headers=BASED,
    scope="write",
    errors=(403, 404, 409, 412, 422),
    also={204: "Deleted for good"},
    example=Example(path=_ID, answer=EXAMPLE),
)
async def delete_photo(request: web.Request, photo_id: PhotoId, query: DeleteQuery) -> Json[Photo] | None:
    """Into the trash; with `permanently`, file and all, which answers 204."""
    app, who, based = request.app, identity(request), _based(request)
    if query.permanently:
        await deleting.delete_for_good(app[DB], app[STORAGE], app[LOOKING], app[THUMBS], who, photo_id, based)
        return None
    return _photo(await app[DB].write(lines.set_trashed, who, photo_id, True, based))


@routes.post("/photos/{photo_id}/restore")
@api(headers=BASED, scope="write", errors=(404, 412, 422), example=Example(path=_ID, answer=EXAMPLE))
async def restore_photo(request: web.Request, photo_id: PhotoId) -> Json[Photo]:
    """Out of the trash."""
    return _photo(await request.app[DB].write(lines.set_trashed, identity(request), photo_id, False, _based(request)))


@routes.get("/albums")
@api(
    errors=(422,),
    example=Example(answer={"total": 1, "limit": 50, "offset": 0, "items": [_ALBUM], "next_cursor": None}),
)
async def list_albums(request: web.Request, query: albums.AlbumQuery) -> albums.AlbumPage:
    """Albums: the library's folders, which cannot be edited here."""
    return await albums.albums(request.app[DB], query)


@routes.get("/albums/{album_id}")
@api(errors=(404, 422), example=Example(path={"album_id": _ALBUM["id"]}, answer=_ALBUM))
async def get_album(request: web.Request, album_id: Uuid) -> albums.Album:
    """One album. Its photos: `GET /photos?album=<id>`."""
    return await albums.album(request.app[DB], album_id)


@routes.get("/keywords")
@api(
    errors=(422,),
    example=Example(
        query={"prefix": "la"},
        answer={"total": 1, "limit": 50, "offset": 0, "items": [{"keyword": "lake", "count": 12}], "next_cursor": None},
    ),
)
async def list_keywords(request: web.Request, query: albums.KeywordQuery) -> albums.KeywordPage:
    """Keywords with how many photos have them."""
    return await albums.keywords(request.app[DB], request.app[MEMO], query)


@routes.post("/rescan")
@api(
    headers={"Prefer": "respond-async: answer at once, with the job"},
    scope="write",
    errors=(422, 503),
    example=Example(answer=ScanResult(imported=[str(EXAMPLE["id"])], imported_count=1, unchanged=41, duration_s=0.2)),
)
async def rescan(request: web.Request, query: RescanQuery) -> Json[ScanResult]:
    """Take in what is new in the library's folder. One scan runs at a time; a second call joins it.

    With `Prefer: respond-async` the answer is 202 at once, with the job's address in Location.
    """
    jobs = request.app[JOBS]
    payload = {"accept_missing": True} if query.accept_missing else {}
    job_id = await jobs.add("scan", payload, identity(request).actor)
    if "respond-async" in request.headers.get("Prefer", "").lower():
        body = msgspec.json.encode({"job": job_id, "links": {"job": f"/api/jobs/{job_id}"}})
        return Json(body, {"Location": f"/api/jobs/{job_id}", "Preference-Applied": "respond-async"}, status=202)
    job = await jobs.ended(job_id)
    if job.state != "succeeded":
        why = job.error or "The scan was cancelled."
        code = msgspec.json.decode(job.result) if job.result else "scan_failed"
        raise DiskFull(why) if code == DiskFull.code else Unavailable(why, code=code)
    return Json(msgspec.json.encode(job.result))


def _based(request: web.Request) -> Based:
    return lines.matching(request.headers.get("If-Match"))


def _photo(row: Row) -> Json[Photo]:
    return Json(row["item"], {"ETag": f'"{row["version"]}"'})


async def _photos(app: web.Application) -> AsyncIterator[None]:
    config, db, jobs, hub = app[CONFIG], app[DB], app[JOBS], app[HUB]
    storage = open_storage(config.storage_backend, config.storage_path)
    await storage.check()
    workers = Workers(config.workers, memory_bytes=config.worker_memory_mb << 20, timeout=config.worker_timeout_s)
    looking = Looking(storage, workers, config.workers)
    thumbs = Thumbs(config.data_dir / "cache" / "thumbnails", looking, config.cache_mb << 20, config.reserve_mb << 20)
    digester = Digester(db, looking, thumbs)
    pictures, memo = Pictures(db, storage, digester, thumbs), Memo()
    scanner = Scanner(config, db, storage, looking, jobs)
    app[STORAGE], app[LOOKING], app[THUMBS], app[DIGESTER] = storage, looking, thumbs, digester
    app[PICTURES], app[MEMO], app[SCANNER] = pictures, memo, scanner
    hub.listen(pictures.forget)
    hub.listen(memo.forget)
    jobs.register("scan", scanner.run)
    jobs.register("digest", digester.run, tries=5, again=True)
    await db.write(retry_with_new_tools)
    thumbs.clear_leftovers()
    if config.scan_at_start:
        await jobs.add("scan")
    watched = config.watch and config.storage_backend == "local"
    watcher = asyncio.create_task(watch(config.storage_path, scanner)) if watched else None
    yield
    if watcher:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
    await jobs.close()
    await workers.close()
    await thumbs.close()


def setup(app: web.Application) -> None:
    """The library's routes, at the root as well since its first clients look for them there."""
    app.cleanup_ctx.append(_photos)
    mount(app, routes, ("", "/api", "/api/v1"), invalid=422)
