"""What a scan writes: new, changed, moved, copied, found-again and vanished files, each batch in one transaction."""

import uuid
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

import msgspec

from tagline.changes import SERVICE, Actor, record
from tagline.db import Row, Tx
from tagline.photos import words
from tagline.photos.lines import MAX_LINE
from tagline.photos.photo import modified, rank_bounds
from tagline.storage.provider import Entry

# Folders are albums; their ids are derived, so that they are the same in every database made of a library.
ALBUMS = uuid.UUID("5bd1b5a4-64b9-4d5c-8a86-21b3f0f1b7a4")

Fate = Literal["imported", "updated", "touched", "moved", "found", "duplicate", "skipped", "error", "verify"]


# Faults of the moment and not of the file: nothing is written down, and the next scan tries again.
PASSING = frozenset({"still_being_written", "not_readable", "file_missing", "workers_closed", "worker_not_started"})

# A photo's id and path, and the time and inode of its file as last seen. Where another file of the same content has
# become its home meanwhile, it is another home.
Home = tuple[str, str, int | None, int | None]


class Found(msgspec.Struct):
    """A file that a worker has looked at: what it answered, and later the hash where one was needed.

    `same` are photos that were found, by hash, to have this very content; `different` those found not to.
    """

    entry: Entry
    answer: dict[str, Any]
    sha256: str | None = None
    same: frozenset[str] = frozenset()
    different: frozenset[str] = frozenset()
    # Homes of those of `same` whose own path is gone or holds something else now: they are here instead.
    homeless: frozenset["Home"] = frozenset()
    # Who put it here; a scan does not know.
    actor: Actor = SERVICE


class Outcome(msgspec.Struct):
    """What became of one file, and which photo it is. `candidates` are what to compare it with."""

    found: Found
    fate: Fate
    photo_id: str | None = None
    candidates: list[Row] = []


def home(candidate: Row) -> Home:
    """Where a photo that could be the same as a file is thought to be."""
    return candidate["id"], candidate["object_key"], candidate["file_mtime_ns"], candidate["file_inode"]


def take_in(tx: Tx, batch: list[Found]) -> list[Outcome]:
    """Write what was found; what could be the same as another photo comes back as `verify`, unwritten."""
    return [_take_in(tx, found) for found in batch]


def _take_in(tx: Tx, found: Found) -> Outcome:
    known = tx.row("library.file", path=found.entry.key)
    photo_id = known["photo_id"] if known else None
    answer = found.answer
    if answer.get("skipped") or "error" in answer:
        return _no_photo(tx, found, photo_id)
    if photo_id:
        photo = tx.row("library.photo", id=photo_id)
        assert photo is not None
        if photo["fingerprint"] == answer["fingerprint"] and photo["size"] == answer["size"]:
            _put_file(tx, found, photo_id)
            if photo["object_key"] == found.entry.key:
                tx.run("library.reread", id=photo_id)
                record(tx, found.actor, "photo", photo_id, "update", photo["version"])
            return Outcome(found, "touched", photo_id)
    candidates = [
        row
        for row in tx.rows("library.same_content", fingerprint=answer["fingerprint"], size=answer["size"])
        if row["id"] != photo_id and row["id"] not in found.different
    ]
    unsure = [row for row in candidates if row["id"] not in found.same]
    if unsure:
        return Outcome(found, "verify", candidates=unsure)
    match = _match(candidates, found)
    if match and (match["missing_at"] is not None or home(match) in found.homeless):
        return _move_here(tx, found, match, photo_id)
    if photo_id:
        return _change(tx, found, photo_id)
    if match:
        _put_file(tx, found, match["id"])
        return Outcome(found, "duplicate", match["id"])
    return _insert(tx, found)


def _match(candidates: list[Row], found: Found) -> Row | None:
    """Of photos with this content, one that has lost its file, else any."""
    lost = [row for row in candidates if row["missing_at"] is not None or home(row) in found.homeless]
    return next(iter(lost or candidates), None)


def _no_photo(tx: Tx, found: Found, photo_id: str | None) -> Outcome:
    """Something that is no photo, or none that can be read. A photo that was at this path keeps its row."""
    code, detail = found.answer.get("error", "skipped"), found.answer.get("detail")
    if code in PASSING:
        return Outcome(found, "error", photo_id)
    if photo_id:
        lose_path(tx, found.entry.key, photo_id)
    _put_file(tx, found, None, code, detail)
    return Outcome(found, "skipped" if code == "skipped" else "error")


def _put_file(
    tx: Tx, found: Found, photo_id: str | None, problem: str | None = None, detail: str | None = None
) -> None:
    entry = found.entry
    # As the walk saw it. Had the worker seen another file, the answer would be that it is still being written.
    tx.run(
        "library.put_file", path=entry.key, photo_id=photo_id, size=entry.size, mtime_ns=entry.mtime_ns,
        inode=entry.inode, problem=problem, detail=detail,
    )  # fmt: skip


def _move_here(tx: Tx, found: Found, match: Row, displaced: str | None) -> Outcome:
    """A photo whose own path has gone, or holds another content now, is at this path."""
    if displaced:
        lose_path(tx, found.entry.key, displaced)
    was_missing = match["missing_at"] is not None
    if not was_missing:
        tx.run("library.drop_file", path=match["object_key"])
    _put_file(tx, found, match["id"])
    set_path(tx, match["id"], found.entry.key, found.actor)
    return Outcome(found, "found" if was_missing else "moved", match["id"])


def set_path(tx: Tx, photo_id: str, path: str, actor: Actor = SERVICE) -> None:
    """A photo's main file is at `path` now."""
    photo = tx.row("library.photo", id=photo_id)
    assert photo is not None
    keywords = msgspec.json.decode(photo["keywords"], type=list[str])
    tx.run(
        "library.move", id=photo_id, object_key=path,
        words=words.of_photo(photo["description"], keywords, path, photo["place"]),
    )  # fmt: skip
    _add_folder(tx, path)
    change = {"object_key": [photo["object_key"], path], "missing": [photo["missing_at"] is not None, False]}
    record(tx, actor, "photo", photo_id, "update", photo["version"], change)


def lose_path(tx: Tx, path: str, photo_id: str) -> bool:
    """A path has gone; its photo lives on at a copy's path, or is missing. Whether it is missing now."""
    tx.run("library.drop_file", path=path)
    photo = tx.row("library.photo", id=photo_id)
    assert photo is not None
    if photo["object_key"] != path:
        return False
    other = tx.row("library.other_file", photo_id=photo_id, path=path)
    if other:
        set_path(tx, photo_id, other["path"])
        tx.run("library.reread", id=photo_id)
        return False
    if photo["missing_at"] is not None:
        return False
    tx.run("library.lose", id=photo_id, at=tx.at)
    record(tx, SERVICE, "photo", photo_id, "update", photo["version"], {"missing": [False, True]})
    return True


def move_files(tx: Tx, renamed: Iterable[tuple[str, str, str, int, int, int]], actor: Actor = SERVICE) -> int:
    """Files that were renamed: `(path, old path, photo id, size, mtime_ns, inode)`. How many there were."""
    moved = 0
    for path, old_path, photo_id, size, mtime_ns, inode in renamed:
        if tx.row("library.file", path=path) or not tx.row("library.file", path=old_path):
            continue  # two names for one inode: the first took it
        tx.run("library.drop_file", path=old_path)
        tx.run(
            "library.put_file", path=path, photo_id=photo_id, size=size, mtime_ns=mtime_ns, inode=inode,
            problem=None, detail=None,
        )  # fmt: skip
        photo = tx.row("library.photo", id=photo_id)
        assert photo is not None
        if photo["object_key"] == old_path:
            set_path(tx, photo_id, path, actor)
        moved += 1
    return moved


def lose_paths(tx: Tx, gone: Iterable[tuple[str, str | None]]) -> int:
    """Paths that have gone. How many photos are missing by that."""
    missing = 0
    for path, photo_id in gone:
        if photo_id is None:
            tx.run("library.drop_file", path=path)
        else:
            missing += lose_path(tx, path, photo_id)
    return missing


def _add_folder(tx: Tx, path: str) -> None:
    folder = path[: path.rfind("/") + 1]
    title = folder.rstrip("/").rpartition("/")[2] or "Photos"
    tx.run("albums.add_folder", id=_album_id(folder), folder=folder, title=title, at=tx.at)


@lru_cache(maxsize=64)
def _album_id(folder: str) -> str:
    return str(uuid.uuid5(ALBUMS, folder))


def _columns(answer: dict[str, Any]) -> dict[str, Any]:
    """A worker's answer as columns of a photo; what it left out is null."""
    metadata = answer["metadata"]
    names = (
        "width",
        "height",
        "duration",
        "camera",
        "lens",
        "exposure",
        "f_number",
        "iso",
        "lat",
        "lon",
        "place",
    )
    return {
        "kind": answer["kind"], "mime_type": answer["mime_type"], "size": answer["size"],
        "fingerprint": answer["fingerprint"], **{name: metadata.get(name) for name in names},
    }  # fmt: skip


def _taken(tx: Tx, metadata: dict[str, Any]) -> dict[str, Any]:
    at = metadata["taken_at"]
    return {
        "taken_at": at, "taken_offset": metadata.get("taken_offset"), "taken_at_source": metadata["taken_at_source"],
        "taken_rank": tx.value("photos.free_rank", **rank_bounds(at)),
    }  # fmt: skip


def _insert(tx: Tx, found: Found) -> Outcome:
    metadata = found.answer["metadata"]
    photo_id, path = str(uuid.uuid4()), found.entry.key
    line: str = metadata.get("caption", "")[:MAX_LINE]
    keywords: list[str] = metadata.get("keywords", [])
    tx.run(
        "library.insert", id=photo_id, object_key=path, description=line,
        keywords=msgspec.json.encode(keywords).decode(), at=tx.at // 1000 * 1000,
        words=words.of_photo(line, keywords, path, metadata.get("place")), sha256=found.sha256,
        **_columns(found.answer), **_taken(tx, metadata),
    )  # fmt: skip
    _put_file(tx, found, photo_id)
    _add_folder(tx, path)
    if found.sha256:
        tx.run("library.unburied", sha256=found.sha256)
    if line:
        _add_line(tx, photo_id, 1, line)
    record(tx, found.actor, "photo", photo_id, "create", 1, {"object_key": path, "description": line})
    return Outcome(found, "imported", photo_id)


def _change(tx: Tx, found: Found, photo_id: str) -> Outcome:
    """The file was edited or turned: its photo goes on with what the file says now, and with what people wrote."""
    photo = tx.row("library.photo", id=photo_id)
    assert photo is not None
    if photo["object_key"] != found.entry.key:
        # A copy has become something else: from now on it is a photo of its own.
        tx.run("library.drop_file", path=found.entry.key)
        return _insert(tx, found)
    columns = _columns(found.answer)
    if photo["taken_at_source"] == "edit":
        taken = {name: photo[name] for name in ("taken_at", "taken_offset", "taken_at_source", "taken_rank")}
    elif found.answer["metadata"]["taken_at"] == photo["taken_at"]:
        taken = {**_taken(tx, found.answer["metadata"]), "taken_rank": photo["taken_rank"]}
    else:
        taken = _taken(tx, found.answer["metadata"])
    if columns["lat"] is None:
        columns |= {"lat": photo["lat"], "lon": photo["lon"]}
    keywords = msgspec.json.decode(photo["keywords"], type=list[str])
    version = tx.value(
        "library.replace", id=photo_id, last_modified=modified(tx, photo["last_modified"]),
        words=words.of_photo(photo["description"], keywords, photo["object_key"], columns["place"]), **columns, **taken,
    )  # fmt: skip
    # The next scan takes copies of the old content in as a photo of their own.
    tx.run("library.forget_copies", photo_id=photo_id, path=found.entry.key)
    _put_file(tx, found, photo_id)
    change = {
        "fingerprint": [photo["fingerprint"], columns["fingerprint"]],
        "size": [photo["size"], columns["size"]],
    }
    record(tx, found.actor, "photo", photo_id, "update", version, change)
    return Outcome(found, "updated", photo_id)


def _add_line(tx: Tx, photo_id: str, version: int, line: str) -> None:
    tx.run(
        "photos.add_line", photo_id=photo_id, version=version, line=line, author_id=None, device="", origin="file",
        at=tx.at,
    )  # fmt: skip
