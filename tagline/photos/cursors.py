"""Cursors: where a page ended, as an opaque text that says which list it belongs to."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, TypeVar

import msgspec

from tagline.errors import Invalid
from tagline.photos.photo import MAX_RANK, MIN_RANK

T = TypeVar("T")

# A number in a cursor goes into a query, so it has to be one that SQL knows.
Number = Annotated[int, msgspec.Meta(ge=MIN_RANK, le=MAX_RANK)]


def write(*parts: Any) -> str:
    """The cursor for a list and the place in it, such as `("albums", "2024/07/")`."""
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read(cursor: str, kind: type[T]) -> T:
    """What `write` was given, which has to be of this type; raises Invalid."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise Invalid("cursor", "is not one of this list; start again without it") from None
