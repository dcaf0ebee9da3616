"""Going through a directory of photos, quickly, and never believing a disk that is going away."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter
from pathlib import Path

from tagline import errors
from tagline.storage.directories import directory
from tagline.storage.entries import Absent, Away, Entry, Folder, Unreadable
from tagline.storage.ignoring import IGNORE_FILE, Ignored, passed_over, read_patterns
from tagline.storage.opened import AWAY
from tagline.storage.paths import LONGEST_KEY, name_fault, printable

Found = Entry | Unreadable

BATCH = 1000
_LONGEST_IGNORE_FILE = 1024 * 1024
# Sorting holds the GIL; this many names take about a millisecond.
_SORTED_AT_ONCE = 4096
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_by_name = attrgetter("name")

# A directory still to be visited: its key ("" or with a slash at its end) and the patterns from above.
_Pending = tuple[str, Ignored | None]


def walk_directory(root: Path, below: str = "") -> Iterator[list[Found]]:
    """All files below `root`, or a folder of it, in batches; see `Storage.walk`. Blocks: to be driven from a thread.

    Holds one open descriptor and the names of one directory at a time. Raises `Away`.
    """
    began = root_identity(root)
    batch: list[Found] = []
    visited, ignored = _above(root, below)
    pending: list[_Pending] = [(below, ignored)] if visited else []
    while pending:
        for found in _visit(root, pending):
            batch.append(found)
            if len(batch) == BATCH:
                yield batch
                batch = []
    # Directories that vanished were passed over; had the disk gone, all that was left would have vanished.
    if root_identity(root) != began:
        raise Away("The photo library was exchanged or unmounted while it was read")
    if batch:
        yield batch


def _above(root: Path, below: str) -> tuple[bool, Ignored | None]:
    """Whether a walk of everything comes to the folder `below`, and with which patterns; raises `Away`."""
    if below and not is_inside(root, below):
        return False, None
    ignored: Ignored | None = None
    prefix = ""
    for name in below.split("/")[:-1]:
        ignored = _with_own(root, prefix, ignored)
        prefix += f"{name}/"
        if passed_over(name) or (ignored is not None and ignored.names(prefix)):
            return False, ignored
    return True, ignored


def _with_own(root: Path, folder: str, above: Ignored | None) -> Ignored | None:
    """The patterns that are in force in a folder: those from above, and its own; raises `Away`."""
    try:
        descriptor = os.open(root / folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _read_ignore_file(descriptor, folder, above)[0]
        finally:
            os.close(descriptor)
    except OSError as error:
        # Without an ignore file, or without the folder, there are no patterns to add.
        _fault(folder, error, is_directory=True)
        return above


def leaves_out(root: Path, key: str) -> bool:
    """Whether walks are told to pass over what is, or would be, at a key; see `Storage.leaves_out`. Blocks."""
    folder = key[: key.rfind("/") + 1]
    visited, ignored = _above(root, folder)
    ignored = _with_own(root, folder, ignored)
    return not visited or (ignored is not None and ignored.names(key))


def look_into(root: Path, folder: str) -> list[Entry | Folder]:
    """What lies directly in a folder, by name, as far as a walk of everything comes to it; see `Storage.list`. Blocks.

    Raises `Absent`, `Away`, and `OSError` where the folder cannot be opened.
    """
    visited, ignored = _above(root, folder)
    if not visited:
        raise Absent(folder)
    with directory(root, folder) as descriptor:
        files: list[Entry | Folder] = []
        pending: list[_Pending] = []
        for found in _visit_open(root, descriptor, folder, ignored, pending):
            if isinstance(found, Entry):
                files.append(found)
            elif found.is_directory and found.path == printable(folder.rstrip("/")):
                raise errors.Unavailable(f"Tagline may not read {folder}", code=found.code)
        folders: list[Entry | Folder] = []
        for key, _ in reversed(pending):
            try:
                seen = os.stat(key[len(folder) : -1], dir_fd=descriptor, follow_symlinks=False)
            except OSError as error:
                _fault(key, error, is_directory=True)
                continue
            if stat.S_ISDIR(seen.st_mode):
                folders.append(Folder(key, seen.st_mtime_ns))
    return list(merge(files, folders, key=lambda one: one.key.rstrip("/")))


def root_identity(root: Path) -> tuple[int, int]:
    """Device and inode of the root; raises `Away` if there is none, or it does not answer."""
    try:
        seen = root.stat()
    except OSError as error:
        raise Away from error
    if not stat.S_ISDIR(seen.st_mode):
        raise Away(f"{root} is not a directory")
    return seen.st_dev, seen.st_ino


def _visit(root: Path, pending: list[_Pending]) -> Iterator[Found]:
    """The files of the next pending directory; puts its directories in its place."""
    prefix, ignored = pending.pop()
    try:
        descriptor = os.open(
            f"{root}/{prefix}" if prefix else root,
            os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if prefix else 0),
        )
    except OSError as error:
        if not prefix:
            raise Away from error
        if fault := _fault(prefix, error, is_directory=True):
            yield fault
        return
    try:
        yield from _visit_open(root, descriptor, prefix, ignored, pending)
    finally:
        os.close(descriptor)


def _visit_open(
    root: Path, descriptor: int, prefix: str, ignored: Ignored | None, pending: list[_Pending]
) -> Iterator[Found]:
    try:
        listed, has_patterns = _list(descriptor)
        if has_patterns:
            ignored, wrong = _read_ignore_file(descriptor, prefix, ignored)
            if wrong:
                detail = f"these lines are no patterns: {', '.join(wrong)}"
                yield Unreadable(printable(prefix + IGNORE_FILE), "ignore_file_invalid", printable(detail))
    except OSError as error:
        # Without its patterns, a directory would show what somebody wanted left out.
        if fault := _fault(prefix, error, is_directory=True):
            yield fault
        return
    directories = []
    for item in listed:
        name = item.name
        key = prefix + name
        if wrong_name := name_fault(name):
            yield Unreadable(printable(key), *wrong_name, is_directory=item.is_dir(follow_symlinks=False))
            continue
        try:
            if item.is_dir(follow_symlinks=False):
                if ignored is None or not ignored.names(key + "/"):
                    directories.append(f"{key}/")
                continue
            if ignored is not None and ignored.names(key):
                continue
            if item.is_file(follow_symlinks=False):
                seen = item.stat(follow_symlinks=False)
            elif item.is_symlink() and is_inside(root, prefix + name):
                seen = item.stat()
                if not stat.S_ISREG(seen.st_mode):
                    continue
            else:
                continue
        except OSError as error:
            if fault := _fault(key, error):
                yield fault
            continue
        if len(key) > LONGEST_KEY // 4 and len(key.encode()) > LONGEST_KEY:
            yield Unreadable(key, "name_not_usable", f"the path is longer than {LONGEST_KEY} bytes")
            continue
        yield Entry(key, seen.st_size, seen.st_mtime_ns, seen.st_ino)
    pending.extend((directory, ignored) for directory in reversed(directories))


def _list(descriptor: int) -> tuple[Iterable[os.DirEntry[str]], bool]:
    """What is in a directory, by name, and whether an ignore file is there."""
    runs: list[list[os.DirEntry[str]]] = [[]]
    has_patterns = False
    with os.scandir(descriptor) as entries:
        for item in entries:
            name = item.name
            if passed_over(name):
                has_patterns = has_patterns or name == IGNORE_FILE
                continue
            if len(runs[-1]) == _SORTED_AT_ONCE:
                runs[-1].sort(key=_by_name)
                runs.append([])
            runs[-1].append(item)
    runs[-1].sort(key=_by_name)
    return (runs[0] if len(runs) == 1 else merge(*runs, key=_by_name)), has_patterns


def _read_ignore_file(descriptor: int, prefix: str, above: Ignored | None) -> tuple[Ignored | None, list[str]]:
    opened = os.open(IGNORE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return above, []
        return read_patterns(above, prefix, file.read(_LONGEST_IGNORE_FILE).decode("utf-8", "replace"))


def is_inside(root: Path, key: str) -> bool:
    """Whether the real place of what lies under `key` is inside the library."""
    return Path(os.path.realpath(root / key)).is_relative_to(os.path.realpath(root))


def _fault(key: str, error: OSError, *, is_directory: bool = False) -> Unreadable | None:
    """What to tell of something that cannot be read; None if it has just vanished. Raises `Away`."""
    if error.errno in AWAY:
        raise Away from error
    if error.errno in _VANISHED:
        return None
    return Unreadable(printable(key.rstrip("/")), "not_readable", error.strerror or "cannot be read", is_directory)
