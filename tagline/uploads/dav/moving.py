"""Moving and copying: a photo keeps its id, its line and its history wherever it goes; a copy is another path of it."""

from tagline.api import Identity
from tagline.db import Tx
from tagline.storage.provider import Entry, Folder
from tagline.uploads.dav import places
from tagline.uploads.dav.library import Library
from tagline.uploads.dav.removing import follow_file, mark_made, move_rows, remove_folder, vacate
from tagline.uploads.dav.scratch import Scratch
from tagline.uploads.dav.tree import Tree
from tagline.uploads.dav.writing import copy_file


async def make_free(library: Library, tree: Tree, who: Identity, key: str) -> None:
    """Whatever has a name leaves it: photos for the trash, and those that are in it already for a name beside."""
    if await tree.folder(key):
        await remove_folder(library, tree, who, key, vacate=True)
    elif entry := await tree.file(key):
        await library.known(entry)
        await vacate(library, who, entry, await library.db.row("dav.photo_at", path=key))


async def move_file(library: Library, who: Identity, entry: Entry, target: str) -> None:
    """Rename a file; its name is free."""
    key = entry.key
    await library.known(entry)
    await library.storage.move(key, target)
    moved = await library.storage.stat(target)

    def follow(tx: Tx) -> None:
        move_properties(tx, key, target)
        follow_file(tx, key, target, who.actor, moved)

    await library.db.write(follow)


async def move_folder(library: Library, scratch: Scratch, who: Identity, key: str, target: str) -> None:
    """Rename a folder; its name is free."""
    await library.storage.move(f"{key}/", f"{target}/")
    await scratch.move_below(key, target)

    def follow(tx: Tx) -> None:
        move_properties(tx, key, target)

    await library.db.write(follow)
    await move_rows(library, who.actor, key, target)


def move_properties(tx: Tx, key: str, target: str) -> None:
    """Properties follow what they are attached to."""
    tx.run("dav.drop_properties", path=target, **places.bounds(target))
    tx.run("dav.move_properties", path=key, target=target, **places.bounds(key))


async def copy_one(library: Library, who: Identity, entry: Entry, target: str) -> None:
    """Copy a file of the library to a free name."""
    known = await library.known(entry)
    opened = await library.storage.open(entry.key)
    await copy_file(library, who, opened, target, known["photo_id"])
    await copy_properties(library, entry.key, target)


async def copy_folder(library: Library, tree: Tree, who: Identity, key: str, target: str, *, deep: bool) -> None:
    """Copy a folder, with `deep` all that is shown in it, to a free name."""
    await make_folder(library, target)
    await copy_properties(library, key, target)
    if not deep:
        return
    trashed = {row["path"] for row in await library.db.rows("dav.trashed", **places.bounds(key))}
    async for item in tree.below(key):
        if item.key in trashed or places.is_apart(item.key.rstrip("/")):
            continue
        goal = places.folder_key(target) + item.key[len(key) + 1 :]
        if isinstance(item, Folder):
            if await tree.is_folder(item.key[:-1]):
                await make_folder(library, goal[:-1])
                await copy_properties(library, item.key[:-1], goal[:-1])
        else:
            await copy_one(library, who, item, goal)


async def make_folder(library: Library, key: str) -> None:
    """Make a folder that is shown."""
    await library.storage.make_folder(f"{key}/")
    await library.db.write(mark_made, key)


async def copy_properties(library: Library, key: str, target: str) -> None:
    """A copy has the same properties."""

    def copy(tx: Tx) -> None:
        tx.run("dav.drop_properties", path=target, **places.bounds(target))
        tx.run("dav.copy_properties", path=key, target=target)

    await library.db.write(copy)
