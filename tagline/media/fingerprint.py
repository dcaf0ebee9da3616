"""A fingerprint that is cheap on a board: it tells files apart without reading them whole."""

from hashlib import blake2b
from typing import BinaryIO, Final

EDGE: Final = 64 * 1024


def fingerprint(file: BinaryIO, size: int) -> str:
    """BLAKE2b-128 in hex of the length (8 bytes, little endian), the first and the last 64 KiB.

    A file of at most 128 KiB is taken whole, once. Leaves `file` anywhere.
    """
    digest = blake2b(size.to_bytes(8, "little"), digest_size=16)
    file.seek(0)
    if size <= 2 * EDGE:
        digest.update(file.read(2 * EDGE))
    else:
        digest.update(file.read(EDGE))
        file.seek(size - EDGE)
        digest.update(file.read(EDGE))
    return digest.hexdigest()
