"""The worker process: `python -m tagline.media.worker [bytes of address space]`.

Requests come on stdin, answers go to stdout: 4 bytes of length (big endian), then msgpack. A request is
{"op": name, "args": {…}}, its answer the task's own, or {"error": code, "detail": sentence}. It ends when
stdin does.
"""

import io
import os
import resource
import sys
import warnings
from contextlib import suppress
from typing import Any, BinaryIO, Final

import msgspec

from tagline.media.errors import MediaError, out_of_memory
from tagline.media.tasks import TASKS

_MEMORY: Final = 1536 * 1024 * 1024
_MOST_REQUEST: Final = 64 * 1024 * 1024
_NICE: Final = 10


class _Request(msgspec.Struct):
    op: str
    args: dict[str, Any]


def main() -> None:
    """Serve requests until stdin ends."""
    memory = int(sys.argv[1]) if len(sys.argv) > 1 else _MEMORY
    os.nice(_NICE)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as first:
        first.write("1000")  # where memory runs out, a photo is the cheapest to lose
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    warnings.simplefilter("ignore")
    answers, log = _reserve_stdout()
    with answers, open(0, "rb", closefd=False) as requests:
        while (request := _receive(requests)) is not None:
            answer = msgspec.msgpack.encode(_answer(request, log))
            answers.write(len(answer).to_bytes(4, "big") + answer)
            answers.flush()


def _reserve_stdout() -> tuple[BinaryIO, io.RawIOBase]:
    """Streams for answers and for our own faults; 1 and 2 lead nowhere then: C libraries print to them."""
    answers, log = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(2), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return answers, log


def _receive(requests: BinaryIO) -> bytes | None:
    head = requests.read(4)
    size = int.from_bytes(head, "big")
    if len(head) < 4 or size > _MOST_REQUEST:
        return None
    body = requests.read(size)
    return body if len(body) == size else None


def _answer(request: bytes, log: io.RawIOBase) -> dict[str, Any]:
    try:
        asked = msgspec.msgpack.decode(request, type=_Request)
        return TASKS[asked.op](**asked.args)
    except MediaError as error:
        return {"error": error.code, "detail": error.detail}
    except MemoryError:
        failure = out_of_memory()
        return {"error": failure.code, "detail": failure.detail}
    except Exception:
        # A fault of ours: its story is for the log, the process is good for the next request. Imported only
        # here, since it costs memory and is hardly ever needed.
        import traceback

        log.write(traceback.format_exc().encode("utf-8", "backslashreplace"))
        return {"error": "worker_failed", "detail": "A fault in Tagline kept it from handling the file."}


if __name__ == "__main__":
    main()
