"""Removing: photos go to the trash, everything else into a hidden folder. Nothing is deleted for good."""

import asyncio
from contextlib import suppress
from typing import Literal

from tagline.api import Identity
from tagline.changes import Actor
from tagline.db import Row, Tx
from tagline.photos import importing, lines
from tagline.storage.provider import Absent, Entry, Exists, Folder
from tagline.uploads.dav import places
from tagline.uploads.dav.library import MADE, TRASH, Library, stamp
from tagline.uploads.dav.scratch import Scratch
from tagline.uploads.dav.tree import Tree

# Files that are removed side by side; their writes share commits.
STEP = 20
# Rows of files that follow their folder in one transaction.
ROWS = 200


async def remove_file(library: Library, who: Identity, entry: Entry, when: str, *, vacate: bool = False) -> None:
    """Put a photo into the trash, or what is none (or a further copy) into the hidden folder of the time `when`.

    A photo's file stays where it is; with `vacate` it steps aside, so that its name is free.
    """
    known = await library.known(entry)
    if await library.db.write(_let_go, who, entry.key) == "copy":
        await library.put_away(entry.key, when)
    elif vacate:
        await move_aside(library, who, entry.key, known["photo_id"])


async def expire(library: Library, scratch: Scratch) -> None:
    """End what was kept apart for too long. What somebody may miss goes to the hidden folder of this time."""
    when = stamp()
    for kept in await scratch.expired():
        if kept.entry.size and not places.is_rubbish(places.name_of(kept.entry.key)):
            with suppress(Exists):
                await library.storage.adopt(kept.path, f"{TRASH}/{when}/{kept.entry.key}")
        await scratch.drop(kept.entry.key)


async def vacate(library: Library, who: Identity, entry: Entry, photo: Row | None) -> None:
    """A file leaves its name: one of a photo in the trash for a name beside, any other one as if it were removed.

    `photo` is its row of `dav.photo_at`.
    """
    if photo and photo["trashed_at"] is not None and photo["object_key"] == entry.key:
        await move_aside(library, who, entry.key, photo["id"])
    else:
        await remove_file(library, who, entry, stamp(), vacate=True)


def _let_go(tx: Tx, who: Identity, key: str) -> Literal["trashed", "copy"]:
    """A photo with no other file goes to the trash; of any other file, the library knows nothing any more."""
    tx.run("dav.drop_properties", path=key, **places.bounds(key))
    photo = tx.row("dav.photo_at", path=key)
    if photo and len(tx.rows("photos.paths", photo_id=photo["id"])) == 1:
        lines.set_trashed(tx, who, photo["id"], True)
        return "trashed"
    importing.lose_paths(tx, [(key, photo["id"] if photo else None)])
    return "copy"


async def move_aside(library: Library, who: Identity, key: str, photo_id: str) -> None:
    """The file of a photo in the trash gets another name beside its own; its photo follows."""
    aside = await library.step_aside(key)
    entry = await library.storage.stat(aside)
    if entry is None:
        raise Absent(aside)
    row = (aside, key, photo_id, entry.size, entry.mtime_ns, entry.inode)
    await library.db.write(importing.move_files, [row], who.actor)


async def remove_folder(library: Library, tree: Tree, who: Identity, key: str, *, vacate: bool = False) -> None:
    """Remove all that is in a folder, then the folders in which nothing is left.

    Where photos in the trash lie in it, it stays on the disk and is not shown; with `vacate` it steps aside then.
    """
    when = stamp()
    folders, files = [f"{key}/"], list[Entry]()
    async for item in tree.below(key):
        if isinstance(item, Folder):
            folders.append(item.key)
            continue
        files.append(item)
        if len(files) == STEP:
            await _remove_files(library, who, files, when)
            files = []
    await _remove_files(library, who, files, when)
    await library.db.write(lambda tx: tx.run("dav.drop_properties", path=key, **places.bounds(key)))
    for folder in reversed(folders):
        try:
            await library.storage.remove_folder(folder)
        except Absent:
            continue
        except Exists:
            # What is hidden to everybody goes along; of photos in the trash, the place is known.
            if not await library.db.rows("dav.files_below", **places.bounds(folder[:-1]), take=1):
                await library.put_away(folder, stamp())
    if vacate and await tree.folder(key):
        aside = await library.step_aside(f"{key}/")
        await move_rows(library, who.actor, key, aside[:-1])


async def _remove_files(library: Library, who: Identity, files: list[Entry], when: str) -> None:
    results = await asyncio.gather(*(remove_file(library, who, entry, when) for entry in files), return_exceptions=True)
    for result in results:
        # What has gone meanwhile is removed.
        if isinstance(result, BaseException) and not isinstance(result, Absent):
            raise result


async def move_rows(library: Library, actor: Actor, key: str, target: str) -> None:
    """A folder has another name: the rows of all files in it follow, in steps. A scan would come to the same."""
    bounds = places.bounds(key)

    def follow(tx: Tx) -> bool:
        rows = tx.rows("dav.files_below", **bounds, take=ROWS)
        for row in rows:
            path = places.folder_key(target) + row["path"][len(key) + 1 :]
            follow_file(tx, row["path"], path, actor)
        return len(rows) == ROWS

    # One after the other: others write in between.
    while await library.db.write(follow):
        pass


def follow_file(tx: Tx, path: str, target: str, actor: Actor, entry: Entry | None = None) -> None:
    """A file has another name: its row follows, and its photo. `entry` is the file as it is there now."""
    row = tx.row("library.file", path=path)
    if row is None:
        return
    stale = tx.row("library.file", path=target)
    if stale and stale["photo_id"] != row["photo_id"]:
        importing.lose_paths(tx, [(target, stale["photo_id"])])
    identity = (entry.size, entry.mtime_ns, entry.inode) if entry else (row["size"], row["mtime_ns"], row["inode"])
    if row["photo_id"]:
        importing.move_files(tx, [(target, path, row["photo_id"], *identity)], actor)
    else:
        size, mtime_ns, inode = identity
        tx.run("library.drop_file", path=path)
        tx.run(
            "library.put_file", path=target, photo_id=None, size=size, mtime_ns=mtime_ns, inode=inode,
            problem=row["problem"], detail=row["detail"],
        )  # fmt: skip
    if tx.row("library.file", path=path):
        # A scan that came in between has it at its new path already.
        importing.lose_paths(tx, [(path, row["photo_id"])])


def mark_made(tx: Tx, key: str) -> None:
    """A folder that was made is shown, be there photos in the trash in it from before."""
    tx.run("dav.set_property", path=key, value="", **MADE)
