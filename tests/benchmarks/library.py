"""Libraries of any size, made through the real migrations and kept for the next run.

Beside each lies the same in one plain table for the bare baseline. The photos of a library of up to 100,000 are
(tiny) files on the disk too, so that a scan finds it unchanged.
"""

import hashlib
import random
import shutil
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import msgspec

from tagline.migrations import migrate
from tagline.photos import words
from tagline.photos.importing import ALBUMS
from tagline.photos.photo import first_rank
from tests.benchmarks.servers import ROOT

# To be raised when what is made here changes.
EDITION = b"1"
MOST_FILES = 100_000
FIRST_DAY = 1_041_379_200_000_000  # 2003-01-01, µs
YEARS = 22
_HOUSE = """
    ana ben lake summer garden birthday boat beach snow mountain grandma school kitchen dog cat sunset train picnic
    bridge harbour forest christmas wedding market window morning river cake bicycle castle autumn island concert meadow
"""
HOUSE = _HOUSE.split()
# In every tenth photo's line; what is searched as a common word.
COMMON = "lake"
KEYWORDS = [f"{first} {second}" for first in HOUSE[:12] for second in HOUSE[12:24]]

_PHOTO = """
insert into photos (id, taken_rank, object_key, description, keywords, favourite, kind, mime_type, size, width, height,
    taken_at, taken_offset, taken_at_source, camera, exposure, f_number, iso, lat, lon, words, fingerprint, sha256,
    content_hash, placeholder, unread, last_modified, imported_at)
values (:id, :taken_rank, :object_key, :description, :keywords, :favourite, 'photo', 'image/jpeg', :size, 4032, 3024,
    :taken_at, 120, 'exif', 'Apple iPhone 12', '1/250', 1.8, 64, :lat, :lon, :words, :fingerprint, :sha256,
    :sha256, '1QcSHQRnh493V4dIh4eXh1h4kJUI', 0, :modified, :modified)
"""
_FILE = """
insert into files (path, photo_id, size, mtime_ns, inode) values (:object_key, :id, :size, :mtime_ns, :inode)
"""
_LINE = "insert into lines (photo_id, version, line, origin, at) values (:id, 1, :description, 'file', :modified)"
_BARE = """
create table photos (id text primary key, taken_rank integer not null unique, object_key text not null,
    description text not null, last_modified text not null, version integer not null) strict
"""


@dataclass(frozen=True)
class Library:
    """A library that was made. Never served from its own place: servers write."""

    size: int
    database: Path
    bare: Path
    photos: Path

    def copied(self, to: Path) -> Path:
        """A data directory with a copy of the database."""
        to.mkdir(parents=True)
        shutil.copyfile(self.database, to / "tagline.db")
        return to

    def is_on_disk(self) -> bool:
        """Whether its files are those that it was made with (the first tells: they are made and copied together)."""
        if self.size > MOST_FILES:
            return True
        with closing(sqlite3.connect(self.database)) as connection:
            path, *known = connection.execute("select path, size, mtime_ns, inode from files limit 1").fetchone()
        try:
            state = (self.photos / path).stat()
        except FileNotFoundError:
            return False
        return (state.st_size, state.st_mtime_ns, state.st_ino) == tuple(known)

    def ids(self, count: int) -> list[str]:
        """Ids spread over the library."""
        return [row[0] for row in self._spread("id", count)]

    def ranks(self, count: int) -> list[int]:
        """Ranks in the older half: deep in a list."""
        return [row[0] for row in self._spread("taken_rank", 2 * count)][: count + 1][1:]

    def _spread(self, column: str, count: int) -> list[Any]:
        with closing(sqlite3.connect(self.bare)) as connection:
            step = max(1, self.size // count)
            # Two fixed names, from above.
            rows = connection.execute(f"select {column} from photos order by taken_rank").fetchall()
        return rows[::step][:count]


def library(kept: Path, size: int) -> Library:
    """The library of this size, made if it is not there or was made for another schema."""
    made_by = hashlib.sha256(EDITION)
    for migration in sorted((ROOT / "sql/migrations").glob("*.sql")):
        made_by.update(migration.read_bytes())
    here = kept / f"library-{size}"
    found = Library(size, here / "tagline.db", here / "bare.db", kept / f"files-{size}")
    stamp = here / "made-by"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != made_by.hexdigest() or not found.is_on_disk():
        print(f"… making a library of {size:,} photos, once", file=sys.stderr, flush=True)
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        found.photos.mkdir(exist_ok=True)
        _make(found)
        stamp.write_text(made_by.hexdigest(), encoding="utf-8")
    return found


def _make(made: Library) -> None:
    migrate(made.database)
    with (
        closing(sqlite3.connect(made.database, isolation_level=None)) as real,
        closing(sqlite3.connect(made.bare)) as plain,
    ):
        for pragma in ("journal_mode = wal", "synchronous = off", "cache_size = -400000"):
            real.execute(f"pragma {pragma}")
        plain.execute(_BARE)
        rows = _rows(made)
        while some := list(islice(rows, 10_000)):
            real.execute("begin")
            real.executemany(_PHOTO, some)
            real.executemany(_FILE, some)
            real.executemany(_LINE, (row for row in some if row["description"]))
            real.execute("commit")
            plain.executemany(
                "insert into photos values (:id, :taken_rank, :object_key, :description, :modified_text, 1)", some
            )
        folders = [row[0] for row in real.execute("select distinct folder from photos")]
        real.executemany(
            "insert into albums (id, folder, title, created_at) values (?, ?, ?, 0)",
            ((str(uuid.uuid5(ALBUMS, folder)), folder, folder.rstrip("/").rpartition("/")[2]) for folder in folders),
        )
        plain.commit()
        real.execute("pragma wal_checkpoint(truncate)")


def vocabulary() -> list[str]:
    """Words from common to rare: those of a household, then made ones."""
    chance = random.Random(1)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    made = {"".join(chance.choices(syllables, k=chance.choice((2, 3, 3, 4)))) for _ in range(8_000)}
    return [word for word in HOUSE if word != COMMON] + sorted(
        made, key=lambda word: hashlib.md5(word.encode()).digest()
    )


def _rows(made: Library) -> Iterator[dict[str, Any]]:
    chance = random.Random(made.size)
    known = vocabulary()
    # Zipf: the nth word is used 1/n as often.
    weights = list(accumulate(1 / (place + 2) for place in range(len(known))))
    at = FIRST_DAY
    step = YEARS * 365 * 86_400_000_000 // made.size
    for number in range(made.size):
        # Half of all are of a burst, the others far apart.
        at += chance.randrange(1_000, 20_000) * 1000 if chance.random() < 0.5 else chance.randrange(1, 4 * step)
        told = chance.random() < 0.5
        line = chance.choices(known, cum_weights=weights, k=chance.randrange(6, 11)) if told else []
        # Of all photos a tenth: of those with a line a fifth.
        if told and chance.random() < 0.2:
            line[chance.randrange(len(line))] = COMMON
        description = " ".join(line).capitalize()
        keywords = chance.sample(KEYWORDS, chance.randrange(1, 4)) if chance.random() < 0.3 else []
        key = f"{2003 + number * YEARS // made.size}/{number // 400 % 12 + 1:02}/IMG_{number:07}.jpg"
        located = chance.random() < 0.4
        sha256 = f"{chance.getrandbits(256):064x}"
        size, mtime_ns, inode = _file(made, number, key)
        yield {
            "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "taken_rank": first_rank(at),
            "taken_at": at,
            "object_key": key,
            "description": description,
            "keywords": msgspec.json.encode(keywords).decode(),
            "favourite": int(chance.random() < 0.03),
            "lat": chance.uniform(40, 60) if located else None,
            "lon": chance.uniform(-5, 20) if located else None,
            "words": words.of_photo(description, keywords, key, None),
            "fingerprint": sha256[:32],
            "sha256": sha256,
            "modified": at + 3_600_000_000,
            "modified_text": "2025-07-01T18:22:03.120000Z",
            "size": size,
            "mtime_ns": mtime_ns,
            "inode": inode,
        }


def _file(made: Library, number: int, key: str) -> tuple[int, int, int]:
    """Size, time and inode of a photo's file, which is written if it is not there."""
    if made.size > MOST_FILES:
        return 3_000_000, 1_700_000_000_000_000_000, number + 1
    path = made.photos / key
    try:
        state = path.stat()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
        state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ino
