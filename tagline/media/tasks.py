"""What a worker can be asked for: headers; hash, grid thumbnail and placeholder; thumbnails."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
from PIL import Image

from tagline.media import metadata, video
from tagline.media.decoded import decode
from tagline.media.errors import MediaError, broken_image, out_of_memory
from tagline.media.files import check_unchanged, steady
from tagline.media.fingerprint import fingerprint
from tagline.media.formats import HEAD_BYTES, Format, recognise
from tagline.media.placeholder import placeholder
from tagline.media.thumbnails import GRID, make

Answer = dict[str, Any]
PathLike = str | bytes

READ_WHOLE: Final = 32 * 1024 * 1024
"""Files up to this size are hashed and decoded from one reading into memory."""

_CHUNK: Final = 1024 * 1024


def headers(files: Iterable[tuple[Any, ...]]) -> Answer:
    """`files`: (path, mtime_ns or 0) or (path, mtime_ns or 0, name).

    Answers {"files": [one for each, in order]}: {"format", "kind", "mime_type", "extension", "fingerprint",
    "size", "mtime_ns", "inode", "metadata": Metadata without its empty fields}, or {"skipped": True} for what
    is no photo, or {"error": code, "detail": sentence}. A given mtime or name stands for the file's own where
    that one is a copy.
    """
    return {"files": [_headers_of(*file) for file in files]}


def _headers_of(path: PathLike, mtime_ns: int = 0, name: str = "") -> Answer:
    try:
        with steady(path) as (file, state):
            file_format = recognise(file.read(HEAD_BYTES))
            if file_format is None:
                return {"skipped": True}
            found = metadata.read(
                file, file_format, name or os.path.basename(os.fsdecode(path)), mtime_ns or state.st_mtime_ns
            )
            mark = fingerprint(file, state.st_size)
        # Only now: a file that is still growing is not called broken.
        if found.width is None:
            raise _broken(file_format)
    except MediaError as error:
        return {"error": error.code, "detail": error.detail}
    except MemoryError:
        failure = out_of_memory()
        return {"error": failure.code, "detail": failure.detail}
    return {
        "format": file_format.name,
        "kind": file_format.kind,
        "mime_type": file_format.mime_type,
        "extension": file_format.extension,
        "fingerprint": mark,
        "metadata": msgspec.to_builtins(found),
        **_state(state),
    }


def digest(path: PathLike, grid: PathLike | None = None, hash_only: bool = False) -> Answer:
    """Hash of the whole file, grid thumbnail (WebP, 256) written to `grid`, placeholder: from one reading.

    Answers {"sha256", "size", "mtime_ns", "inode", "placeholder": base64 or None, "thumbnails": sizes
    written, "image_error": None or {"code", "detail"}}: a damaged picture still has its hash, and perhaps a
    thumbnail of what is left of it.
    Raises MediaError: not_readable, still_being_written.
    """
    answer: Answer = {"placeholder": None, "thumbnails": [], "image_error": None}
    with steady(path) as (file, state):
        file_format = recognise(file.read(HEAD_BYTES))
        file.seek(0)
        source: BinaryIO = file
        is_photo = file_format is not None and file_format.kind == "photo"
        if is_photo and not hash_only and state.st_size <= READ_WHOLE:
            content = file.read(READ_WHOLE + 1)
            answer["sha256"] = sha256(content).hexdigest()
            source = io.BytesIO(content)
        else:
            answer["sha256"] = _sha256(file)
        check_unchanged(file, state)
        if not hash_only:
            _picture(path, source, file_format, grid, answer)
    return answer | _state(state)


def _picture(
    path: PathLike, source: BinaryIO, file_format: Format | None, grid: PathLike | None, answer: Answer
) -> None:
    try:
        image, damage = _decoded(path, source, file_format, GRID)
        # First the placeholder: it is kept even where the disk is full.
        answer["placeholder"] = placeholder(image)
        if grid is not None:
            make(image, {GRID: Path(os.fsdecode(grid))})
            answer["thumbnails"] = [GRID]
    except MediaError as error:
        answer["image_error"] = error.answer()
    except MemoryError:
        answer["image_error"] = out_of_memory().answer()
    else:
        answer["image_error"] = damage.answer() if damage else None


def thumbnails(path: PathLike, places: Mapping[int, PathLike], format: str = "webp") -> Answer:
    """Write thumbnails of one photo to `places` (longest edge → file), as "webp" or "jpeg", from one decode.

    Answers {"thumbnails": sizes written, "size", "mtime_ns", "inode": of the file that they show,
    "image_error": as in `digest`}. Raises MediaError.
    """
    with steady(path) as (file, state):
        file_format = recognise(file.read(HEAD_BYTES))
        image, damage = _decoded(path, file, file_format, max(places))
        check_unchanged(file, state)
        make(image, {size: Path(os.fsdecode(place)) for size, place in places.items()}, format)
    return {
        "thumbnails": sorted(places),
        "image_error": damage.answer() if damage else None,
        **_state(state),
    }


def _decoded(
    path: PathLike, source: BinaryIO, file_format: Format | None, longest: int
) -> tuple[Image.Image, MediaError | None]:
    if file_format is None:
        raise broken_image()
    if file_format.kind == "video":
        # Only films need subprocess, which costs 1.5 MB.
        from tagline.media.poster import poster

        return poster(path, video.read(source).duration, longest), None
    return decode(source, file_format, longest)


def _broken(file_format: Format) -> MediaError:
    if file_format.kind == "video":
        return MediaError("video_broken", "The video is damaged: its size cannot be told.")
    return broken_image()


def _state(state: os.stat_result) -> Answer:
    return {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "inode": state.st_ino}


def _sha256(file: BinaryIO) -> str:
    whole = sha256()
    while chunk := file.read(_CHUNK):
        whole.update(chunk)
    return whole.hexdigest()


TASKS: Final[Mapping[str, Callable[..., Answer]]] = {
    "headers": headers,
    "digest": digest,
    "thumbnails": thumbnails,
}
