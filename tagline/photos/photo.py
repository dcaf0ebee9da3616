"""A photo as the API gives it, and the rank that orders photos by capture time."""

from typing import Annotated, Literal

import msgspec

from tagline.db import Tx

Kind = Literal["photo", "video"]


class Location(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where on earth, in degrees (WGS 84)."""

    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class Metadata(msgspec.Struct):
    """What is known of a photo. `taken_at` has the local offset where it is known; `taken_at_source` tells which of
    `exif`, `xmp`, `container`, `name`, `mtime` or `edit` it is from. `duration` in seconds, for videos."""

    description: str
    keywords: list[str]
    width: int | None
    height: int | None
    duration: float | None
    taken_at: str
    taken_at_source: str
    camera: str | None
    lens: str | None
    exposure: str | None
    f_number: float | None
    iso: int | None
    location: Location | None
    place: str | None
    favourite: bool
    needs_line: bool


class Links(msgspec.Struct):
    """Where the photo's pictures are."""

    image: str
    thumbnail: str


class Photo(msgspec.Struct):
    """A photo. `sha256` and `placeholder` (a thumbhash, base64) are null until its file was read in the background;
    `problem` is the code of why its pixels cannot be shown."""

    id: str
    object_key: str
    description: str
    last_modified: str
    version: int
    metadata: Metadata
    mime_type: str
    size: int
    sha256: str | None
    kind: Kind
    placeholder: str | None
    problem: str | None
    imported_at: str
    missing: bool
    trashed: bool
    links: Links


RANK_BITS = 20
MIN_RANK, MAX_RANK = -(2**63), 2**63 - 1


def first_rank(at: int) -> int:
    """The least rank of photos taken in the millisecond of `at` (µs); in range also before 1691 and after 2248."""
    return max(MIN_RANK + 1, min(at // 1000 << RANK_BITS, MAX_RANK - (1 << RANK_BITS)))


def rank_bounds(at: int) -> dict[str, int]:
    """The ranks of one millisecond, as parameters of the query that chooses a free one."""
    low = first_rank(at)
    return {"low": low, "high": low + (1 << RANK_BITS)}


def modified(tx: Tx, before: int) -> int:
    """The time of a write, in whole milliseconds since that is what browsers keep, and later than the last one, µs."""
    return max(tx.at // 1000 * 1000, before + 1000)


EXAMPLE = {
    "id": "3f0e7a52-5d0b-4c9e-9f57-0c6b1f0a4d11",
    "object_key": "2024/07/IMG_0042.jpg",
    "description": "Ana at the lake",
    "last_modified": "2025-07-01T18:22:03.120000Z",
    "version": 3,
    "metadata": {
        "description": "Ana at the lake", "keywords": ["lake"], "width": 4032, "height": 3024, "duration": None,
        "taken_at": "2024-07-01T16:02:11+02:00", "taken_at_source": "exif", "camera": "Apple iPhone 12", "lens": None,
        "exposure": "1/250", "f_number": 1.8, "iso": 64, "location": {"lat": 46.1, "lon": 9.2}, "place": None,
        "favourite": False, "needs_line": True,
    },
    "mime_type": "image/jpeg",
    "size": 2314123,
    "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "kind": "photo",
    "placeholder": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
    "problem": None,
    "imported_at": "2025-06-30T07:00:00.000000Z",
    "missing": False,
    "trashed": False,
    "links": {
        "image": "/photos/3f0e7a52-5d0b-4c9e-9f57-0c6b1f0a4d11/image",
        "thumbnail": "/photos/3f0e7a52-5d0b-4c9e-9f57-0c6b1f0a4d11/thumbnail",
    },
}  # fmt: skip
