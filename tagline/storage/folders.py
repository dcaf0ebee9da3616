"""Making, moving and removing in the library's folders, so that nothing is overwritten and a power cut loses nothing.

All functions block: they are to be used in threads.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tagline import errors
from tagline.storage.directories import parent, sync_directory
from tagline.storage.entries import Absent, Exists
from tagline.storage.paths import check_folder, check_key
from tagline.storage.placing import Adopting
from tagline.storage.walking import is_inside
from tagline.storage.writing import claim

_NO_SUCH = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def check_folder_below(folder: str) -> str:
    """Give back `folder` if it is the key of a folder other than the library itself; raise `errors.Invalid` if not."""
    if not folder:
        raise errors.Invalid("object_key", "the library itself cannot be moved or removed")
    return check_folder(folder)


def check_move(key: str, target: str) -> None:
    """Raise `errors.Invalid` unless both are keys of files, or both of folders and `target` is not inside `key`."""
    if key.endswith("/") or target.endswith("/"):
        check_folder_below(key)
        check_folder_below(target)
        if target.startswith(key) and target != key:
            raise errors.Invalid("object_key", "a folder cannot be moved into itself")
    else:
        check_key(key)
        check_key(target)


def make_folder(root: Path, folder: str) -> None:
    """Make a folder, not those above it. Raises `Absent` if they are missing, `FileExistsError`."""
    with _above(root, folder) as (directory, name):
        os.mkdir(name, dir_fd=directory)
        sync_directory(directory)


def remove_folder(root: Path, folder: str) -> None:
    """Remove an empty folder. Raises `Absent`, and `OSError` (`ENOTEMPTY`) if something is in it, be it hidden."""
    with _above(root, folder) as (directory, name):
        try:
            os.rmdir(name, dir_fd=directory)
        except NotADirectoryError as error:
            raise Absent(folder) from error
        sync_directory(directory)


def move(root: Path, key: str, target: str) -> None:
    """Rename what `check_move` has let pass. Raises `Absent`, `Exists`."""
    with _above(root, key) as (directory, name), _above(root, target) as (goal, new_name):
        seen = os.stat(name, dir_fd=directory, follow_symlinks=False)
        try:
            if key.endswith("/"):
                if not stat.S_ISDIR(seen.st_mode):
                    raise Absent(key)
                _move_folder(directory, name, goal, new_name)
            elif stat.S_ISREG(seen.st_mode):
                _move_file(root, target, directory, name, goal, new_name)
            elif stat.S_ISLNK(seen.st_mode) and is_inside(root, key) and (root / key).is_file():
                _move_link(root, key, target, goal, new_name)
                os.unlink(name, dir_fd=directory)
            else:
                raise Absent(key)
        except FileExistsError as error:
            raise Exists(target) from error
        sync_directory(directory)


def _move_folder(directory: int, name: str, goal: int, new_name: str) -> None:
    # Should somebody make an empty folder of that name just now, it is replaced: nothing is lost by that.
    if _is_there(new_name, goal):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)
    try:
        os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=goal)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise errors.Invalid("object_key", "a folder cannot be moved to another disk; move what is in it") from error
    sync_directory(goal)


def _move_file(root: Path, target: str, directory: int, name: str, goal: int, new_name: str) -> None:
    """A power cut in between leaves the file under both names, never under none."""
    before = os.stat(name, dir_fd=directory, follow_symlinks=False)
    is_copy = False
    try:
        claim(name, directory, new_name, goal)
        sync_directory(goal)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(root, target, directory, name)
        is_copy = True
    # It is gone already where there are no links; and what somebody has just saved there stays.
    with suppress(FileNotFoundError):
        now = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if os.path.samestat(before, now) and not (is_copy and now.st_mtime_ns != before.st_mtime_ns):
            os.unlink(name, dir_fd=directory)


def _copy(root: Path, target: str, directory: int, name: str) -> None:
    """For a folder of the library in which another disk is mounted."""
    copying = Adopting(root, target, name, directory)
    try:
        while copying.copy():
            pass
        copying.place()
    finally:
        copying.abandon()


def _move_link(root: Path, key: str, target: str, goal: int, new_name: str) -> None:
    """Make the link anew: what it says is meant from the folder it lies in."""
    home = os.path.realpath(root)
    leads_to = os.path.realpath(root / key)
    os.symlink(os.path.relpath(leads_to, (Path(home) / target).parent), new_name, dir_fd=goal)
    sync_directory(goal)


def _is_there(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _above(root: Path, key: str) -> Iterator[tuple[int, str]]:
    """`parent` of a file or folder; `Absent` where there is none, be it that a file or a link is in its place."""
    key = key.rstrip("/")
    with ExitStack() as stack:
        try:
            reached = stack.enter_context(parent(root, key))
        except OSError as error:
            if error.errno not in _NO_SUCH:
                raise
            above, slash, _ = key.rpartition("/")
            raise Absent(above + slash) from error
        yield reached
