"""Phones that send photos, as a program of their own that prints what it took as JSON.

`python -m tests.benchmarks.phones PORT WAY COUNT LARGEST BASE…`: COUNT photos over 4 connections, the access token in
TOKEN.

WAY        a path (/photos): POST of the photo as the body; tus: a creation and one PATCH; chunks: PATCHes of 1 MiB
LARGEST    bytes of each photo, all COUNT at once: what its pixels leave is noise behind their end, where a motion photo
           has its film; 0: as they are

No two photos are alike: they are the JPEGs BASE with tags of their own, put together as they are sent, so that nothing
is read from the disk meanwhile.
"""

import base64
import http.client
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tests.benchmarks import photographs
from tests.benchmarks.load import LoadError, summary

CONNECTIONS = 4
CHUNK = 1024 * 1024
_FIRST = datetime(2024, 1, 1, 9, 0)
_NOISE = random.Random(7).randbytes(CHUNK)
_TIMEOUT = 600

Pieces = Iterator[bytes | memoryview]


class Sent(msgspec.Struct):
    """What it took: photos in a second, waits in ms, and seconds of processor time for all photos together."""

    rate: float
    p50: float
    p99: float
    cpu: float
    bytes: int


def pictures(kept: Path) -> list[Path]:
    """Four JPEGs of 3488 × 2616 in about 3 MB, kept."""
    folder = kept / "sent"
    paths = [folder / f"base-{seed}.jpg" for seed in range(4)]
    if not paths[-1].exists():
        folder.mkdir(parents=True, exist_ok=True)
        for seed, path in enumerate(paths):
            path.write_bytes(photographs.jpeg(seed, (3488, 2616)))
    return paths


def photo(number: int, bases: Sequence[bytes]) -> bytes:
    """A JPEG that no other number has."""
    taken = _FIRST + timedelta(minutes=37 * number)
    return photographs.with_exif(bases[number % len(bases)], photographs.tags_of(number, taken))


class _Phone:
    """One connection, in a thread of its own."""

    def __init__(self, port: int, way: str, largest: int, bases: Sequence[bytes]) -> None:
        self.took: list[float] = []
        self.sent = 0
        self.wrong = ""
        self._way, self._largest, self._bases = way, largest, bases
        self._token = os.environ.get("TOKEN", "")
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT, blocksize=CHUNK)

    def send_all(self, numbers: Iterator[int], begin: threading.Barrier) -> None:
        try:
            self._connection.connect()
            begin.wait()
            for number in numbers:
                began = time.perf_counter()
                self.sent += self._send(number)
                self.took.append(time.perf_counter() - began)
        except (OSError, http.client.HTTPException, LoadError) as error:
            self.wrong = repr(error)
        finally:
            self._connection.close()

    def _send(self, number: int) -> int:
        content = photo(number, self._bases)
        length = max(len(content), self._largest)
        name = f"IMG_{number:05}.jpg"
        if self._way not in ("tus", "chunks"):
            headers = {"Content-Type": "image/jpeg", "Content-Disposition": f'attachment; filename="{name}"'}
            self._ask("POST", self._way, headers, self._pieces(content), length, 201)
            return length
        tus = {"Tus-Resumable": "1.0.0"}
        metadata = f"filename {base64.b64encode(name.encode()).decode()}"
        created = tus | {"Upload-Length": str(length), "Upload-Metadata": metadata}
        location = self._ask("POST", "/api/uploads", created, iter(()), 0, 201)
        step = length if self._way == "tus" else CHUNK
        for offset in range(0, length, step):
            chunk = memoryview(content)[offset : offset + step]
            headers = tus | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
            self._ask("PATCH", location, headers, iter((chunk,)), len(chunk), 204)
        return length

    def _pieces(self, content: bytes) -> Pieces:
        yield content
        for begun in range(len(content), self._largest, CHUNK):
            yield memoryview(_NOISE)[: self._largest - begun]

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: Pieces, length: int, wanted: int
    ) -> str:  # fmt: skip
        """One request; gives where what it made is. Raises LoadError where the answer is another than it should be."""
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._connection.request(method, path, body, headers | {"Content-Length": str(length)})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != wanted:
            raise LoadError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return answer.headers.get("Location", "")


def main(port: int, way: str, count: int, largest: int, bases: Sequence[bytes]) -> Sent:
    """Send them all. Raises LoadError."""
    numbers = iter(range(count))
    phones = [_Phone(port, way, largest, bases) for _ in range(count if largest else CONNECTIONS)]
    begin = threading.Barrier(len(phones) + 1)
    threads = [threading.Thread(target=phone.send_all, args=(numbers, begin)) for phone in phones]
    for thread in threads:
        thread.start()
    before = _cpu()
    begin.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if wrong := [phone.wrong for phone in phones if phone.wrong]:
        raise LoadError(wrong[0])
    seen = summary([took for phone in phones for took in phone.took], seconds)
    return Sent(seen.rate, seen.p50, seen.p99, _cpu() - before, sum(phone.sent for phone in phones))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    port, way, count, largest, *paths = sys.argv[1:]
    result = main(int(port), way, int(count), int(largest), [Path(path).read_bytes() for path in paths])
    print(msgspec.json.encode(result).decode())
