"""What a storage can do: list, stat, open, store, delete, and say whether it is there and writable."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from aiohttp import web

from tagline.storage.entries import Absent, Away, Changed, Entry, Exists, Folder, Unreadable
from tagline.storage.opened import OpenFile

__all__ = ["STORAGE", "Absent", "Away", "Changed", "Entry", "Exists", "Folder", "OpenFile", "Storage", "Unreadable"]


class Storage(Protocol):
    """Where the bytes of photos lie.

    Every method raises `errors.Invalid("object_key", …)` for a key that is none, and `Away`
    (an `errors.Unavailable`) while the storage is away: unmounted, unplugged, its root gone.
    """

    @property
    def writable(self) -> bool:
        """Whether files can be stored and deleted, as `check` found it."""

    async def check(self) -> None:
        """Look at start whether the storage can be used; `errors.Unavailable` says what to do if not."""

    async def present(self) -> bool:
        """Whether the storage is there, be it empty. Never raises."""

    def walk(self, below: str = "") -> AsyncIterator[list[Entry | Unreadable]]:
        """All files, or those below a folder (with a slash at its end), in batches of at most 1,000.

        A directory's files come first, then its directories, by name.

        Passed over are hidden and temporary files, what cameras, NAS and systems keep for themselves, what a
        `.taglineignore` names, whatever is no regular file, and symbolic links out of the library or to
        directories. If the storage goes away meanwhile, `Away` is raised, so that a walk that
        ends has seen everything.
        """

    async def stat(self, key: str) -> Entry | None:
        """The file under `key`, or None if there is no regular file."""

    async def open(self, key: str, *, prefetch: int = 0) -> OpenFile:
        """Open a file for reading.

        A file of at most `prefetch` bytes is read at once, which saves two thread hops; it is in `content`.
        Raises `Absent`; `errors.Unavailable` (code `not_readable`) where permission is missing.
        """

    async def store(self, key: str, chunks: AsyncIterator[bytes], *, overwrite: bool = False) -> Entry:
        """Write a file so that it is there whole or not at all, and survives a power cut.

        Makes the folders it needs. Raises `Exists` unless `overwrite`, `errors.DiskFull`, and
        `errors.Unavailable` (code `storage_read_only`).
        """

    async def delete(self, key: str) -> None:
        """Delete a file for good; nothing happens if there is none."""

    async def incoming(self, *, make: bool = True) -> Path | None:
        """A hidden folder on the library's own disk for files that are still arriving; None if there is none.

        It is made when it is missing, unless `make` is false. What is written there can be adopted without copying it.
        """

    async def adopt(self, source: Path, key: str) -> Entry:
        """Give the local file `source`, whose content is flushed already, the name `key`, for good.

        Never seen in halves, and it survives a power cut once this returns. `source` may go on to be a name of the
        same file, or be gone. Makes the folders it needs. Raises what `store` does; never overwrites.
        """

    async def give_back(self, source: Path, key: str) -> None:
        """Undo `adopt`: nothing is at `key`, and `source` is there as before."""

    async def list(self, folder: str) -> list[Entry | Folder]:
        """What lies directly in a folder ("" or with a slash at its end), without what a walk passes over.

        Raises `Absent` if there is no such folder.
        """

    async def leaves_out(self, key: str) -> bool:
        """Whether a `.taglineignore` tells walks to pass over what is, or would be, at a key."""

    async def make_folder(self, folder: str) -> None:
        """Make a folder (with a slash at its end). Raises `Exists`, and `Absent` where the one above is missing."""

    async def move(self, key: str, target: str) -> None:
        """Rename a file, or a folder where both have a slash at their end. Raises `Absent`, `Exists`."""

    async def remove_folder(self, folder: str) -> None:
        """Remove a folder in which is nothing. Raises `Exists` if something is, `Absent` if there is none."""

    def path(self, key: str) -> Path | None:
        """Where the file lies on the local disk, for tools that need a path; None if it does not."""


STORAGE = web.AppKey("storage", Storage)
