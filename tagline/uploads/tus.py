"""Resumable uploads: tus 1.0.0 with creation, creation-with-upload, expiration, checksum and termination.

How much has arrived is the size of the part's file, which was flushed before it is told (`Upload-Offset`). Sections
named § are those of the protocol's text, https://tus.io/protocols/resumable-upload.
"""

import asyncio
import base64
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from tagline.api import Identity
from tagline.db import Database, Row, Tx
from tagline.errors import BadRequest, Conflict, Gone, NotFound, Problem, TooLarge, UnsupportedMedia
from tagline.storage.provider import Absent
from tagline.uploads.accepting import Accepted
from tagline.uploads.expecting import proceed
from tagline.uploads.parts import Part, pieces
from tagline.uploads.sending import Gate, Said

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
CHUNK_TYPE = "application/offset+octet-stream"
CHECKSUMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
LONGEST_METADATA = 8192
MICROSECONDS = 1_000_000


class Upload(msgspec.Struct, frozen=True):
    """An upload as it stands. `offset` bytes of `size` are on disk; `photo_id` once it has become a photo."""

    id: str
    size: int
    offset: int
    metadata: str
    expires_at: int
    photo_id: str | None
    duplicate: bool


class ChecksumMismatch(Problem):
    """What arrived is not what the client sent (§ Checksum); the status is tus's own."""

    status, code, title = 460, "checksum_mismatch", "Checksum Mismatch"


class Tus:
    """The uploads of a house."""

    def __init__(self, db: Database, gate: Gate, expires_hours: int) -> None:
        self._db = db
        self._gate = gate
        self._expires = expires_hours * 3600 * MICROSECONDS
        # Who receives for an upload now. A phone that comes back takes over from its own dead connection.
        self._receiving: dict[str, asyncio.Task[None]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, who: Identity, size: int, metadata: str) -> Upload:
        """Begin an upload of `size` bytes; raises TooLarge, DiskFull, Invalid for metadata that makes no sense, and
        Gone for content that was deleted for good."""
        accepting = self._gate.accepting
        accepting.check_writable()
        self._gate.check_size(size)
        if size == 0:
            raise BadRequest("The file is empty.", code="no_file")
        said = read_metadata(metadata)
        if said.album:
            await accepting.folder(said.album)
        if said.sha256:
            await accepting.check(said.sha256, said.wanted)
        await self._gate.incoming.check_room(size)
        upload_id = str(uuid.uuid4())
        row = await self._db.write(_add, upload_id, who, size, metadata)
        return self._upload(row, 0)

    async def status(self, who: Identity, upload_id: str) -> Upload:
        """How far an upload is; who still sends for it is cut off, so that the offset stays true.

        One that is whole is finished now, where a crash or a full disk kept it from becoming a photo.
        """
        async with self._alone(who, upload_id) as row:
            if row["photo_id"]:
                return self._upload(row, row["size"])
            offset = await self._offset(row)
            if offset == row["size"]:
                part = await self._gate.incoming.open(upload_id)
                return await self._finish(who, row, part)
            return self._upload(row, offset)

    async def look(self, who: Identity, upload_id: str) -> Upload:
        """How far an upload is by now, without disturbing who sends for it."""
        row = await self._mine(who, upload_id)
        if row["photo_id"]:
            return self._upload(row, row["size"])
        size = await self._gate.incoming.size(upload_id)
        return self._upload(row, size if row["unchecked_from"] is None else min(size, row["unchecked_from"]))

    async def append(
        self, who: Identity, upload_id: str, offset: int, request: web.Request, checksum: tuple[str, bytes] | None
    ) -> Upload:
        """Add a request's body at `offset`; the last one makes a photo of it all.

        Raises Conflict where the upload is not at that offset, ChecksumMismatch, TooLarge for more than was announced.
        """
        self._gate.accepting.check_writable()
        async with self._alone(who, upload_id) as row:
            if row["photo_id"]:
                raise Conflict("This upload is complete.", code="upload_complete", headers=_offset_header(row["size"]))
            at = await self._offset(row)
            if offset != at:
                raise Conflict(
                    f"The upload is at offset {at}, not {offset}. Ask by HEAD and go on from there.",
                    code="wrong_offset", headers=_offset_header(at),
                )  # fmt: skip
            room = row["size"] - at
            if (request.content_length or 0) > room:
                raise TooLarge("This chunk goes beyond the length that was announced.", code="beyond_length")
            async with self._gate.open(who):
                part = await self._gate.incoming.open(upload_id, expected=room)
                await self._receive(row, part, request, room, checksum)
            if part.size < row["size"]:
                return await self._kept(row, part)
            return await self._finish(who, row, part)

    async def terminate(self, who: Identity, upload_id: str) -> None:
        """Give an upload up (§ Termination); the photo that it has become stays."""
        async with self._alone(who, upload_id):
            await self._drop(upload_id)

    async def expire(self, now: int) -> int:
        """Drop what nobody went on with; how many there were."""
        dropped = 0
        while rows := await self._db.rows("uploads.abandoned", before=now - self._expires, take=100):
            async with AsyncExitStack() as alone:
                over: list[str] = []
                for row in rows:
                    lock = self._locks.setdefault(row["id"], asyncio.Lock())
                    if lock.locked():
                        await self._db.write(_touch, row["id"])
                    else:
                        await alone.enter_async_context(lock)
                        over.append(row["id"])
                await self._drop(*over)
                dropped += len(over)
        return dropped

    async def _receive(
        self, row: Row, part: Part, request: web.Request, room: int, checksum: tuple[str, bytes] | None
    ) -> None:
        """Take a chunk in. One with a checksum counts as a whole or not at all, other ones as far as they came."""
        begun = part.size
        also = CHECKSUMS[checksum[0]]() if checksum else None
        try:
            if checksum:
                await self._db.write(_check_from, row["id"], begun)
            await proceed(request)
            receiving = asyncio.ensure_future(part.take(pieces(request.content), room, also.update if also else None))
            self._receiving[row["id"]] = receiving
            try:
                await receiving
            finally:
                self._receiving.pop(row["id"], None)
            if checksum and also and not hmac.compare_digest(also.digest(), checksum[1]):
                raise ChecksumMismatch("The chunk's checksum is another one; it was thrown away. Send it again.")
            if checksum:
                await self._db.write(_check_from, row["id"], None)
        except BaseException as fault:
            await asyncio.shield(self._undo(row, part, begun, whole=bool(checksum) or isinstance(fault, TooLarge)))
            raise

    async def _undo(self, row: Row, part: Part, begun: int, *, whole: bool) -> None:
        await part.keep()
        if whole:
            await self._gate.incoming.cut(row["id"], begun)
            await self._db.write(_check_from, row["id"], None)
        elif part.size > begun:
            # Wi-Fi that breaks off each time gets a large file here as well, though in more days than one.
            await self._db.write_again_if_lost(_touch, row["id"])

    async def _kept(self, row: Row, part: Part) -> Upload:
        size = await part.keep()
        at = await self._db.write_again_if_lost(_touch, row["id"])
        return msgspec.structs.replace(self._upload(row, size), expires_at=at + self._expires)

    async def _finish(self, who: Identity, row: Row, part: Part) -> Upload:
        """All bytes are there: make the photo. What can never become one is dropped, what may later is kept."""
        arrived = await part.finish()
        said = read_metadata(row["metadata"])
        try:
            if said.sha256 and said.sha256 != arrived.sha256:
                raise ChecksumMismatch("The file's sha256 is another one; nothing was stored. Send it again.")

            def became(tx: Tx, photo_id: str, duplicate: bool) -> None:
                tx.run("uploads.became", id=row["id"], photo_id=photo_id, duplicate=int(duplicate), at=tx.at)

            accepted = await self._gate.accepting.accept(who, arrived, said.wanted, became)
        except (ChecksumMismatch, UnsupportedMedia, Gone) as refused:
            if not isinstance(refused, Absent):
                await self._drop(row["id"])
            raise
        await self._gate.incoming.drop(row["id"])
        return self._became(row, accepted)

    async def _drop(self, *upload_ids: str) -> None:
        # The rows last: a part without one would stay until the next start.
        await self._gate.incoming.drop(*upload_ids)
        await self._db.write(_drop, upload_ids)

    async def _offset(self, row: Row) -> int:
        """How many bytes of an upload count."""
        size = await self._gate.incoming.size(row["id"])
        if row["unchecked_from"] is None:
            return size
        # The service ended before it knew the chunk's checksum to be right.
        if size > row["unchecked_from"]:
            size = row["unchecked_from"]
            await self._gate.incoming.cut(row["id"], size)
        # What comes next may have no checksum, and counts all the same.
        await self._db.write(_check_from, row["id"], None)
        return size

    @asynccontextmanager
    async def _alone(self, who: Identity, upload_id: str) -> AsyncIterator[Row]:
        """The row of one's own upload, with nobody else at it; raises NotFound, also for one that has expired."""
        lock = self._locks.setdefault(upload_id, asyncio.Lock())
        if lock.locked():
            await self._mine(who, upload_id)
            if receiving := self._receiving.get(upload_id):
                receiving.cancel()
        async with lock:
            yield await self._mine(who, upload_id)

    async def _mine(self, who: Identity, upload_id: str) -> Row:
        row = await self._db.row("uploads.upload", id=upload_id)
        if not row or row["user_id"] != who.user_id:
            raise NotFound("There is no such upload; it may have expired. Begin a new one.", code="upload_unknown")
        return row

    def _upload(self, row: Row, offset: int) -> Upload:
        expires_at = row["active_at"] + self._expires
        return Upload(
            row["id"], row["size"], offset, row["metadata"], expires_at, row["photo_id"], bool(row["duplicate"])
        )

    def _became(self, row: Row, accepted: Accepted) -> Upload:
        upload = self._upload(row, row["size"])
        return msgspec.structs.replace(upload, photo_id=accepted.photo_id, duplicate=accepted.duplicate)


def _add(tx: Tx, upload_id: str, who: Identity, size: int, metadata: str) -> Row:
    tx.run("uploads.add", id=upload_id, user_id=who.user_id, size=size, metadata=metadata, at=tx.at)
    row = tx.row("uploads.upload", id=upload_id)
    assert row is not None
    return row


def _drop(tx: Tx, upload_ids: Sequence[str]) -> None:
    for upload_id in upload_ids:
        tx.run("uploads.drop", id=upload_id)


def _touch(tx: Tx, upload_id: str) -> int:
    tx.run("uploads.touch", id=upload_id, at=tx.at)
    return tx.at


def _check_from(tx: Tx, upload_id: str, offset: int | None) -> None:
    tx.run("uploads.check_from", id=upload_id, unchecked_from=offset)


def read_metadata(header: str) -> Said:
    """What Upload-Metadata says (§ Creation): pairs of a key and a value in base64, apart by commas.

    Keys that mean nothing here are passed over; raises BadRequest, Invalid.
    """
    if not header.isascii():
        raise BadRequest("Upload-Metadata is not ASCII.", code="malformed_header")
    said = Said()
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace")
        except ValueError:
            raise BadRequest(f"Upload-Metadata: the value of {key!r} is not base64.", code="malformed_header") from None
        # What clients call it: `filename` is Uppy's, `name` that of older ones.
        if text:
            said.take("filename" if key == "name" and not said.filename else key, text)
    return said


def read_checksum(header: str | None) -> tuple[str, bytes] | None:
    """Upload-Checksum (§ Checksum): the algorithm and the digest."""
    if header is None:
        return None
    algorithm, _, value = header.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadRequest(
            f"Upload-Checksum: of the algorithms, {', '.join(CHECKSUMS)} are known.", code="malformed_header"
        )
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except ValueError:
        digest = b""
    if len(digest) != CHECKSUMS[algorithm]().digest_size:
        raise BadRequest(
            "Upload-Checksum: the digest is not base64 of that algorithm's length.", code="malformed_header"
        )
    return algorithm, digest


def number(request: web.Request, header: str) -> int:
    """A header that has to be a number of bytes."""
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise BadRequest(f"{header} has to be a number of bytes.", code="malformed_header")
    return int(text)


def headers_of(upload: Upload) -> dict[str, str]:
    """What an answer tells of an upload."""
    headers = {"Upload-Offset": str(upload.offset)}
    if upload.photo_id:
        headers |= {"Tagline-Photo": upload.photo_id, "Tagline-Duplicate": str(upload.duplicate).lower()}
    else:
        headers["Upload-Expires"] = formatdate(upload.expires_at / MICROSECONDS, usegmt=True)
    return headers


def _offset_header(offset: int) -> dict[str, str]:
    return {"Upload-Offset": str(offset)}
