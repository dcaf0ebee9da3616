"""The watcher: what is copied into the library's folder appears within seconds."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from watchfiles import Change, awatch

from tagline.errors import Problem
from tagline.photos.scan import Scanner
from tagline.storage.ignoring import IGNORE_FILE, passed_over
from tagline.storage.provider import Away
from tagline.storage.walking import root_identity

log = logging.getLogger(__name__)

# A copy of many files makes many events: they are collected until it has been quiet for so long, but not longer (ms).
QUIET_MS = 500
AT_MOST_MS = 3000
# So many folders at once are no small change any more: then all is looked at.
MOST_FOLDERS = 50
# How long to wait before watching again where that failed: the folder is away, or the kernel's watches are used up, s.
AGAIN_AFTER = 60
# How often to see whether it is still the same folder: of one that was unmounted, nothing is heard any more, ms.
LOOK_EVERY_MS = 5000


async def watch(root: Path, scanner: Scanner) -> None:
    """Scan the folders in which something happens, until cancelled."""
    missed = False
    while True:
        try:
            await _watch(root, scanner, missed)
        except (OSError, RuntimeError, Problem) as error:
            log.warning("cannot watch %s (%s); it is scanned when asked, and watched again in a minute", root, error)
        missed = True
        await asyncio.sleep(AGAIN_AFTER)


async def _watch(root: Path, scanner: Scanner, missed: bool) -> None:
    """Watch until something goes wrong. Raises Away when another folder is in the place of `root`, or none.

    With `missed`, something may have happened before: all is scanned once the watches stand.
    """
    watched = await asyncio.to_thread(root_identity, root)
    async for changes in awatch(
        root, watch_filter=partial(matters, root), debounce=AT_MOST_MS, step=QUIET_MS, rust_timeout=LOOK_EVERY_MS,
        yield_on_timeout=True, recursive=True,
    ):  # fmt: skip
        if missed or changes:
            await scanner.folders([""] if missed else folders_of(root, changes))
            missed = False
        elif await asyncio.to_thread(root_identity, root) != watched:
            raise Away


def matters(root: Path, _: Change, path: str) -> bool:
    """Whether a scan would see it: nothing hidden, nor in a folder that walks pass over, as that of uploads."""
    *above, name = Path(path).relative_to(root).parts or ("library",)
    return (name == IGNORE_FILE or not name.startswith(".")) and not any(passed_over(folder) for folder in above)


def folders_of(root: Path, changes: set[tuple[Change, str]]) -> list[str]:
    """The folders to scan (keys with a slash at the end), none below another.

    A folder itself that is named is looked at whole: files made in it before it was watched had no event.
    """
    keys = {_key(root, Path(path)) for _, path in changes} | {
        f"{_key(root, Path(path))}{Path(path).name}/" for _, path in changes if Path(path).is_dir()
    }
    kept: list[str] = []
    for key in sorted(keys):
        if not any(key.startswith(above) for above in kept):
            kept.append(key)
    return [""] if len(kept) > MOST_FOLDERS else kept


def _key(root: Path, path: Path) -> str:
    """The key of the folder that `path` is in."""
    folder = path.parent.relative_to(root).as_posix() if path != root else "."
    return "" if folder == "." else f"{folder}/"
