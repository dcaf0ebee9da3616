"""What the client remembers between two runs, below `$XDG_STATE_HOME/tagline`: hashes, and uploads that are under way.

All of it can be deleted: the files are then hashed once more, and the server is asked what it has.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tagline.client.folder import LocalFile

# A line of `hashes`: which file, as it was, and its SHA-256.
_LINE = re.compile(rb"([0-9a-f]{32}) ([0-9a-f]{64})\n")
# Lines of files that are not there any more, before the file of hashes is written anew.
MOST_STALE = 1000
# What stands in the place of a hash that was wrong.
_UNKNOWN = bytes(32)


class Busy(Exception):
    """Another run is sending the same folder to the same server."""


class Memory:
    """What is remembered of one folder at one server. 100,000 files take 20 MB while it is open.

    A run that is cut keeps every hash that was noted, but for the last line, which may be torn.
    """

    def __init__(self, directory: Path) -> None:
        self._hashes = directory / "hashes"
        self._uploads = directory / "uploads.json"
        self._known: dict[bytes, bytes] = {}
        self._seen: set[bytes] = set()
        self._lines = 0
        self._read()
        self._noting = self._hashes.open("ab", buffering=0)
        self._under_way = _json(self._uploads)

    def _read(self) -> None:
        with suppress(FileNotFoundError), self._hashes.open("r+b") as lines:
            end = 0
            for line in lines:
                if found := _LINE.fullmatch(line):
                    key, digest = (bytes.fromhex(part.decode()) for part in found.groups())
                    self._known[key] = digest
                    self._lines += 1
                if line.endswith(b"\n"):
                    end += len(line)
            lines.truncate(end)
        self._known = {key: digest for key, digest in self._known.items() if digest != _UNKNOWN}

    def hash_of(self, file: LocalFile) -> bytes | None:
        """The SHA-256 that a file had when it was last read, if it has not been written to since."""
        key = _key(file)
        known = self._known.get(key)
        if known:
            self._seen.add(key)
        return known

    def note_hash(self, file: LocalFile, digest: bytes) -> None:
        """Remember a file's SHA-256."""
        key = _key(file)
        self._known[key] = digest
        self._seen.add(key)
        self._lines += 1
        self._noting.write(f"{key.hex()} {digest.hex()}\n".encode())

    def forget_hash(self, file: LocalFile) -> None:
        """Hash a file anew next time."""
        self.note_hash(file, _UNKNOWN)
        self._known.pop(_key(file))

    def upload_of(self, file: LocalFile) -> str | None:
        """The address at which the server keeps what it has of a file."""
        return self._under_way.get(_key(file).hex())

    def note_upload(self, file: LocalFile, address: str | None) -> None:
        """Remember where a file is being sent to; None once that is over."""
        key = _key(file).hex()
        if address is None:
            if self._under_way.pop(key, None) is None:
                return
        else:
            self._under_way[key] = address
        self._write_uploads()

    def _write_uploads(self) -> None:
        write_whole(self._uploads, json.dumps(self._under_way, indent=1), flush=False)

    def forget_what_is_gone(self) -> None:
        """After the whole folder was walked: drop what is remembered of files that are not there any more."""
        seen = {key.hex() for key in self._seen}
        if stale := self._under_way.keys() - seen:
            for key in stale:
                del self._under_way[key]
            self._write_uploads()
        if self._lines <= 2 * len(self._seen) + MOST_STALE:
            return
        lines = "".join(f"{key.hex()} {self._known[key].hex()}\n" for key in self._seen & self._known.keys())
        write_whole(self._hashes, lines, flush=False)

    def close(self) -> None:
        """Close the files."""
        self._noting.close()


@contextmanager
def remembered(state: Path, folder: Path, server: str) -> Iterator[Memory]:
    """The memory of a folder at a server, for this run alone; raises Busy while another one has it."""
    which = hashlib.sha256(os.fsencode(folder) + b"\0" + server.encode()).hexdigest()[:16]
    directory = state / "folders" / f"{readable(folder.name)}-{which}"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        memory = Memory(directory)
        try:
            yield memory
        finally:
            memory.close()


def readable(name: str) -> str:
    """A name for a file or directory that tells people what it is about."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("._")[:60] or "root"


def write_whole(path: Path, text: str, *, flush: bool) -> None:
    """Write a file that only its owner may read; whoever reads it sees the old text or the new one, never a half.

    With `flush` that is true after a power cut as well.
    """
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if flush:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)


def _json(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(file: LocalFile) -> bytes:
    told = b"%s\0%d %d %d" % (os.fsencode(file.path), file.size, file.mtime_ns, file.inode)
    return hashlib.blake2b(told, digest_size=16).digest()
