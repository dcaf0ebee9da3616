"""Placing: what an arriving file is called, and in which folder it goes."""

import re
import unicodedata
from datetime import timedelta

from tagline.errors import Invalid
from tagline.storage.ignoring import passed_over
from tagline.times import EPOCH

# Bytes of UTF-8; there is room for `-12` and an ending in the 255 that file systems take.
LONGEST_NAME = 200
LONGEST_ENDING = 16
MOST_FOLDERS = 8

# What FAT, exFAT and Windows shares cannot store, and what starts a path.
_UNSTORABLE = re.compile(r'[<>:"|?*/\\]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?", re.IGNORECASE)
# Controls, marks of direction, what is not assigned, and line ends.
_UNSEEN = ("Cc", "Cf", "Cn", "Zl", "Zp")


def name_for(sent: str, extension: str) -> str:
    """A file name made of the one that a client sent, whatever that is; `extension` (`.jpg`) where it has none.

    >>> name_for("C:\\\\DCIM\\\\../IMG 1.jpg", ".jpg"), name_for("nul", ".png"), name_for("..", ".jpg")
    ('IMG 1.jpg', '_nul.png', 'photo.jpg')
    """
    name = _clean(re.split(r"[/\\]", sent)[-1]) or "photo"
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or len(ending.encode()) > LONGEST_ENDING or passed_over(name):
        # Also what a walk would pass over as unfinished, such as `IMG_1.jpg.part`.
        stem, ending = name, extension.removeprefix(".")
    return f"{_shortened(stem, ending)}.{ending}"


def numbered(name: str, number: int) -> str:
    """The name to try when `number` others are taken: `IMG-1.jpg`."""
    stem, dot, ending = name.rpartition(".")
    return name if number == 0 else f"{stem}-{number}{dot}{ending}"


def folder_by_time(taken_at: int, offset: int | None) -> str:
    """`2024/07/`, by the clock on the wall where the photo was taken (µs, minutes)."""
    local = EPOCH + timedelta(microseconds=taken_at, minutes=offset or 0)
    return f"{local.year:04}/{local.month:02}/"


def folder_for(album: str) -> str:
    """A folder (with a slash at its end) of an album's name, which may be several folders deep."""
    parts = [_clean(part) for part in re.split(r"[/\\]", album)]
    kept = [_shortened(part, "") for part in parts if part]
    if not kept or len(kept) > MOST_FOLDERS or any(passed_over(part) for part in kept):
        raise Invalid("album", f"is no name for a folder, or more than {MOST_FOLDERS} folders deep")
    return "/".join(kept) + "/"


def _clean(name: str) -> str:
    """A name without what breaks shells, terminals, file systems and eyes; it may be empty then."""
    name = name.encode("utf-8", "replace").decode()
    kinds = ((c, unicodedata.category(c)) for c in name)
    name = "".join(" " if kind == "Zs" else c for c, kind in kinds if kind not in _UNSEEN)
    # Composed last: what was left out may have stood between a letter and its accent.
    name = unicodedata.normalize("NFC", name)
    name = _UNSTORABLE.sub("_", name).strip(" .~") if name.strip(" .") else ""
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _shortened(stem: str, ending: str) -> str:
    room = max(1, LONGEST_NAME - len(ending.encode()))
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") or "photo"
