"""Thumbnails on disk: named by content, made once, within a bound."""

import asyncio
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiohttp import web

from tagline.db import Row
from tagline.errors import DiskFull, Unavailable, UnsupportedMedia
from tagline.media.errors import not_written
from tagline.photos.importing import PASSING
from tagline.photos.looking import Looking
from tagline.photos.warm import Warm
from tagline.storage.provider import Changed
from tagline.workers import WorkerFailed

log = logging.getLogger(__name__)

# As in media.thumbnails, which cannot be imported here: it brings Pillow, which only workers load.
SIZES = (256, 512, 1024, 2048)
GRID = 256
ENDINGS = {"webp": ".webp", "jpeg": ".jpg"}
# How full the cache is after making room, and how much may be added before looking again.
ROOM = 0.9
LOOK_EVERY = 0.02


class Thumbs:
    """The cache: `<size>/<2 hex>/<content hash>.webp`. When full, larger sizes go first: seldom needed.

    What is being made lies in `new/<one for each start>/`, until it is known whose it is.
    """

    def __init__(self, root: Path, looking: Looking, bound_bytes: int, reserve_bytes: int) -> None:
        self._root = root
        self._new = root / "new" / uuid.uuid4().hex
        self._looking = looking
        self._bound = bound_bytes
        self._reserve = reserve_bytes
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}
        # None until somebody has looked how much there is.
        self._used: int | None = None
        self._added = 0
        self._making_room: asyncio.Task[None] | None = None
        self._clearing: asyncio.Task[None] | None = None
        self._warm = Warm()

    def place(self, content_hash: str, size: int, image_format: str = "webp") -> str:
        """Where a thumbnail lies, if it has been made."""
        return f"{self._root}/{size}/{content_hash[:2]}/{content_hash}{ENDINGS[image_format]}"

    async def read(self, place: str) -> bytes | None:
        """A thumbnail's bytes; None if it has not been made."""
        return await self._warm.read(place)

    def part(self, photo_id: str) -> Path:
        """Where the grid's thumbnail is written while nobody knows its content's hash yet."""
        return self._new / f"{photo_id}.webp"

    async def keep(self, part: Path, content_hash: str) -> None:
        """Put a new grid thumbnail in its place; raises DiskFull, Unavailable."""
        try:
            self._note(await asyncio.to_thread(_move, part, self.place(content_hash, GRID)))
        except FileNotFoundError:
            log.info("the cache was cleared meanwhile; the thumbnail is made again when somebody asks for it")
        except OSError as error:
            raise _cannot_keep(error) from error

    async def make(self, row: Row, content_hash: str, size: int, image_format: str) -> None:
        """Make a thumbnail that is not there; one decode however many ask for one of this photo meanwhile.

        Raises UnsupportedMedia where the pixels cannot be shown, DiskFull where there is no room to keep them, Gone
        and Unavailable where the file is not there, or not the one that has this hash.
        """
        key = (content_hash, image_format)
        while task := self._under_way.get(key):
            await asyncio.shield(task)
            if await asyncio.to_thread(_is_made, self.place(content_hash, size, image_format)):
                return
        task = asyncio.create_task(self._make(row, content_hash, size, image_format))
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._under_way.pop(key, None))
        await asyncio.shield(task)

    async def _make(self, row: Row, content_hash: str, size: int, image_format: str) -> None:
        """All sizes up to the one that is asked for, as far as they are not there."""
        places = {each: self.place(content_hash, each, image_format) for each in SIZES if each <= size}
        missing = await asyncio.to_thread(
            lambda: {each: place for each, place in places.items() if not _is_made(place)}
        )
        if not missing:
            return
        try:
            free = await asyncio.to_thread(_free, self._root)
        except OSError as error:
            raise _cannot_keep(error) from error
        if free < self._reserve:
            raise DiskFull("The disk with Tagline's cache is nearly full; free some space to see this photo.")
        part = uuid.uuid4()
        parts = {each: f"{self._new}/{part}-{each}{ENDINGS[image_format]}" for each in missing}
        try:
            answer = await self._looking.thumbnails(row["object_key"], parts, image_format)
            if not self._looking.is_of(row, answer):
                # Its thumbnails would be another's for ever, since nobody makes them again.
                raise Changed(row["object_key"])
            moves = [(Path(parts[each]), missing[each]) for each in missing]
            self._note(await asyncio.to_thread(lambda: sum(_move(*move) for move in moves)))
        except WorkerFailed as failure:
            raise _problem(failure.code, failure.detail) from failure
        except OSError as error:
            raise _cannot_keep(error) from error
        finally:
            await asyncio.to_thread(_delete, parts.values())

    async def drop(self, content_hash: str) -> None:
        """Delete all thumbnails of a content: nobody has it any more."""
        under_way = [self._under_way[key] for key in self._under_way if key[0] == content_hash]
        await asyncio.gather(*under_way, return_exceptions=True)
        places = [self.place(content_hash, size, image_format) for size in SIZES for image_format in ENDINGS]
        for place in places:
            self._warm.drop(place)
        await asyncio.to_thread(_delete, places)

    def clear_leftovers(self) -> None:
        """Begin to delete what was being made when the service was last killed."""
        self._clearing = asyncio.create_task(asyncio.to_thread(_delete_leftovers, self._root, self._new.name))

    def _note(self, added: int) -> None:
        """Count what was added, and make room from time to time."""
        self._added += added
        if self._making_room is None and (self._used is None or self._added > self._bound * LOOK_EVERY):
            self._making_room = asyncio.create_task(self._make_room())

    async def _make_room(self) -> None:
        try:
            if self._used is None:
                self._used = await asyncio.to_thread(_used, self._root)
                self._added = 0
            self._used += self._added
            self._added = 0
            if self._used > self._bound:
                self._used = await asyncio.to_thread(_delete_oldest, self._root, self._used, int(self._bound * ROOM))
                self._warm.close()  # what is deleted and open takes its room all the same
        except OSError as error:
            log.warning("cannot make room in the cache of thumbnails: %s", error)
        finally:
            self._making_room = None

    async def close(self) -> None:
        """Wait for what is being made, and close the files that are kept open."""
        tasks = [*self._under_way.values(), *filter(None, (self._making_room, self._clearing))]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._warm.close()


def _cannot_keep(error: OSError) -> Exception:
    failure = not_written(error)
    return _problem(failure.code, failure.detail)


def _problem(code: str, detail: str) -> Exception:
    if code == "disk_full":
        return DiskFull("The disk with Tagline's cache is full; free some space to see this photo.")
    if code in PASSING or code == "not_writable":
        return Unavailable(detail, code=code, retry_after=5)
    return UnsupportedMedia(detail, code=code)


def _move(part: Path, place: str) -> int:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    size = part.stat().st_size
    part.replace(place)
    return size


def _delete(places: Iterable[str]) -> None:
    """Delete those of the files that are there."""
    for place in places:
        try:
            Path(place).unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot delete the thumbnail %s: %s", place, error)


def _delete_leftovers(root: Path, current: str) -> None:
    """Delete what other runs than the current one left half made."""
    try:
        for entry in (root / "new").glob("*"):
            if entry.is_dir() and entry.name != current:
                shutil.rmtree(entry, ignore_errors=True)
            elif not entry.is_dir():
                entry.unlink(missing_ok=True)
        for size in SIZES:
            _delete(entry.path for entry in _files(root / str(size)) if entry.name.endswith(".part"))
    except OSError as error:
        log.warning("cannot clear the cache of thumbnails: %s", error)


def _is_made(place: str) -> bool:
    """Whether a thumbnail is there, and not the empty file that a power cut may leave."""
    try:
        return os.stat(place).st_size > 0
    except FileNotFoundError:
        return False


def _free(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def _files(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                else:
                    yield entry
    except FileNotFoundError:
        return


def _used(root: Path) -> int:
    return sum(entry.stat().st_size for entry in _files(root))


def _delete_oldest(root: Path, used: int, wanted: int) -> int:
    """Delete thumbnails, larger sizes and older files first, until no more than `wanted` bytes are used."""
    for size in sorted(SIZES, reverse=True):
        files = sorted(
            (entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in _files(root / str(size))
        )
        for _, length, path in files:
            if used <= wanted:
                return used
            Path(path).unlink(missing_ok=True)
            used -= length
    return used


THUMBS = web.AppKey("thumbs", Thumbs)
