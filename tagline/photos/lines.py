"""Lines, and what else people write at a photo: edits, history, restoring, batches, the trash."""

import unicodedata
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tagline import times
from tagline.api import Identity, Moment, Uuid
from tagline.changes import difference, record
from tagline.db import Database, Row, Tx
from tagline.errors import Conflict, DiskFull, Invalid, NotFound, PreconditionFailed, Problem
from tagline.photos import words
from tagline.photos.photo import EXAMPLE, Location, modified, rank_bounds

MAX_LINE = 10_000
MAX_KEYWORDS = 100
MAX_KEYWORD = 200
FIRST_PHOTOGRAPH = times.from_text("1826-01-01T00:00:00Z")[0]
LAST_PHOTOGRAPH = times.from_text("2200-01-01T00:00:00Z")[0]
# How many photos of a batch share a transaction, so that other writers get their turn in between.
BATCH_STEP = 50
CHANGED_SINCE = "Photo has been modified since last retrieval"

Keywords = list[str]


class Changes(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change; what is left out stays.

    `taken_at` is RFC 3339 with the photo's own offset; `location: null` removes it.
    """

    description: str | UnsetType = UNSET
    keywords: Keywords | UnsetType = UNSET
    favourite: bool | UnsetType = UNSET
    needs_line: bool | UnsetType = UNSET
    taken_at: Moment | UnsetType = UNSET
    location: Location | UnsetType | None = UNSET


class BasedChanges(Changes, forbid_unknown_fields=True, kw_only=True):
    """Changes, and what they are based on: `last_modified` or `version` of the photo that the client saw."""

    last_modified: Moment | UnsetType = UNSET
    version: int | UnsetType = UNSET


class LineEdit(BasedChanges, forbid_unknown_fields=True, kw_only=True):
    """An edit. The same inside `metadata` is understood; what stands outside goes before it."""

    metadata: BasedChanges | UnsetType = UNSET


class BatchEdit(Changes, forbid_unknown_fields=True, kw_only=True):
    """One change to many photos. `keywords` replaces them; `add_keywords` and `remove_keywords` do what they say."""

    photo_ids: Annotated[list[Uuid], msgspec.Meta(min_length=1, max_length=1000)]
    add_keywords: Keywords = []
    remove_keywords: Keywords = []


class BatchItem(msgspec.Struct):
    """What became of one photo in a batch. `detail` says why it was refused: too many keywords,
    or no room on the disk."""

    photo_id: str
    status: Literal["applied", "unchanged", "refused", "not_found"]
    version: int | None = None
    detail: str | None = None


class BatchResult(msgspec.Struct):
    """What became of a batch, in the order of its ids."""

    applied: int
    results: list[BatchItem]


class Author(msgspec.Struct):
    """Who wrote a line."""

    id: str
    name: str


class Line(msgspec.Struct):
    """One line of a photo's history. `author` is null for a line that was found in the file (`origin` is `file`).

    A line of origin `conflict` met another one that was written elsewhere meanwhile: it was never the current one.
    """

    version: int
    description: str
    author: Author | None
    device: str
    origin: Literal["file", "edit", "batch", "restore", "conflict"]
    at: str
    current: bool


class History(msgspec.Struct):
    """Every line a photo had, newest first."""

    items: list[Line]
    total: int


class Based(msgspec.Struct, frozen=True):
    """What a client based its edit on; all that it names has to hold. Nothing: whatever there is.

    `tags` are those of If-Match, `last_modified` is in µs.
    """

    tags: frozenset[str] | None = None
    version: int | None = None
    last_modified: int | None = None


ANYTHING = Based()


def based_on(edit: LineEdit, if_match: str | None) -> Based:
    """What an edit names as its base; raises Invalid for a time that is none."""
    nested = edit.metadata if edit.metadata is not UNSET else BasedChanges()
    version = nested.version if edit.version is UNSET else edit.version
    last_modified = None
    for text in (nested.last_modified, edit.last_modified):
        if text is not UNSET:
            try:
                last_modified = times.from_text(text)[0]
            except (ValueError, OverflowError) as error:
                raise Invalid("last_modified", str(error)) from None
    return Based(matching(if_match).tags, None if version is UNSET else version, last_modified)


def matching(if_match: str | None) -> Based:
    """What If-Match names as the base of a change."""
    if if_match is None or if_match.strip() == "*":
        return ANYTHING
    # Weak tags count as well, other than RFC 9110 §13.1.1 has it: a proxy that compresses makes them of ours.
    return Based(frozenset(tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")))


def edit(tx: Tx, who: Identity, photo_id: str, edit: LineEdit, based: Based) -> Row:
    """Apply an edit; gives the row `(item, version)` as it is then.

    Raises NotFound; Conflict or, where If-Match was used, PreconditionFailed with the photo as it is under `current`.
    """
    current = _editable(tx, photo_id)
    edits = [edit.metadata if edit.metadata is not UNSET else Changes(), edit]
    for one in edits:
        _wanted(one)  # a precondition counts for requests that would succeed without it (RFC 9110 §13.2.1)
    check(based, current)
    return apply(tx, who, current, edits, "edit") or _row(tx, photo_id)


def _editable(tx: Tx, photo_id: str) -> Row:
    current = tx.row("photos.editable", id=photo_id)
    if not current:
        raise NotFound("Photo not found")
    return current


def _row(tx: Tx, photo_id: str) -> Row:
    row = tx.row("photos.item", id=photo_id)
    assert row is not None
    return row


def check(based: Based, current: Row) -> None:
    """Raise Conflict or PreconditionFailed unless a photo is what a change is based on."""
    problem: type[Problem] | None = None
    if based.tags is not None and str(current["version"]) not in based.tags:
        problem = PreconditionFailed
    elif based.version not in (None, current["version"]) or based.last_modified not in (None, current["last_modified"]):
        problem = Conflict
    if problem:
        raise problem(CHANGED_SINCE, code="version_conflict", current=msgspec.Raw(current["item"].encode()))


def apply(
    tx: Tx, who: Identity, current: Row, edits: list[Changes], origin: str, kept: str | None = None
) -> Row | None:
    """Write what differs, with its line of history and its row in the feed; None if nothing does.

    `current` is a row of `photos.editable`. `kept` is a line that lost to the current one: it goes into the history
    alone, which is a new version as well, so no edit that sets another line may come with it. Raises Invalid.
    """
    before = {name: current[name] for name in _EDITABLE}
    after = dict(before)
    for one in edits:
        after.update(_wanted(one))
    if (after["taken_at"], after["taken_offset"]) == (before["taken_at"], before["taken_offset"]):
        after["taken_at_source"] = before["taken_at_source"]  # said again, not edited
    changed = difference(before, after)
    if not changed and kept is None:
        return None
    after["taken_rank"] = current["taken_rank"]
    if after["taken_at"] != before["taken_at"]:
        after["taken_rank"] = tx.value("photos.free_rank", **rank_bounds(after["taken_at"]))
    keywords = msgspec.json.decode(after["keywords"], type=list[str])
    written = tx.row(
        "photos.edit", id=current["id"], version=current["version"], **after,
        words=words.of_photo(after["description"], keywords, current["object_key"], current["place"]),
        last_modified=modified(tx, current["last_modified"]),
    )  # fmt: skip
    assert written is not None  # read and written in one transaction of the only writer
    version = written["version"]
    line, origin = (kept, "conflict") if kept is not None else (after["description"], origin)
    if kept is not None or "description" in changed:
        tx.run(
            "photos.add_line", photo_id=current["id"], version=version, line=line,
            author_id=who.user_id, device=who.device, origin=origin, at=tx.at,
        )  # fmt: skip
    if kept is not None:
        changed["kept"] = [None, kept]
    record(tx, who.actor, "photo", current["id"], "update", version, changed)
    return written


_EDITABLE = (
    "description", "keywords", "favourite", "needs_line", "taken_at", "taken_offset", "taken_at_source", "lat", "lon",
)  # fmt: skip


def _wanted(edit: Changes) -> dict[str, Any]:
    """The columns that an edit sets."""
    wanted: dict[str, Any] = {}
    if edit.description is not UNSET:
        wanted["description"] = clean_line(edit.description)
    if edit.keywords is not UNSET:
        wanted["keywords"] = msgspec.json.encode(clean_keywords(edit.keywords)).decode()
    if edit.favourite is not UNSET:
        wanted["favourite"] = int(edit.favourite)
    if edit.needs_line is not UNSET:
        wanted["needs_line"] = int(edit.needs_line)
    if edit.taken_at is not UNSET:
        try:
            at, offset = times.from_text(edit.taken_at)
        except (ValueError, OverflowError) as error:
            raise Invalid("taken_at", str(error)) from None
        if not FIRST_PHOTOGRAPH <= at < LAST_PHOTOGRAPH:
            raise Invalid("taken_at", "is not between 1826, when photographs began, and 2200")
        wanted |= {"taken_at": at, "taken_offset": offset, "taken_at_source": "edit"}
    if edit.location is not UNSET:
        lat, lon = (edit.location.lat, edit.location.lon) if edit.location else (None, None)
        wanted |= {"lat": lat, "lon": lon}
    return wanted


def clean_line(line: str) -> str:
    """A line as it is stored: trimmed, NFC, at most 10,000 characters."""
    clean = unicodedata.normalize("NFC", line.strip())
    if len(clean) > MAX_LINE:
        raise Invalid("description", f"is longer than {MAX_LINE} characters")
    _check_characters("description", clean)
    return clean


def clean_keyword(keyword: str) -> str:
    """A keyword as it is stored and looked for: trimmed, NFC, single spaces."""
    return " ".join(unicodedata.normalize("NFC", keyword).split())


def clean_keywords(keywords: list[str]) -> list[str]:
    """Keywords as they are stored: trimmed, NFC, each once and in the order given."""
    clean = [word for word in dict.fromkeys(map(clean_keyword, keywords)) if word]
    if len(clean) > MAX_KEYWORDS:
        raise Invalid("keywords", f"are more than {MAX_KEYWORDS}")
    for word in clean:
        if len(word) > MAX_KEYWORD:
            raise Invalid("keywords", f"has one of more than {MAX_KEYWORD} characters")
        _check_characters("keywords", word)
    return clean


def _check_characters(field: str, text: str) -> None:
    """NUL ends strings in too many programs that a line passes through on its way out of here."""
    if "\x00" in text:
        raise Invalid(field, "contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(field, "contains half a character (a lone surrogate)") from None


async def history(db: Database, photo_id: str) -> History:
    """Every line that a photo had; raises NotFound."""
    rows = await db.rows("photos.history", photo_id=photo_id)
    if not rows and not await db.row("photos.item", id=photo_id):
        raise NotFound("Photo not found")
    current = next((row["version"] for row in rows if row["origin"] != "conflict"), None)
    lines = [
        Line(
            row["version"], row["line"], Author(row["author_id"], row["author_name"]) if row["author_id"] else None,
            row["device"], row["origin"], times.to_text(row["at"]), current=row["version"] == current,
        )
        for row in rows
    ]  # fmt: skip
    return History(lines, len(lines))


def restore(tx: Tx, who: Identity, photo_id: str, version: int, based: Based) -> Row:
    """Make an old line the current one again, as a new version."""
    current = _editable(tx, photo_id)
    check(based, current)
    old = tx.row("photos.line", photo_id=photo_id, version=version)
    if not old:
        raise NotFound("The photo has no line of that version")
    return apply(tx, who, current, [Changes(description=old["line"])], "restore") or _row(tx, photo_id)


async def edit_batch(db: Database, who: Identity, batch: BatchEdit) -> BatchResult:
    """Apply one change to many photos, some at a time; raises DiskFull if there was no room for any of them."""
    _wanted(batch)  # refuse as a whole what no photo could take
    add, remove = clean_keywords(batch.add_keywords), clean_keywords(batch.remove_keywords)
    ids = [photo_id.lower() for photo_id in batch.photo_ids]
    results: list[BatchItem] = []
    for start in range(0, len(ids), BATCH_STEP):
        try:
            results += await db.write(_edit_some, who, ids[start : start + BATCH_STEP], batch, add, remove)
        except DiskFull as full:
            if not results:
                raise
            results += [BatchItem(photo_id, "refused", detail=full.detail) for photo_id in ids[start:]]
            break
    return BatchResult(sum(item.status == "applied" for item in results), results)


def _edit_some(
    tx: Tx, who: Identity, ids: list[str], changes: Changes, add: list[str], remove: list[str]
) -> list[BatchItem]:
    results: list[BatchItem] = []
    for photo_id in ids:
        current = tx.row("photos.editable", id=photo_id)
        if not current:
            results.append(BatchItem(photo_id, "not_found"))
            continue
        edits = [changes]
        if add or remove:
            kept = (
                changes.keywords
                if changes.keywords is not UNSET
                else msgspec.json.decode(current["keywords"], type=list[str])
            )
            wanted = [word for word in (*kept, *add) if word not in remove]
            edits.append(Changes(keywords=wanted))
        try:
            written = apply(tx, who, current, edits, "batch")
        except Invalid as problem:
            results.append(BatchItem(photo_id, "refused", current["version"], problem.detail))
            continue
        results.append(BatchItem(photo_id, "applied" if written else "unchanged", (written or current)["version"]))
    return results


def set_trashed(tx: Tx, who: Identity, photo_id: str, trashed: bool, based: Based = ANYTHING) -> Row:
    """Put a photo into the trash, or take it out again; its file stays where it is."""
    current = _editable(tx, photo_id)
    check(based, current)
    if (current["trashed_at"] is not None) == trashed:
        return _row(tx, photo_id)
    row = tx.row(
        "photos.set_trashed", id=photo_id, version=current["version"], trashed_at=tx.at if trashed else None,
        last_modified=modified(tx, current["last_modified"]),
    )  # fmt: skip
    assert row is not None
    record(tx, who.actor, "photo", photo_id, "update", row["version"], {"trashed": [not trashed, trashed]})
    return row


LINE_EXAMPLE = {
    "version": 3, "description": EXAMPLE["description"], "author": {"id": "0f4e…", "name": "Ana"},
    "device": "Ana's phone", "origin": "edit", "at": "2025-07-01T18:22:03.120000Z", "current": True,
}  # fmt: skip
