"""Files that have arrived on the library's disk, and get their place in it."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from tagline import errors
from tagline.storage.directories import directory, parent, sync_directory, sync_folder
from tagline.storage.entries import Absent, Entry
from tagline.storage.writing import Writing, claim

# Hidden, so that neither walks nor the watcher come to it.
INCOMING = ".tagline-incoming"

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_STEP = 1024 * 1024


def make_incoming(root: Path) -> Path:
    """The folder for what is still arriving, made if it is missing. Blocks.

    Raises `errors.Unavailable` (code `storage_read_only`) where something else is in its place.
    """
    with directory(root, "") as above, suppress(FileExistsError):
        os.mkdir(INCOMING, 0o700, dir_fd=above)
        sync_directory(above)
    try:
        with directory(root, f"{INCOMING}/") as made:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=made, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except NotADirectoryError as error:
        detail = f"{root / INCOMING} is no folder, but must be one for files to be taken in; move it away"
        raise errors.Unavailable(detail, code="storage_read_only") from error
    return root / INCOMING


class Adopting(Writing):
    """A finished local file on its way to a name in the library. Blocks, as `Writing` does.

    `link` is all that is needed, except from another file system: then another one is to `copy` until it says False,
    and to `place`. In the end `abandon`, as always.
    """

    def __init__(self, root: Path, key: str, source: str | Path, source_directory: int | None = None) -> None:
        self._source, self._source_directory = source, source_directory
        try:
            self._content: int | None = os.open(source, _FILE, dir_fd=source_directory)
        except FileNotFoundError as error:
            raise Absent(os.path.basename(source)) from error
        try:
            self._seen = os.fstat(self._content)
            if not stat.S_ISREG(self._seen.st_mode):
                raise Absent(os.path.basename(source))
            super().__init__(root, key)
        except BaseException:
            os.close(self._content)
            raise

    def link(self) -> Entry | None:
        """Give the file its name; None if it lies on another file system. Raises `FileExistsError`."""
        with self._lock:
            if self._file is None or self._content is None:
                raise RuntimeError("adopting has been abandoned")
            self._share(self._content, os.fstat(self._file))
            try:
                claim(self._source, self._source_directory, self._name, self._directory)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                return None
            sync_directory(self._directory)
            placed = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
            return Entry(self._key, placed.st_size, placed.st_mtime_ns, placed.st_ino)

    def copy(self) -> bool:
        """Copy the next piece, and say whether there was one."""
        with self._lock:
            piece = b"" if self._content is None else os.read(self._content, _STEP)
        self.write(piece)
        return bool(piece)

    def place(self) -> Entry:
        """Put the copy into its place, as old as its source. Raises `Exists`."""
        with self._lock:
            if self._file is not None:
                os.utime(self._file, ns=(self._seen.st_atime_ns, self._seen.st_mtime_ns))
        return self.finish(overwrite=False)

    def abandon(self) -> None:
        super().abandon()
        with self._lock:
            if self._content is not None:
                os.close(self._content)
                self._content = None

    def _share(self, content: int, ordinary: os.stat_result) -> None:
        """Give the file the mode and group that one made in its new directory has."""
        wanted = stat.S_IMODE(ordinary.st_mode)
        if (stat.S_IMODE(self._seen.st_mode), self._seen.st_gid) == (wanted, ordinary.st_gid):
            return
        # Refused by file systems that keep neither, and where the group is not one of ours: it is no reason to stop.
        with suppress(PermissionError):
            if self._seen.st_gid != ordinary.st_gid:
                os.fchown(content, -1, ordinary.st_gid)
        with suppress(PermissionError):
            os.fchmod(content, wanted)
        os.fsync(content)


def give_back(root: Path, source: Path, key: str) -> None:
    """Undo adopting: take the name `key` away, and give it back to `source` if that is gone. Blocks."""
    with parent(root, key) as (above, name):
        if not stat.S_ISREG(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            raise Absent(key)
        if os.path.lexists(source):
            os.unlink(name, dir_fd=above)
        else:
            os.rename(name, source, src_dir_fd=above)
            sync_folder(source.parent)
        sync_directory(above)
