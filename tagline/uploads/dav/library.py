"""What every way of changing the library over WebDAV needs: knowing a file, taking one in, making names free.

Nothing is ever overwritten or deleted here. A file that has to leave its name steps aside if it is a photo's only
one, and goes to a hidden folder of the library, under the time of the day, if it is a copy or no photo.
"""

import itertools
import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from tagline import times
from tagline.db import Database, Row, Tx
from tagline.errors import Unavailable
from tagline.jobs import Jobs, add
from tagline.photos import importing
from tagline.photos.importing import PASSING, Found, Outcome
from tagline.photos.looking import Looking
from tagline.photos.verifying import verified
from tagline.storage.provider import Absent, Entry, Exists, Storage
from tagline.uploads.dav import places

T = TypeVar("T")
P = ParamSpec("P")

# Where goes what is no photo, or a further copy of one: hidden, so that no scan and no client meets it.
TRASH = ".tagline-trash"
# A folder that was made is shown, though what lies in it on the disk be all in the trash: by this property.
MADE = {"namespace": "urn:tagline", "name": "made"}


class Unsure(Exception):
    """A file could be one of several photos: the transaction is undone until that is known by hash."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.found.entry.key)
        self.outcome = outcome


class Library:
    """The library's files and their rows, together."""

    def __init__(self, db: Database, storage: Storage, looking: Looking, jobs: Jobs) -> None:
        self.db = db
        self.storage = storage
        self.looking = looking
        self._jobs = jobs

    async def known(self, entry: Entry) -> Row:
        """The row of a file; one that nobody has looked at since it changed is taken in first, as by a scan."""
        row = await self.db.row("library.file", path=entry.key)
        if row is None or (row["size"], row["mtime_ns"], row["inode"]) != (entry.size, entry.mtime_ns, entry.inode):
            found = (await self.looking.headers([entry]))[0]
            await self.write(take_in, [found])
            row = await self.db.row("library.file", path=entry.key)
        if row is None:
            raise Unavailable("The file cannot be looked into now. Try again.", code="file_changing", retry_after=2)
        return row

    async def write(
        self,
        call: Callable[Concatenate[Tx, list[Found], P], T],
        found: list[Found],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a write that takes files in; as often as it takes until all of them are known for sure."""
        while True:
            try:
                result = await self.db.write(call, found, *args, **kwargs)
            except Unsure as unsure:
                outcome = unsure.outcome
                sure = await verified(self.storage, self.looking, outcome.found, outcome.candidates)
                found = [sure if each.entry.key == sure.entry.key else each for each in found]
                continue
            if job := await self.db.value("jobs.open", kind="digest"):
                self._jobs.added("digest", job)
            return result

    async def step_aside(self, key: str) -> str:
        """Give a file (or, with a slash at its end, a folder) a free name beside its own; gives that."""
        bare = key.rstrip("/")
        folder, slash = places.folder_key(places.above(bare)), key[len(bare) :]
        stem, ending = os.path.splitext(places.name_of(bare))
        # There has to be room for the number in the 255 bytes of a name.
        stem = stem.encode()[:200].decode("utf-8", "ignore")
        for number in itertools.count(1):
            aside = f"{folder}{stem}-{number}{ending}{slash}"
            try:
                await self.storage.move(key, aside)
            except Exists:
                continue
            return aside
        raise AssertionError

    async def put_away(self, key: str, stamp: str) -> None:
        """Move a file, or a folder with a slash at its end, into the hidden folder, below the time `stamp`."""
        await self.make_folders(f"{TRASH}/{stamp}/{places.above(key.rstrip('/'))}".rstrip("/"))
        await self.storage.move(key, f"{TRASH}/{stamp}/{key}")

    async def prune(self, key: str) -> None:
        """Remove a folder, and those above it, that the last photo in the trash has left: nobody has seen them."""
        while key and not await self.db.value("dav.property", path=key, **MADE):
            try:
                await self.storage.remove_folder(f"{key}/")
            except (Absent, Exists):
                return
            key = places.above(key)

    async def make_folders(self, key: str) -> None:
        """Make a folder and those above it that are missing."""
        made = ""
        for part in key.split("/"):
            made += f"{part}/"
            try:
                await self.storage.make_folder(made)
            except Exists:
                continue


def stamp() -> str:
    """A folder name that is unique and says when: `2026-11-20 10.15.30.123456`."""
    return times.to_text(times.now()).replace("T", " ").replace(":", ".").removesuffix("Z")


def take_in(tx: Tx, found: list[Found]) -> Outcome:
    """Write one file; raises Unsure where it could be another photo, Unavailable for a fault of the moment."""
    [outcome] = importing.take_in(tx, found)
    if outcome.fate == "verify":
        raise Unsure(outcome)
    if outcome.found.answer.get("error") in PASSING:
        raise Unavailable("The file is changing right now. Try again.", code="file_changing", retry_after=2)
    if outcome.photo_id:
        add(tx, "digest", None, found[0].actor)
    return outcome
