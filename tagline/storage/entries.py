"""What a storage speaks of: entries, what it could not read, and its errors."""

import msgspec

from tagline import errors


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A file in the library. `size` in bytes, `mtime_ns` since the epoch; `inode` is unique per file."""

    key: str
    size: int
    mtime_ns: int
    inode: int


class Folder(msgspec.Struct, frozen=True, gc=False):
    """A folder in the library; its key has a slash at its end."""

    key: str
    mtime_ns: int


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """Something in the library that the walk could not take in.

    `path` is printable, not a key. If it is a directory, what lies below is unknown, not gone.
    Codes: `name_not_utf8`, `name_not_usable`, `not_readable`, `ignore_file_invalid`.
    """

    path: str
    code: str
    detail: str
    is_directory: bool = False


class Absent(errors.Gone):
    """There is no such file or folder in the storage (any more); `key` says which."""

    code = "file_missing"

    def __init__(self, key: str) -> None:
        super().__init__(f"The {'folder' if key[-1:] == '/' else 'file'} {key} is not in the library any more")
        self.key = key


class Exists(errors.Conflict):
    """There is a file of that name already, or something in a folder that is to be empty; `key` says where."""

    code = "file_exists"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is already something at {key}")
        self.key = key


class Changed(errors.Unavailable):
    """The file was written to while it was being read, so that what was read may be half old, half new."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is being changed right now; try again", code="file_changing", retry_after=2)


class Away(errors.Unavailable):
    """The storage has gone: unmounted, unplugged, or it answers with errors of its hardware."""

    def __init__(self, detail: str = "The photo library is away; is its disk plugged in and mounted?") -> None:
        super().__init__(detail, code="storage_unavailable")
