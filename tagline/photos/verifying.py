"""Verifying: is a file one of the photos that it looks like? By hash, since their fingerprints are the same."""

import msgspec

from tagline.db import Row
from tagline.photos import importing
from tagline.photos.importing import Found
from tagline.photos.looking import STILL_WRITTEN, Looking
from tagline.storage.provider import Entry, Storage


async def verified(storage: Storage, looking: Looking, found: Found, candidates: list[Row]) -> Found:
    """What was found, with the candidates (rows of `library.same_content`) sorted into the same and the different.

    Hashes the file, where that was not done, and those candidates that have no hash yet.
    """
    sha256 = found.sha256 or await looking.sha256(found.entry)
    if sha256 is None:
        return msgspec.structs.replace(found, answer=STILL_WRITTEN)
    same, different, homeless = set(found.same), set(found.different), set(found.homeless)
    for candidate in candidates:
        at_home = await storage.stat(candidate["object_key"])
        is_as_known = at_home is not None and _is_as_known(at_home, candidate)
        hashed = candidate["content_hash"]
        if hashed is None and is_as_known:
            hashed = await looking.sha256_of(candidate["object_key"])
        # A file that has gone before it was ever hashed is known by its fingerprint alone.
        if hashed not in (None, sha256):
            different.add(candidate["id"])
            continue
        same.add(candidate["id"])
        if not is_as_known and (at_home is None or await looking.sha256(at_home) != sha256):
            homeless.add(importing.home(candidate))
    return msgspec.structs.replace(
        found, sha256=sha256, same=frozenset(same), different=frozenset(different), homeless=frozenset(homeless)
    )


def _is_as_known(entry: Entry, candidate: Row) -> bool:
    """Whether the file at a photo's path is the one that was last seen there."""
    seen = candidate["file_size"], candidate["file_mtime_ns"], candidate["file_inode"]
    return (entry.size, entry.mtime_ns, entry.inode) == seen
