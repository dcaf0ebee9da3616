"""Writing: a file that has arrived gets the name that its client wants, and is a photo at once if it is one.

The order of writes is that of uploads: the bytes are flushed, the file gets its name, its row is committed, then it
is answered. Where another file has that name, it steps aside first. A crash on the way leaves every file under some
name, and the next scan finds what is not written down.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import msgspec

from tagline import times
from tagline.api import Identity
from tagline.changes import record
from tagline.db import Row, Tx
from tagline.photos import importing, lines
from tagline.photos.importing import Found
from tagline.storage.provider import Absent, Entry, OpenFile
from tagline.uploads.dav import places
from tagline.uploads.dav.library import Library, stamp, take_in
from tagline.uploads.dav.removing import vacate
from tagline.uploads.parts import Arrived

_COPIED_AT_ONCE = 1024 * 1024


async def place(library: Library, who: Identity, arrived: Arrived, key: str, *, dated: bool = False) -> Entry:
    """Put a file into the library; gives it as it is there. `dated` if its time is one that its client has set.

    A photo whose file has the name goes on with the new content, in a new version, and its file as it was becomes
    a photo in the trash. Any other file of that name leaves it as if it were removed.
    """
    there = await library.storage.stat(key)
    if there is None:
        return await _add(library, who, arrived, key)
    await library.known(there)
    photo = await library.db.row("dav.photo_at", path=key)
    if there.size == arrived.size and await library.looking.sha256(there) == arrived.sha256:
        return await _again(library, who, arrived, there, photo, dated=dated)
    if photo and photo["trashed_at"] is None and photo["object_key"] == key:
        return await _replace(library, who, arrived, there, photo["id"])
    await vacate(library, who, there, photo)
    return await _add(library, who, arrived, key)


async def _add(library: Library, who: Identity, arrived: Arrived, key: str) -> Entry:
    answer = await library.looking.arrived(arrived.path, places.name_of(key))
    entry = await library.storage.adopt(arrived.path, key)
    found = Found(entry, answer, sha256=arrived.sha256, actor=who.actor)
    try:
        await library.write(take_in, [found])
    except BaseException:
        await asyncio.shield(library.storage.give_back(arrived.path, key))
        raise
    await _revive(library, who, [key])
    return entry


async def _revive(library: Library, who: Identity, keys: list[str]) -> None:
    """Content that is in the trash was put again: its photo comes out of it, and is at these keys alone."""
    photo = await library.db.row("dav.photo_at", path=keys[0])
    if photo is None or photo["trashed_at"] is None:
        return
    when = stamp()
    for row in await library.db.rows("photos.paths", photo_id=photo["id"]):
        if row["path"] not in keys:
            await library.db.write(importing.lose_paths, [(row["path"], photo["id"])])
            # One that is gone need not go.
            with contextlib.suppress(Absent):
                await library.put_away(row["path"], when)
                await library.prune(places.above(row["path"]))
    await library.db.write(lines.set_trashed, who, photo["id"], False)


async def _again(
    library: Library, who: Identity, arrived: Arrived, there: Entry, photo: Row | None, *, dated: bool
) -> Entry:
    """What has arrived is there already; only its time may be another, and it may be in the trash."""
    if photo and photo["trashed_at"] is not None:
        await library.db.write(lines.set_trashed, who, photo["id"], False)
    path = library.storage.path(there.key)
    if dated and path is not None:
        seen = await asyncio.to_thread(arrived.path.stat)
        if seen.st_mtime_ns != there.mtime_ns:
            await asyncio.to_thread(os.utime, path, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
            there = await library.storage.stat(there.key) or there
            await library.known(there)
    return there


async def _replace(library: Library, who: Identity, arrived: Arrived, there: Entry, photo_id: str) -> Entry:
    """A photo's file is exchanged for another one."""
    key, storage = there.key, library.storage
    answer = await library.looking.arrived(arrived.path, places.name_of(key))
    began = times.now()
    aside = await library.step_aside(key)
    try:
        entry = await storage.adopt(arrived.path, key)
        try:
            kept = await storage.stat(aside)
            if kept is None:
                raise Absent(aside)
            new = Found(entry, answer, sha256=arrived.sha256, actor=who.actor)
            old = msgspec.structs.replace((await library.looking.headers([kept]))[0], actor=who.actor)
            copies = await library.write(_exchange, [new, old], who, photo_id, began)
        except BaseException:
            await asyncio.shield(storage.give_back(arrived.path, key))
            raise
    except BaseException:
        await asyncio.shield(storage.move(aside, key))
        raise
    if copies is not None:
        await library.put_away(aside, stamp())
        if copies:
            await _revive(library, who, copies)
    return entry


def _exchange(tx: Tx, found: list[Found], who: Identity, photo_id: str, began: int) -> list[str] | None:
    """The photo has the new file; a photo in the trash has the old one.

    Where the old content is somewhere else as well, its file need not be kept as a photo: then gives the paths that
    were copies until now, and are a photo of their own from now on.
    """
    new, old = found
    key, aside = new.entry.key, old.entry.key
    _take_back(tx, who, key, aside, photo_id, began)
    copies = [row for row in tx.rows("photos.paths", photo_id=photo_id) if row["path"] not in (key, aside)]
    here = take_in(tx, [new])
    if here.photo_id != photo_id:
        # What came is no photo, or one that had lost its file: the photo that was here goes with its own.
        photo = tx.row("library.photo", id=photo_id)
        if photo is None or photo["object_key"] not in (key, aside):
            # It lives on in a copy.
            return []
        _follow(tx, who, old.entry, photo_id)
        lines.set_trashed(tx, who, photo_id, True)
        return None
    kept = take_in(tx, [old])
    if kept.photo_id is None or kept.fate == "duplicate" or copies:
        for row in copies if kept.photo_id else []:
            tx.run("library.put_file", photo_id=kept.photo_id, problem=None, detail=None, **dict(row))
        importing.lose_paths(tx, [(aside, kept.photo_id)])
        return [row["path"] for row in copies]
    lines.set_trashed(tx, who, kept.photo_id, True)
    return None


def _take_back(tx: Tx, who: Identity, key: str, aside: str, photo_id: str, began: int) -> None:
    """A scan that saw the file step aside let its photo follow, and may have made a new one of what came."""
    seen = tx.row("library.file", path=aside)
    if seen is None or seen["photo_id"] != photo_id:
        return
    made = tx.row("dav.made_of", path=key, since=began // 1000 * 1000)
    if made:
        tx.run("photos.delete", id=made["id"])
        record(tx, who.actor, "photo", made["id"], "delete", made["version"] + 1, {"object_key": [key, None]})
    importing.move_files(
        tx, [(key, aside, photo_id, seen["size"], seen["mtime_ns"], seen["inode"])], who.actor
    )  # fmt: skip


def _follow(tx: Tx, who: Identity, entry: Entry, photo_id: str) -> None:
    """A photo that has lost its path is at another one."""
    tx.run(
        "library.put_file", path=entry.key, photo_id=photo_id, size=entry.size, mtime_ns=entry.mtime_ns,
        inode=entry.inode, problem=None, detail=None,
    )  # fmt: skip
    importing.set_path(tx, photo_id, entry.key, who.actor)


async def copy_file(library: Library, who: Identity, opened: OpenFile, key: str, photo_id: str | None) -> None:
    """Store what is open, once more, under a free name: another path of the photo that it is. Closes it."""
    async with opened:
        entry = await library.storage.store(key, _pieces(opened))
    [found] = await library.looking.headers([entry])
    same = frozenset([photo_id] if photo_id else [])
    found = msgspec.structs.replace(found, actor=who.actor, same=same)
    await library.write(take_in, [found])
    await _revive(library, who, [key])


async def _pieces(opened: OpenFile) -> AsyncIterator[bytes]:
    for at in range(0, opened.entry.size, _COPIED_AT_ONCE):
        [piece] = await opened.read([(at, min(_COPIED_AT_ONCE, opened.entry.size - at))])
        yield piece
