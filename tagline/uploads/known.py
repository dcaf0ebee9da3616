"""Known: which of many sums are here already, so that a phone sends nothing twice."""

from contextlib import suppress
from typing import Annotated

import msgspec

from tagline.db import Database
from tagline.errors import DiskFull, Unavailable
from tagline.photos.digest import Digester

Sum = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]

# So many files of our own are hashed at once for somebody who asks; of more than that, the background says when.
HASHED_NOW = 8


class KnownQuestion(msgspec.Struct, forbid_unknown_fields=True):
    """SHA-256 sums of whole files, in hex. With `sizes` (bytes, by sum) an answer needs to hash less here."""

    sha256: Annotated[list[Sum], msgspec.Meta(max_length=1000)]
    sizes: dict[Sum, Annotated[int, msgspec.Meta(ge=0)]] = {}


class KnownAnswer(msgspec.Struct):
    """`known`: the photo of each sum that is here; `deleted`: what was deleted for good; `unknown`: what to send.

    `pending` could be files that nobody has hashed yet: ask again in a minute.
    """

    known: dict[str, str]
    deleted: list[str]
    unknown: list[str]
    pending: list[str]


async def known(db: Database, digester: Digester, question: KnownQuestion) -> KnownAnswer:
    """Sort sums into those that are here, those deleted for good, and those to send."""
    sums = list(dict.fromkeys(each.lower() for each in question.sha256))
    sizes = {each.lower(): size for each, size in question.sizes.items()}
    here = await _here(db, sums)
    rest = [each for each in sums if each not in here]
    pending: set[str] = set()
    if rest and await db.rows("uploads.unhashed", size=None, take=1):
        pending = await _hash_those_it_could_be(db, digester, rest, sizes)
        here |= await _here(db, rest)
    text = msgspec.json.encode([each for each in rest if each not in here]).decode()
    deleted = {row["sha256"] for row in await db.rows("uploads.deleted", sums=text)}
    left = [each for each in rest if each not in here and each not in deleted]
    return KnownAnswer(
        here, [each for each in rest if each in deleted and each not in here],
        [each for each in left if each not in pending], [each for each in left if each in pending],
    )  # fmt: skip


async def _here(db: Database, sums: list[str]) -> dict[str, str]:
    rows = await db.rows("uploads.known", sums=msgspec.json.encode(sums).decode())
    return {row["sha256"]: row["id"] for row in rows}


async def _hash_those_it_could_be(db: Database, digester: Digester, sums: list[str], sizes: dict[str, int]) -> set[str]:
    """Hash the files that one of the sums could be, if they are few; gives those sums that have to wait."""
    pending: set[str] = set()
    hashed = 0
    for size in {sizes.get(each) for each in sums}:
        rows = await db.rows("uploads.unhashed", size=size, take=HASHED_NOW + 1)
        if hashed + len(rows) > HASHED_NOW:
            pending |= {each for each in sums if sizes.get(each) == size}
            continue
        hashed += len(rows)
        for row in rows:
            # What cannot be read now is not waited for: a photo that comes twice is better than one that never does.
            with suppress(Unavailable, DiskFull):
                await digester.now(row)
    return pending
