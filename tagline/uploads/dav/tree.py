"""The tree: the library's folders as WebDAV shows them, without what is in the trash."""

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator

import msgspec

from tagline.db import Database
from tagline.errors import Invalid
from tagline.storage.directories import directory
from tagline.storage.provider import Absent, Entry, Folder, Storage
from tagline.uploads.dav import places
from tagline.uploads.dav.library import MADE
from tagline.uploads.dav.scratch import Kept, Scratch

# So many are made at once, then others have their turn.
STEP = 200


class Node(msgspec.Struct, frozen=True, gc=False):
    """A file or folder that is shown. `entry` is None for a folder; `apart` if it is kept outside the library."""

    key: str
    mtime_ns: int
    entry: Entry | None = None
    kind: str = ""
    apart: bool = False

    @property
    def etag(self) -> str | None:
        """With quotes; folders have none."""
        return f'"{tag_of(self.entry)}"' if self.entry else None


def tag_of(entry: Entry) -> str:
    """A file's entity tag, without quotes."""
    return f"{entry.mtime_ns:x}-{entry.size:x}-{entry.inode:x}"


class Tree:
    """Looks things up."""

    def __init__(self, db: Database, storage: Storage, scratch: Scratch) -> None:
        self._db = db
        self._storage = storage
        self._scratch = scratch

    async def at(self, key: str) -> Node | None:
        """What is shown at a key; None if nothing is."""
        if kept := self._scratch.get(key):
            return _apart(kept)
        if places.is_apart(key):
            return None
        if key and (entry := await self.file(key)):
            photo = await self._db.row("dav.photo_at", path=key)
            if photo and photo["trashed_at"] is not None:
                return None
            return Node(key, entry.mtime_ns, entry, photo["mime_type"] if photo else places.media_type(key))
        folder = await self.folder(key)
        if folder is None or await self._is_hidden(key):
            return None
        return Node(key, folder.mtime_ns)

    async def file(self, key: str) -> Entry | None:
        """The file that is at a key on the disk, be it in the trash."""
        try:
            return await self._storage.stat(key)
        except Invalid:
            return None

    async def folder(self, key: str) -> Folder | None:
        """The folder that is at a key on the disk, be all in it in the trash; links are not followed."""
        path = self._storage.path(f"{key}/x" if key else "x")
        if path is None:
            try:
                await self._storage.list(places.folder_key(key))
            except Absent:
                return None
            return Folder(places.folder_key(key), 0)
        root = path.parents[key.count("/") + 1 if key else 0]

        def look() -> Folder | None:
            try:
                with directory(root, places.folder_key(key)) as descriptor:
                    return Folder(places.folder_key(key), os.fstat(descriptor).st_mtime_ns)
            except OSError:
                return None

        found = await asyncio.to_thread(look)
        if found is None and not key:
            await self._storage.check()
        return found

    async def is_folder(self, key: str) -> bool:
        """Whether there is a folder that is shown."""
        node = await self.at(key)
        return node is not None and node.entry is None

    async def spelled(self, key: str) -> str:
        """The key in the spelling of what is there: macOS sends names in decomposed form. What is new is composed."""
        if key.isascii():
            return key
        found = ""
        for part in key.split("/"):
            ways = dict.fromkeys([part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)])
            for way in ways:
                tried = f"{found}/{way}" if found else way
                if self._scratch.get(tried) or await self.file(tried) or await self.folder(tried):
                    break
            else:
                composed = unicodedata.normalize("NFC", part)
                tried = f"{found}/{composed}" if found else composed
            found = tried
        return found

    async def children(self, key: str) -> AsyncIterator[list[Node]]:
        """What is shown in a folder, in steps. Costs three queries, however much is in it."""
        folder = places.folder_key(key)
        try:
            listed = await self._storage.list(folder)
        except Absent:
            return
        trashed = {row["path"] for row in await self._db.rows("dav.trashed", **places.bounds(key))}
        kinds = {row["object_key"]: row["mime_type"] for row in await self._db.rows("dav.kinds", folder=folder)}
        apart = {kept.entry.key: kept for kept in self._scratch.below(key, deep=False)}
        doubtful = {f"{folder}{path[len(folder) :].partition('/')[0]}/" for path in trashed}
        nodes: list[Node] = []
        for number, item in enumerate(listed, 1):
            key = item.key.rstrip("/")
            if places.is_temporary(places.name_of(key)):
                continue
            if isinstance(item, Folder):
                if not (item.key in doubtful and await self._is_hidden(key)):
                    nodes.append(Node(key, item.mtime_ns))
            elif key not in trashed and key not in apart:
                nodes.append(Node(key, item.mtime_ns, item, kinds.get(key) or places.media_type(key)))
            if number % STEP == 0:
                yield nodes
                nodes = []
        # Empty files wait there for their content: who has put one expects to see it.
        nodes += [_apart(kept) for name, kept in apart.items() if not places.is_apart(name)]
        if nodes:
            yield nodes

    async def below(self, key: str) -> AsyncIterator[Entry | Folder]:
        """All on the disk in a folder, be it in the trash; a folder comes before what is in it."""
        pending = [places.folder_key(key)]
        while pending:
            try:
                listed = await self._storage.list(pending.pop())
            except Absent:
                continue
            for item in listed:
                yield item
            pending.extend(item.key for item in reversed(listed) if isinstance(item, Folder))

    async def _is_hidden(self, key: str) -> bool:
        """Whether a folder holds nothing but what is in the trash, and something of that."""
        bounds = places.bounds(key)
        if not key or await self._db.row("dav.alive", **bounds):
            return False
        trashed = {row["path"] for row in await self._db.rows("dav.trashed", **bounds)}
        if not trashed or any(not places.is_apart(kept.entry.key) for kept in self._scratch.below(key, deep=True)):
            return False
        if await self._db.value("dav.marked", path=key, **bounds, **MADE):
            return False
        # What nobody has scanned yet is shown, and so is an empty folder.
        async for item in self.below(key):
            if isinstance(item, Entry) and item.key not in trashed:
                return False
            if isinstance(item, Folder) and not any(path.startswith(item.key) for path in trashed):
                return False
        return True


def _apart(kept: Kept) -> Node:
    return Node(kept.entry.key, kept.entry.mtime_ns, kept.entry, places.media_type(kept.entry.key), apart=True)
