"""Edits made offline, merged field by field with what happened meanwhile (docs/decisions/0008).

What an edit was based on is read from the change feed. The order is that of arrival: phones' clocks decide nothing.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tagline import times
from tagline.api import Identity, Moment, Uuid, Version, invalid
from tagline.db import Database, Row, Tx
from tagline.errors import DiskFull, Invalid, Unavailable
from tagline.photos import lines
from tagline.photos.lines import BATCH_STEP, Changes, clean_keywords, clean_line
from tagline.photos.photo import EXAMPLE, Photo
from tagline.sync.merging import Meanwhile, three_way

# How long an answer is remembered for a phone that did not hear it, µs.
REMEMBERED = 90 * 24 * 3600 * 1_000_000
MOST_EDITS = 1000

T = TypeVar("T")
Status = Literal["applied", "merged", "conflict", "not_found", "invalid"]


class OfflineEdit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An edit of a photo as the client saw it last: in `base_version`. What is left out stays."""

    edit_id: Uuid
    photo_id: Uuid
    base_version: Version
    description: str | UnsetType = UNSET
    keywords: list[str] | UnsetType = UNSET
    favourite: bool | UnsetType = UNSET
    needs_line: bool | UnsetType = UNSET
    edited_at: Moment


# What one edit looks like; a wrong one is answered by itself, and does not stop the others.
_ONE = msgspec.json.schema_components([OfflineEdit])[1]["OfflineEdit"]


class OfflineEdits(msgspec.Struct, forbid_unknown_fields=True):
    """Edits in the order in which they were made."""

    edits: Annotated[list[Any], msgspec.Meta(max_length=MOST_EDITS, extra_json_schema={"items": _ONE})]


class Kept(msgspec.Struct):
    """A line that was kept in the photo's history, beside the current one."""

    version: int
    description: str


class EditResult(msgspec.Struct):
    """What became of an edit. `photo` is as the edit left it (null where there is none), `kept` its line if that lost
    to another one, `detail` says what is invalid. `edit_id` is null where none could be read."""

    edit_id: str | None
    status: Status
    photo: Photo | None
    kept: Kept | None
    detail: str | None


class EditResults(msgspec.Struct):
    """What became of the edits, in their order.

    Where the disk became full on the way, those that were not written are missing at the end: send them again.
    """

    results: list[EditResult]


class _Merged(NamedTuple):
    status: Status
    photo: Row | None = None
    kept: str | None = None
    detail: str | None = None
    # The version that the edit made, if it made one.
    version: int | None = None


async def merge(db: Database, who: Identity, edits: Sequence[Any]) -> list[msgspec.Raw]:
    """Merge edits, each an OfflineEdit as plain values; gives an EditResult as JSON for each.

    Some at a time, so that other writers get their turn. Raises DiskFull or Unavailable if nothing was written; if
    something was, the results end where the rest has to be sent again.
    """
    results: list[msgspec.Raw] = []
    for start in range(0, len(edits), BATCH_STEP):
        try:
            results += await db.write(_merge_some, who, edits[start : start + BATCH_STEP])
        except (DiskFull, Unavailable):
            if not results:
                raise
            break
    return results


def _merge_some(tx: Tx, who: Identity, edits: Sequence[Any]) -> list[msgspec.Raw]:
    tx.run("sync.forget_edits", before=tx.at - REMEMBERED)
    return [_merge_once(tx, who, edit) for edit in edits]


def _merge_once(tx: Tx, who: Identity, sent: Any) -> msgspec.Raw:
    """An edit that comes again gets its first answer, word for word."""
    try:
        edit_id = _read(sent, _Named).edit_id.lower()
    except Invalid as problem:
        return _answer(None, _Merged("invalid", detail=problem.detail))
    known = tx.value("sync.answer", user_id=who.user_id, edit_id=edit_id)
    if known is not None:
        return msgspec.Raw(known.encode())
    photo_id = ""
    try:
        edit = _read(sent, OfflineEdit)
        photo_id = edit.photo_id.lower()
        merged = _merge(tx, who, photo_id, edit)
    except Invalid as problem:
        merged = _Merged("invalid", tx.row("photos.item", id=photo_id), detail=problem.detail)
    answer = _answer(edit_id, merged)
    tx.run(
        "sync.add_edit", user_id=who.user_id, edit_id=edit_id, session_id=who.session_id, photo_id=photo_id,
        version=merged.version, answer=bytes(answer).decode(), at=tx.at,
    )  # fmt: skip
    return answer


class _Named(msgspec.Struct):
    edit_id: Uuid


def _read(sent: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(sent, kind)
    except msgspec.ValidationError as error:
        raise invalid(error, OfflineEdit) from None
    except UnicodeEncodeError:
        raise Invalid("", "The edit contains half a character (a lone surrogate).") from None


def _answer(edit_id: str | None, merged: _Merged) -> msgspec.Raw:
    answer = {
        "edit_id": edit_id,
        "status": merged.status,
        "photo": msgspec.Raw(merged.photo["item"].encode()) if merged.photo else None,
        "kept": None if merged.kept is None else Kept(merged.version or 0, merged.kept),
        "detail": merged.detail,
    }
    return msgspec.Raw(msgspec.json.encode(answer))


def _merge(tx: Tx, who: Identity, photo_id: str, edit: OfflineEdit) -> _Merged:
    try:
        times.from_text(edit.edited_at)
    except (ValueError, OverflowError) as error:
        raise Invalid("edited_at", str(error)) from None
    current = tx.row("photos.editable", id=photo_id)
    if not current:
        return _Merged("not_found")
    meanwhile = Meanwhile(tx, who, current, edit.base_version)
    wanted, kept = Changes(), None
    if edit.description is not UNSET:
        line = clean_line(edit.description)
        if meanwhile.left("description"):
            wanted.description = line
        elif line not in (current["description"], meanwhile.seen("description")):
            kept = line
    if edit.keywords is not UNSET:
        wanted.keywords = clean_keywords(edit.keywords)
        if not meanwhile.left("keywords"):
            theirs = msgspec.json.decode(current["keywords"], type=list[str])
            wanted.keywords = three_way(meanwhile.seen("keywords") or [], wanted.keywords, theirs)
    # Two who both changed a yes or no agree about it. What it was before is not always known: then it stays.
    if edit.favourite is not UNSET and meanwhile.left("favourite"):
        wanted.favourite = edit.favourite
    if edit.needs_line is not UNSET and meanwhile.left("needs_line"):
        wanted.needs_line = edit.needs_line
    written = lines.apply(tx, who, current, [wanted], "edit", kept)
    status: Status = "conflict" if kept is not None else "merged" if meanwhile.foreign else "applied"
    return _Merged(status, written or current, kept, version=written["version"] if written else None)


EDIT_EXAMPLE = {
    "edit_id": "9f8b1c52-0a1d-4b67-8f35-5d2c8a7e6b10", "photo_id": EXAMPLE["id"], "base_version": 2,
    "description": EXAMPLE["description"], "edited_at": "2025-07-01T17:40:00+02:00",
}  # fmt: skip
RESULT_EXAMPLE = {
    "edit_id": EDIT_EXAMPLE["edit_id"], "status": "applied", "photo": EXAMPLE, "kept": None, "detail": None,
}  # fmt: skip
