"""Photos without pixels: rows made by the scan's own write path, for tests that need many or exact ones."""

import hashlib
import itertools
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tagline.api import Identity
from tagline.db import Database, Tx, opened
from tagline.photos import importing
from tagline.photos.importing import Found
from tagline.storage.provider import Entry
from tests.house import House, migrated

ANA = Identity("ana", "owner", "admin", "Ana's phone")

_inodes = itertools.count(1_000_000)


def at(text: str) -> int:
    """Microseconds since 1970 of an ISO time; UTC where it has no offset."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


START = at("2024-06-30T20:00:00+00:00")


def found(key: str, **known: Any) -> Found:
    """A file as the scan finds it.

    `taken`: an ISO time, with its offset where the photo knows one; or `taken_at` (µs) and `taken_offset` (minutes).
    `caption`, `keywords`, `lat`, `lon`, `place`, `kind`, `size` as they are read from files.
    """
    known.setdefault("taken", "2024-07-01T12:00:00+00:00")
    offset = datetime.fromisoformat(known["taken"]).utcoffset()
    metadata = {
        "taken_at": at(known["taken"]),
        "taken_offset": None if offset is None else offset // timedelta(minutes=1),
        "taken_at_source": "exif",
        "width": 4000,
        "height": 3000,
    }
    kind = known.get("kind", "photo")
    names = ("taken_at", "taken_offset", "caption", "keywords", "lat", "lon", "place", "camera")
    metadata |= {name: known[name] for name in names if name in known}
    answer = {
        "kind": kind,
        "mime_type": "image/jpeg" if kind == "photo" else "video/mp4",
        "size": known.get("size", 1000),
        "fingerprint": known.get("fingerprint", hashlib.sha256(key.encode()).hexdigest()),
        "metadata": metadata,
    }
    sha256 = known.get("sha256", hashlib.sha256(b"content of " + key.encode()).hexdigest())
    return Found(Entry(key, known.get("size", 1000), 1, next(_inodes)), answer, sha256=sha256)


async def add(db: Database, files: Sequence[Found]) -> list[str]:
    """Take files in as a scan does; their photos' ids."""
    outcomes = await db.write(importing.take_in, list(files))
    ids = [outcome.photo_id for outcome in outcomes if outcome.photo_id]
    assert len(ids) == len(files), outcomes
    return ids


async def add_photos(house: House, photos: Sequence[dict[str, Any] | str]) -> list[str]:
    """Put photos into a house: each a key, or what `found` takes. Their ids, in order."""
    return await add(house.db, [found(one) if isinstance(one, str) else found(**one) for one in photos])


async def lose(db: Database, key: str, photo_id: str) -> None:
    """A photo's file has gone."""
    await db.write(importing.lose_paths, [(key, photo_id)])


def peek(db: Database, query: str) -> list[Any]:
    """Rows of the database as it is on disk, for what no route tells."""
    with closing(sqlite3.connect(db.path)) as connection:
        return connection.execute(query).fetchall()


@asynccontextmanager
async def library() -> AsyncIterator[Database]:
    """A database of its own, migrated, with ana as its only user: quicker than a house, for property tests."""

    def move_in(tx: Tx) -> None:
        tx.run("accounts.add_user", id=ANA.user_id, name="Ana", role="owner", password_hash=None, at=tx.at)

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "library.db"
        path.write_bytes(migrated())
        async with opened(path) as db:
            await db.write(move_in)
            yield db
