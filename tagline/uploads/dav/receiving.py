"""Receiving: the body of a PUT, streamed to the library's disk, and what it becomes there."""

import asyncio
import hashlib
import math
import os
import shutil
import uuid
from functools import partial

from aiohttp import web

from tagline.api import Identity
from tagline.errors import BadRequest, NotAllowed
from tagline.storage.provider import Entry
from tagline.uploads.dav import moving, places, writing
from tagline.uploads.dav.scratch import Kept
from tagline.uploads.dav.share import Asked, Share, check_conditions
from tagline.uploads.expecting import proceed
from tagline.uploads.parts import Arrived, pieces

_SUMS = ("sha1", "md5", "sha256")
# Years 1970 to 2200, s.
_LAST_SECOND = 7_258_118_400


async def receive(request: web.Request, asked: Asked, allowed: str) -> Entry:
    """Do a PUT; gives the file as it is there. Nothing is to be seen of it before all of it has arrived."""
    share, key = asked.share, asked.key
    if asked.place.said_folder or asked.is_folder:
        raise NotAllowed("A folder cannot be put; make it with MKCOL.", headers={"Allow": allowed})
    if "Content-Range" in request.headers:
        raise BadRequest("Parts of a file cannot be put (RFC 9110 §14.5); send it whole, or by tus.")
    share.gate.accepting.check_writable()
    await asked.check_parent(key)
    _check(request, asked)
    expected = request.content_length or _announced(request)
    share.gate.check_size(expected)
    modified, wanted = _modified(request), _sum(request)
    async with share.gate.open(asked.who):
        part = await share.gate.incoming.begin(expected)
        try:
            await proceed(request)
            summing = hashlib.new(wanted[0], usedforsecurity=False) if wanted else None
            await part.take(pieces(request.content), share.gate.most, also=summing.update if summing else None)
            arrived = await part.finish()
            if wanted and summing and summing.hexdigest() != wanted[1]:
                raise BadRequest(
                    "What arrived is not what OC-Checksum says; nothing was stored. Send it again.",
                    code="checksum_mismatch",
                )
            if modified is not None:
                await asyncio.to_thread(os.utime, arrived.path, ns=(modified, modified))
            async with share.alone(key):
                # Somebody else may have put something there while this arrived.
                now = Asked(share, asked.who, asked.place, key, await share.tree.at(key), asked.tokens)
                _check(request, now)
                storing = store(share, asked.who, arrived, key, dated=modified is not None)
                # What has begun to change files and rows goes on to its end.
                return await asyncio.shield(storing)
        finally:
            await asyncio.shield(part.drop())


def _check(request: web.Request, asked: Asked) -> None:
    asked.need(asked.node)
    asked.check_locks(asked.key, member=asked.node is None)
    check_conditions(request, asked.node)


async def store(share: Share, who: Identity, arrived: Arrived, key: str, *, dated: bool = False) -> Entry:
    """Put a file under a key: apart if its name is temporary, or as long as there is nothing in it."""
    await asyncio.shield(arrived.flushed)
    if places.is_temporary(places.name_of(key)) or not arrived.size:
        return (await share.scratch.put(arrived.path, key)).entry
    if await share.tree.folder(key):
        # One that is not shown, since all in it is in the trash.
        await moving.make_free(share.library, share.tree, who, key)
    entry = await writing.place(share.library, who, arrived, key, dated=dated)
    await share.scratch.drop(key)
    return entry


async def copied(share: Share, kept: Kept) -> Arrived:
    """A copy of a file that is kept apart, which nobody knows of yet."""
    incoming = share.gate.incoming
    await incoming.check_room(kept.entry.size)
    path = await incoming.folder() / str(uuid.uuid4())
    await incoming.run(partial(shutil.copyfile, kept.path, path))
    return await incoming.arrived(path)


def _announced(request: web.Request) -> int:
    """How long a body is whose length is not told as it should be: macOS does so, which sends it in chunks."""
    header = request.headers.get("X-Expected-Entity-Length", "")
    return int(header) if header.isascii() and header.isdigit() and len(header) < 19 else 0


def _modified(request: web.Request) -> int | None:
    """The time that a client wants for its file, ns (`X-OC-Mtime`: seconds since 1970)."""
    header = request.headers.get("X-OC-Mtime")
    try:
        seconds = float(header) if header else math.nan
    except ValueError:
        return None
    return int(seconds * 1_000_000_000) if 0 <= seconds < _LAST_SECOND else None


def _sum(request: web.Request) -> tuple[str, str] | None:
    """The sum that `OC-Checksum` declares: `SHA1:…`, `MD5:…` or `SHA256:…`; others are not looked at."""
    kind, _, value = request.headers.get("OC-Checksum", "").partition(":")
    return (kind.lower(), value.strip().lower()) if kind.lower() in _SUMS else None
