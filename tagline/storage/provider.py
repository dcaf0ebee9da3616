"""What a storage can do: list, stat, open, store, delete, and say whether it is there and writable."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from aiohttp import web

from tagline.storage.entries import Absent, Away, Changed, Entry, Exists, Unreadable
from tagline.storage.opened import OpenFile

__all__ = ["STORAGE", "Absent", "Away", "Changed", "Entry", "Exists", "OpenFile", "Storage", "Unreadable"]


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

    def path(self, key: str) -> Path | None:
        """Where the file lies on the local disk, for tools that need a path; None if it does not."""


STORAGE = web.AppKey("storage", Storage)
