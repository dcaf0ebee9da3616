"""Deleting for good: file, row, and what remains to remember that it was wanted so."""

from tagline.api import Identity
from tagline.changes import record
from tagline.db import Database, Tx
from tagline.errors import Conflict, Denied, NotFound
from tagline.photos.lines import Based, check
from tagline.photos.looking import Looking
from tagline.photos.thumbs import Thumbs
from tagline.storage.provider import Storage


async def delete_for_good(
    db: Database, storage: Storage, looking: Looking, thumbs: Thumbs, who: Identity, photo_id: str, based: Based
) -> None:
    """Delete a photo's files, its row, and its thumbnails; raises Denied for who may not, or where the library is
    read-only, and PreconditionFailed where it is not what `based` says.

    In this order, since a row without its file is a missing photo that can be deleted again, while a file
    without its row would come back as a new photo.
    """
    if who.role != "owner" or not who.may("admin"):
        raise Denied("Only the owner may delete photos for good.")
    photo = await db.row("photos.known", id=photo_id)
    if not photo:
        raise NotFound("Photo not found")
    check(based, photo)
    files = await db.rows("photos.paths", photo_id=photo_id)
    paths = [row["path"] for row in files]
    if paths and not storage.writable:
        raise Denied(
            "The library is read-only; the photo can go to the trash, but its file stays.",
            code="read_only_library",
        )
    for file in files:
        entry = await storage.stat(file["path"])
        if entry and (entry.size, entry.mtime_ns, entry.inode) != (file["size"], file["mtime_ns"], file["inode"]):
            raise Conflict(
                f"The file {file['path']} has changed since the last scan. Scan, look at the photo again, then delete.",
                code="file_changed",
            )
    sha256 = photo["sha256"]
    if paths and not sha256:
        sha256 = await looking.sha256_of(paths[0])
    for path in paths:
        await storage.delete(path)
    await db.write(_bury, who, photo_id, sha256)
    content = {name: photo[name] for name in ("content_hash", "fingerprint", "size")}
    if photo["content_hash"] and not await db.value("photos.with_content", **content):
        await thumbs.drop(photo["content_hash"])


def _bury(tx: Tx, who: Identity, photo_id: str, sha256: str | None) -> None:
    photo = tx.row("photos.known", id=photo_id)
    if not photo:
        return
    if sha256:
        tx.run("photos.bury", sha256=sha256, photo_id=photo_id, deleted_by=who.user_id, deleted_at=tx.at)
    tx.run("photos.delete", id=photo_id)
    gone = {"object_key": [photo["object_key"], None], "description": [photo["description"], None]}
    record(tx, who.actor, "photo", photo_id, "delete", photo["version"] + 1, gone)
