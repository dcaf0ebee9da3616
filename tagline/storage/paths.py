"""Keys: where a file lies in the library, as a relative POSIX path (`2024/07/IMG_0042.jpg`)."""

import re

from tagline import errors

LONGEST_KEY = 4096
LONGEST_PART = 255

# C0, DEL, C1: they break headers, logs and terminals. A backslash is a separator to Windows clients, so
# that a key with one would be another path there.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


def check_key(key: str) -> str:
    """Give back `key` if it is one; raise `errors.Invalid("object_key", …)` if not.

    A key is relative, has no empty part, no `.` and no `..`, no control characters and no backslash, is at
    most 4,096 bytes long in UTF-8, and each of its parts at most 255.
    """
    if why := key_fault(key):
        raise errors.Invalid("object_key", why)
    return key


def check_folder(folder: str) -> str:
    """Give back `folder` if it is a folder's key; raise `errors.Invalid("object_key", …)` if not.

    That is "" for the library itself, or a key with a slash at its end.
    """
    if folder:
        if folder[-1] != "/":
            raise errors.Invalid("object_key", "must have a slash at its end, being a folder's")
        check_key(folder[:-1])
    return folder


def key_fault(key: str) -> str | None:
    """Say what is wrong with `key`, or None."""
    if not key:
        return "must not be empty"
    if key[0] == "/":
        return "must be relative to the library"
    if _FORBIDDEN.search(key):
        return "must not contain control characters or backslashes"
    try:
        if len(key.encode()) > LONGEST_KEY:
            return f"must be at most {LONGEST_KEY} bytes long"
        for part in key.split("/"):
            if part in ("", ".", ".."):
                return "must not contain empty parts, '.' or '..'"
            if len(part.encode()) > LONGEST_PART:
                return f"must not contain names longer than {LONGEST_PART} bytes"
    except UnicodeEncodeError:
        return "must be valid Unicode"
    return None


def name_fault(name: str) -> tuple[str, str] | None:
    """The code and the reason why a name found on a disk cannot be part of a key, or None.

    Codes: `name_not_utf8`, `name_not_usable`.
    """
    if name.isascii():
        if name.isprintable() and "\\" not in name:
            return None
    else:
        try:
            if len(name.encode()) > LONGEST_PART:
                return "name_not_usable", f"the name is longer than {LONGEST_PART} bytes"
        except UnicodeEncodeError:
            return "name_not_utf8", "the name is not UTF-8; rename the file to have it taken in"
    if _FORBIDDEN.search(name):
        return "name_not_usable", "the name contains control characters or a backslash; rename the file"
    return None


def printable(path: str) -> str:
    """`path` with what cannot be shown or encoded written as `\\xNN` escapes."""
    readable = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _FORBIDDEN.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] != "\\" else "\\", readable)
