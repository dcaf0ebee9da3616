"""Pictures: originals and thumbnails, from disk to socket."""

from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from tagline.changes import Change
from tagline.conditions import lists_tag
from tagline.db import Database, Row
from tagline.errors import Gone, Invalid, NotFound, UnsupportedMedia
from tagline.photos.digest import Digester
from tagline.photos.thumbs import SIZES, Thumbs
from tagline.storage.provider import Entry, Storage
from tagline.streaming import SMALL, send_file

# Files that were asked for lately: a grid asks for the same ones again and again.
MOST_KNOWN = 2_000
# A picture's address stays when its file is edited, so it may be believed for an hour only, then asked for by its
# ETag; with `?v=` and (the start of) its hash, it is another address for another content (docs/decisions/0005).
AN_HOUR = "private, max-age=3600, immutable"
FOR_EVER = "private, max-age=31536000, immutable"

Size = Literal[256, 512, 1024, 2048]


class ThumbnailQuery(msgspec.Struct, frozen=True):
    """The longest edge, and, for caching for ever, the start of the photo's hash."""

    size: Annotated[int, msgspec.Meta(extra_json_schema={"enum": list(SIZES)})] = 256
    v: Annotated[str, msgspec.Meta(max_length=64)] = ""


class ImageQuery(msgspec.Struct, frozen=True):
    """With `download`, the browser saves the file under its name."""

    download: str | None = None


class Pictures:
    """Sends pictures, and remembers which file is whose until the change feed tells that it changed."""

    def __init__(self, db: Database, storage: Storage, digester: Digester, thumbs: Thumbs) -> None:
        self._db = db
        self._storage = storage
        self._digester = digester
        self._thumbs = thumbs
        self._known: OrderedDict[str, Row] = OrderedDict()
        self._state = 0

    def forget(self, changes: list[Change]) -> None:
        """Listen to the change feed."""
        self._state += 1
        for change in changes:
            if change.entity == "photo":
                self._known.pop(change.entity_id, None)

    async def file(self, photo_id: str) -> Row:
        """Where a photo's bytes are; raises NotFound, or Gone where they are missing."""
        row = self._known.get(photo_id)
        if row is None:
            state = self._state
            row = await self._db.row("photos.file", id=photo_id)
            if row is None:
                raise NotFound("Photo not found")
            # That the background has read a file is told only if something changed by that.
            if state == self._state and not row["unread"]:
                self._known[photo_id] = row
                if len(self._known) > MOST_KNOWN:
                    self._known.popitem(last=False)
        if row["missing_at"] is not None:
            raise Gone(
                "The photo's file is missing from the library. Its line is kept, and comes back with the file.",
                code="file_missing",
            )
        return row

    async def image(self, request: web.Request, photo_id: str, query: ImageQuery) -> web.StreamResponse:
        """The original."""
        row = await self.file(photo_id)
        opened = await self._storage.open(row["object_key"], prefetch=SMALL)
        expected = None
        if row["mtime_ns"] is not None:
            expected = Entry(row["object_key"], row["file_size"], row["mtime_ns"], row["inode"])
        return await send_file(
            request, opened, etag=row["content_hash"] or _provisional(row), content_type=row["mime_type"],
            last_modified=opened.entry.mtime_ns / 1e9, headers={"Cache-Control": "private, no-cache"},
            download_name=Path(row["object_key"]).name if query.download is not None else None, expected=expected,
        )  # fmt: skip

    async def thumbnail(self, request: web.Request, photo_id: str, query: ThumbnailQuery) -> web.StreamResponse:
        """A thumbnail, made if it is not there."""
        if query.size not in SIZES:
            raise Invalid("size", "is not one of 256, 512, 1024, 2048")
        row = await self.file(photo_id)
        if row["content_hash"] is None and row["unread"]:
            await self._digester.now(row)
            row = await self.file(photo_id)
        content_hash = row["content_hash"]
        if content_hash is None:
            raise UnsupportedMedia("This photo's pixels cannot be read.", code=row["problem"] or "still_being_written")
        image_format = accepted_format(request.headers.get("Accept"))
        etag = f"{content_hash}-{query.size}-{image_format}"
        headers = {
            "ETag": f'"{etag}"', "Vary": "Accept",
            "Cache-Control": FOR_EVER if query.v and content_hash.startswith(query.v) else AN_HOUR,
        }  # fmt: skip
        if lists_tag(request.headers.get("If-None-Match", ""), etag, weak=True):
            return web.Response(status=304, headers=headers)
        place = self._thumbs.place(content_hash, query.size, image_format)
        body = await self._thumbs.read(place)
        if body is None:
            await self._thumbs.make(row, content_hash, query.size, image_format)
            body = await self._thumbs.read(place)
        if body is None:
            raise UnsupportedMedia("This photo's pixels cannot be read.", code="broken_image")
        headers["Content-Type"] = f"image/{image_format}"
        return web.Response(body=body, headers=headers)


def accepted_format(accept: str | None) -> str:
    """WebP, unless the client names formats and does not take WebP (RFC 9110 §12.5.1, of the weights only 0)."""
    if not accept:
        return "webp"
    weights = dict(map(_weighed, accept.split(",")))
    # The most specific range decides.
    weight = next((weights[name] for name in ("image/webp", "image/*", "*/*") if name in weights), 0.0)
    return "webp" if weight > 0 else "jpeg"


def _weighed(media_range: str) -> tuple[str, float]:
    """A range of Accept and its weight; 1 where it has none, or none that can be read."""
    name, *parameters = (part.strip().lower() for part in media_range.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            with suppress(ValueError):
                return name, float(value)
    return name, 1.0


def _provisional(row: Row) -> str:
    """What stands for the hash until the background has read the file."""
    return f"{row['fingerprint']}-{row['mtime_ns'] or 0:x}"


PICTURES = web.AppKey("pictures", Pictures)
