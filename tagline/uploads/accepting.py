"""Accepting: a file that has arrived becomes a photo of the library, or is found to be one that is here already.

The order of writes makes an acknowledgement true: the part is flushed, gets its name in the library, that folder is
flushed, the photo's row is committed with its change and its thumbnail's job, and only then is it answered. A crash
on the way leaves a part, or a whole photo that the next scan takes in.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from tagline.api import Identity, is_uuid
from tagline.db import Database, Row, Tx
from tagline.errors import Denied, Gone, NotFound, Unavailable, UnsupportedMedia
from tagline.jobs import Jobs, add
from tagline.photos import importing, lines
from tagline.photos.digest import Digester
from tagline.photos.importing import Found, Outcome, home
from tagline.photos.looking import Looking
from tagline.photos.verifying import verified
from tagline.storage.provider import Entry, Exists, Storage
from tagline.storage.threads import to_its_end
from tagline.uploads.parts import Arrived
from tagline.uploads.placing import folder_by_time, folder_for, name_for, numbered

# What a client knows of the time is better than a date in a name or the time of the copy, and worse than the camera's.
WEAK_TIMES = ("name", "mtime", None)


class Wanted(msgspec.Struct, frozen=True):
    """What a client said of a file. `taken_at`: µs and minutes; `album`: a folder's id or name; `again`: take it in
    even if it was deleted for good, or is in the trash."""

    filename: str = ""
    taken_at: tuple[int, int | None] | None = None
    album: str | None = None
    again: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The photo that a file is; `duplicate` if it was here before. `item` is the photo's JSON."""

    photo_id: str
    version: int
    item: str
    duplicate: bool


# What else is to be written in the transaction that makes the photo: its id, and whether it was here before.
Also = Callable[[Tx, str, bool], None]


class Accepting:
    """Takes files into one library."""

    def __init__(self, db: Database, storage: Storage, looking: Looking, digester: Digester, jobs: Jobs) -> None:
        self._db = db
        self._storage = storage
        self._looking = looking
        self._digester = digester
        self._jobs = jobs
        # One after the other for the same content: of eight phones that send it at once, seven find it here.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def check_writable(self) -> None:
        """Raises Denied where the library is read-only."""
        if not self._storage.writable:
            raise Denied(
                "The library is read-only, so that nothing can be added to it. Give Tagline's user the right to write "
                "into the folder of photos (for a systemd service also by ReadWritePaths=), or set another "
                "PHOTO_STORAGE_PATH.",
                code="read_only_library",
            )

    async def here(self, who: Identity, sha256: str, wanted: Wanted) -> Accepted | None:
        """The photo that has a content already, out of the trash if it is wanted `again`; raises what `check` does."""
        row = await self._db.row("uploads.here", sha256=sha256)
        if row and row["id"] is None:
            await self.check(sha256, wanted)
        # What has gone from the disk since the last scan is no reason for a phone to let go of its own.
        elif row and await self._storage.stat(row["object_key"]):
            return await self._as_it_is(who, row, wanted)
        return None

    async def _as_it_is(self, who: Identity, row: Row, wanted: Wanted) -> Accepted:
        photo_id = row["id"]
        if row["trashed_at"] is not None and wanted.again:
            row = await self._db.write(lines.set_trashed, who, photo_id, False)
        return Accepted(photo_id, row["version"], row["item"], True)

    async def check(self, sha256: str, wanted: Wanted) -> None:
        """Raises Gone for content that was deleted for good and is not wanted again."""
        if not wanted.again and await self._db.value("uploads.buried", sha256=sha256):
            raise Gone(
                "This photo was deleted for good. Send it with again=true if it is to come back.",
                code="deleted_for_good",
            )

    async def accept(self, who: Identity, arrived: Arrived, wanted: Wanted, also: Also | None = None) -> Accepted:
        """Make a photo of a file. The file itself is still there afterwards, or not: the caller drops it.

        Raises UnsupportedMedia for what is no photo or what scans leave out, Gone for what was deleted for good,
        DiskFull, Unavailable.
        """
        self.check_writable()
        self._digester.rest()
        lock = self._locks.setdefault(arrived.sha256, asyncio.Lock())
        async with lock:
            accepted = await self.here(who, arrived.sha256, wanted) or await self._take_in(who, arrived, wanted, also)
            if accepted.duplicate and also:
                await self._db.write(also, accepted.photo_id, True)
            return accepted

    async def _take_in(self, who: Identity, arrived: Arrived, wanted: Wanted, also: Also | None) -> Accepted:
        answer = await self._looked_into(arrived, wanted)
        found = Found(Entry("", arrived.size, 0, 0), answer, sha256=arrived.sha256, actor=who.actor)
        candidates = await self._db.rows("library.same_content", fingerprint=answer["fingerprint"], size=answer["size"])
        found = await verified(self._storage, self._looking, found, candidates)
        if known := await self._unhashed_until_now(who, found, candidates, wanted):
            return known
        folder, name = await self._goal(answer, wanted)
        if await self._storage.leaves_out(folder + name):
            raise UnsupportedMedia(
                "A .taglineignore of the library leaves files like this one out: the next scan would not find it.",
                code="left_out",
            )
        await asyncio.shield(arrived.flushed)
        return await to_its_end(self._store(who, arrived, found, wanted, folder, name, also))

    async def _store(
        self, who: Identity, arrived: Arrived, found: Found, wanted: Wanted, folder: str, name: str, also: Also | None
    ) -> Accepted:
        """The file's place and its row, both or none."""
        entry = await self._place(arrived, folder, name)
        try:
            accepted = await self._write(who, msgspec.structs.replace(found, entry=entry), wanted, also)
        except Exception:
            await self._storage.give_back(arrived.path, entry.key)
            raise
        if accepted.duplicate:
            # A scan has met the same content elsewhere meanwhile.
            await self._storage.give_back(arrived.path, entry.key)
        return accepted

    async def _unhashed_until_now(
        self, who: Identity, found: Found, candidates: list[Row], wanted: Wanted
    ) -> Accepted | None:
        """Of photos that look like a file the one that is the same, as its hash has shown just now."""
        for row in candidates:
            if row["id"] in found.same and row["missing_at"] is None and home(row) not in found.homeless:
                photo = await self._db.row("uploads.photo", id=row["id"])
                if photo:
                    return await self._as_it_is(who, photo, wanted)
        return None

    async def _looked_into(self, arrived: Arrived, wanted: Wanted) -> dict[str, Any]:
        """What the file's headers say; raises UnsupportedMedia, Unavailable for a fault of the moment."""
        if wanted.taken_at:
            at_ns = wanted.taken_at[0] * 1000
            await asyncio.to_thread(os.utime, arrived.path, ns=(at_ns, at_ns))
        answer = await self._looking.arrived(arrived.path, name_for(wanted.filename, ""))
        if answer.get("skipped"):
            raise UnsupportedMedia("This is no image or video that Tagline knows, whatever its name says.")
        if code := answer.get("error"):
            raise UnsupportedMedia(answer.get("detail") or "The file cannot be read as a photo.", code=code)
        metadata = answer["metadata"]
        if wanted.taken_at and metadata.get("taken_at_source") in WEAK_TIMES:
            at, offset = wanted.taken_at
            metadata |= {"taken_at": at, "taken_offset": offset, "taken_at_source": "upload"}
        return answer

    async def _goal(self, answer: dict[str, Any], wanted: Wanted) -> tuple[str, str]:
        """The folder that a file belongs in, and its name there as long as that is free."""
        metadata = answer["metadata"]
        if wanted.album:
            folder = await self.folder(wanted.album)
        else:
            folder = folder_by_time(metadata["taken_at"], metadata.get("taken_offset"))
        return folder, name_for(wanted.filename, answer["extension"])

    async def _place(self, arrived: Arrived, folder: str, name: str) -> Entry:
        number = 0
        while True:
            key = folder + numbered(name, number)
            # Where one name is taken others are as well, and looking costs less than trying: some phones call all of
            # their files image.jpg.
            there = await self._storage.stat(key) if number else None
            if there is None:
                try:
                    return await self._storage.adopt(arrived.path, key)
                except Exists:
                    there = await self._storage.stat(key)
            # Placed already, before a crash that came ahead of its row.
            if there and there.inode == await asyncio.to_thread(_inode, arrived):
                return there
            number += 1

    async def folder(self, album: str) -> str:
        """The folder of an album by id, or the one to be of a name; raises Invalid, NotFound."""
        if is_uuid(album):
            folder: str | None = await self._db.value("albums.folder", id=album.lower())
            if folder is None:
                raise NotFound("Album not found")
            return folder
        return folder_for(album)

    async def _write(self, who: Identity, found: Found, wanted: Wanted, also: Also | None) -> Accepted:
        while True:
            outcome, accepted, job_id = await self._db.write(_take_in, found, also)
            if accepted:
                self._jobs.added("digest", job_id)
                return accepted
            if outcome.fate != "verify":
                raise Unavailable("The file was changed while it was taken in. Try again.", code="file_changing")
            found = await verified(self._storage, self._looking, outcome.found, outcome.candidates)
            if known := await self._unhashed_until_now(who, found, outcome.candidates, wanted):
                return known


def _take_in(tx: Tx, found: Found, also: Also | None) -> tuple[Outcome, Accepted | None, str]:
    """The row, the change, the thumbnail's job and what else belongs to it, in one transaction."""
    [outcome] = importing.take_in(tx, [found])
    if not outcome.photo_id or outcome.fate in ("verify", "error"):
        return outcome, None, ""
    if also:
        also(tx, outcome.photo_id, False)
    photo = tx.row("photos.item", id=outcome.photo_id)
    assert photo is not None
    accepted = Accepted(outcome.photo_id, photo["version"], photo["item"], False)
    return outcome, accepted, add(tx, "digest", None, found.actor)


def _inode(arrived: Arrived) -> int | None:
    try:
        return arrived.path.stat().st_ino
    except FileNotFoundError:
        return None


ACCEPTING = web.AppKey("accepting", Accepting)
