"""The pool of worker processes, with real ones."""

import asyncio
import os
import signal
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from tagline.workers import WorkerFailed, Workers

MakePool = Callable[..., Workers]

# Speaks the protocol and does what the tests need: tells its process id and environment, waits, dies, lies.
ODD_WORKER = """
import os, struct, subprocess, sys, time
import msgspec
while head := sys.stdin.buffer.read(4):
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(head, "big")))
    op, args, answer = request["op"], request["args"], {"pid": os.getpid()}
    if op == "environment":
        answer = {"environment": dict(os.environ), "path": sys.path}
    elif op == "wait":
        open(args["begun"], "w").close()
        os.open(args["fifo"], os.O_RDONLY)
        with open(args["log"], "a") as log:
            log.write(args["name"] + " ")
        answer["name"] = args["name"]
    elif op == "child":
        answer["child"] = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL).pid
    elif op == "hang_with_child":
        child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
        with open(args["pids"], "w") as pids:
            pids.write(f"{os.getpid()} {child.pid}")
        time.sleep(1000)
    elif op == "die":
        os._exit(3)
    elif op == "lie":
        sys.stdout.buffer.write(b"\\xff\\xff\\xff\\xff nonsense")
        sys.stdout.buffer.flush()
        continue
    elif op == "garble":
        sys.stdout.buffer.write(b"\\0\\0\\0\\1\\xc1")
        sys.stdout.buffer.flush()
        continue
    elif op == "refuse":
        answer = {"error": "no_such_thing", "detail": "There is no such thing."}
    body = msgspec.msgpack.encode(answer)
    sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
async def pool() -> AsyncIterator[MakePool]:
    """Makes pools, and ends them."""
    made: list[Workers] = []

    def make(count: int = 1, **options: Any) -> Workers:
        made.append(Workers(count, **options))
        return made[-1]

    yield make
    for workers in made:
        await workers.close()


@pytest.fixture
def odd(pool: MakePool) -> MakePool:
    return lambda count=1, **options: pool(count, program=("-c", ODD_WORKER), **options)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # A zombie waits for its parent or for init to take notice; it is as good as gone.
    return state != "Z"


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop turns until `condition` holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.002)


def resolved(entries: list[str]) -> set[Path]:
    return {Path(entry).resolve() for entry in entries if entry}


def photo(path: Path, width: int = 600, height: int = 400) -> str:
    Image.radial_gradient("L").convert("RGB").resize((width, height)).save(path, "JPEG")
    return str(path)


async def test_a_worker_reads_headers_and_makes_thumbnails(pool: MakePool, tmp_path: Path) -> None:
    workers = pool(2)
    path = photo(tmp_path / "a.jpg")
    answers = await asyncio.gather(
        workers.run("headers", files=[(os.fsencode(path), 0)]),
        workers.run("digest", path=path, grid=str(tmp_path / "grid.webp")),
        workers.run("thumbnails", urgent=True, path=path, places={512: str(tmp_path / "512.webp")}),
    )
    assert answers[0]["files"][0]["metadata"]["width"] == 600
    assert answers[1]["thumbnails"] == [256]
    assert (tmp_path / "512.webp").stat().st_size > 100


async def test_what_goes_wrong_has_a_code_and_no_traceback(pool: MakePool, tmp_path: Path) -> None:
    workers = pool()
    with pytest.raises(WorkerFailed) as gone:
        await workers.run("digest", path=str(tmp_path / "nothing.jpg"))
    with pytest.raises(WorkerFailed) as fault:
        await workers.run("no such task")
    assert (gone.value.code, fault.value.code) == ("not_readable", "worker_failed")
    assert "Traceback" not in fault.value.detail
    assert await workers.run("headers", files=[]) == {"files": []}


async def test_a_worker_without_memory_says_so_and_is_replaced(pool: MakePool, tmp_path: Path) -> None:
    # 100 MB of pixels do not fit into 150 MB of address space beside Python and Pillow.
    workers = pool(memory_bytes=150 * 1024 * 1024)
    big = tmp_path / "big.png"
    head = struct.pack(">IIBBBBB", 6000, 6000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(6000 * 18_001), 1)), (b"IEND", b"")]
    big.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )
    )
    found = await workers.run("digest", path=str(big), grid=str(tmp_path / "grid.webp"))
    assert found["image_error"]["code"] == "out_of_memory"
    with pytest.raises(WorkerFailed) as caught:
        await workers.run("thumbnails", path=str(big), places={256: str(tmp_path / "x")})
    assert caught.value.code == "out_of_memory"
    assert (await workers.run("digest", path=photo(tmp_path / "a.jpg")))["image_error"] is None


async def test_a_crash_costs_one_request(odd: MakePool) -> None:
    workers = odd()
    before = (await workers.run("pid"))["pid"]
    with pytest.raises(WorkerFailed) as caught:
        await workers.run("die")
    assert caught.value.code == "worker_crashed"
    assert (await workers.run("pid"))["pid"] != before
    assert not lives(before)


async def test_a_worker_killed_at_work_costs_one_request(odd: MakePool, tmp_path: Path) -> None:
    workers = odd()
    pids = tmp_path / "pids"
    request = asyncio.create_task(workers.run("hang_with_child", pids=str(pids)))
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    worker, child = map(int, pids.read_text().split())
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(WorkerFailed, match="ended unexpectedly"):
        await request
    await until(lambda: not lives(child))
    assert (await workers.run("pid"))["pid"] != worker


async def test_a_worker_killed_at_rest_costs_nothing(odd: MakePool) -> None:
    workers = odd()
    pid = (await workers.run("pid"))["pid"]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    assert (await workers.run("pid"))["pid"] != pid


async def test_a_timeout_ends_the_worker_and_its_children(odd: MakePool, tmp_path: Path) -> None:
    workers = odd()
    pids = tmp_path / "pids"
    await workers.run("pid")
    with pytest.raises(WorkerFailed) as caught:
        await workers.run("hang_with_child", timeout=1.0, pids=str(pids))
    assert caught.value.code == "worker_timeout"
    worker, child = map(int, pids.read_text().split())
    await until(lambda: not lives(worker) and not lives(child))
    assert (await workers.run("pid"))["pid"] != worker


async def test_a_decode_that_takes_too_long_is_stopped(pool: MakePool, tmp_path: Path) -> None:
    workers = pool()
    path = photo(tmp_path / "a.jpg", 8000, 6000)
    with pytest.raises(WorkerFailed) as caught:
        await workers.run("thumbnails", timeout=0.01, path=path, places={2048: str(tmp_path / "x.webp")})
    assert caught.value.code == "worker_timeout"
    assert not (tmp_path / "x.webp").exists()


@pytest.mark.parametrize("op", ["lie", "garble"])
async def test_nonsense_is_no_answer(odd: MakePool, op: str) -> None:
    workers = odd()
    with pytest.raises(WorkerFailed) as caught:
        await workers.run(op)
    assert caught.value.code == "worker_crashed"
    assert (await workers.run("pid"))["pid"]


async def test_a_worker_may_refuse_in_its_own_words(odd: MakePool) -> None:
    with pytest.raises(WorkerFailed) as caught:
        await odd().run("refuse")
    assert (caught.value.code, caught.value.detail) == ("no_such_thing", "There is no such thing.")


async def test_a_program_that_does_not_start_is_told(pool: MakePool) -> None:
    with pytest.raises(WorkerFailed) as caught:
        await pool(program=("-c", "raise SystemExit(1)")).run("pid")
    assert caught.value.code == "worker_crashed"


class Gate:
    """Requests that are answered one by one, when the test says so."""

    def __init__(self, workers: Workers, folder: Path) -> None:
        self.workers, self.folder = workers, folder
        self.log = folder / "log"
        self.tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def ask(self, name: str, urgent: bool = False) -> None:
        fifo = self.folder / name
        os.mkfifo(fifo)
        paths: dict[str, Any] = {"fifo": str(fifo), "begun": f"{fifo}.begun", "log": str(self.log)}
        self.tasks[name] = asyncio.create_task(self.workers.run("wait", urgent=urgent, name=name, **paths))
        await asyncio.sleep(0)

    async def begun(self, name: str) -> None:
        await until((self.folder / f"{name}.begun").exists)

    async def open(self, name: str) -> None:
        """Let the request go on once it is there."""
        await self.begun(name)
        await until(lambda: self._opened(name))

    def _opened(self, name: str) -> bool:
        try:
            os.close(os.open(self.folder / name, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True


async def test_urgent_requests_go_first(odd: MakePool, tmp_path: Path) -> None:
    gate = Gate(odd(1), tmp_path)
    await gate.ask("first")
    await gate.begun("first")
    for name in ("slow1", "slow2"):
        await gate.ask(name)
    await gate.ask("quick", urgent=True)
    assert gate.workers.waiting == 3
    for name in ("first", "quick", "slow1", "slow2"):
        await gate.open(name)
    await asyncio.gather(*gate.tasks.values())
    assert gate.log.read_text().split() == ["first", "quick", "slow1", "slow2"]


async def test_no_more_processes_than_allowed_work_at_once(odd: MakePool, tmp_path: Path) -> None:
    gate = Gate(odd(2), tmp_path)
    for name in "abc":
        await gate.ask(name)
    await gate.begun("a")
    await gate.begun("b")
    assert gate.workers.waiting == 1
    for name in "abc":
        await gate.open(name)
    answers = await asyncio.gather(*gate.tasks.values())
    assert len({answer["pid"] for answer in answers}) == 2
    assert [answer["name"] for answer in answers] == ["a", "b", "c"]


async def test_a_caller_who_leaves_mixes_up_no_answers(odd: MakePool, tmp_path: Path) -> None:
    gate = Gate(odd(1), tmp_path)
    for name in ("left at work", "left in the queue", "stays"):
        await gate.ask(name)
    await gate.begun("left at work")
    for name in ("left at work", "left in the queue"):
        gate.tasks.pop(name).cancel()
    await gate.open("left at work")
    await gate.open("stays")
    assert (await gate.tasks["stays"])["name"] == "stays"
    assert gate.log.read_text() == "left at work stays "


async def test_idle_processes_end_and_come_back(odd: MakePool) -> None:
    workers = odd(2, idle_seconds=0.05)
    pid = (await workers.run("pid"))["pid"]
    await until(lambda: not lives(pid))
    assert (await workers.run("pid"))["pid"] != pid


async def test_a_request_that_comes_while_an_idle_process_ends_is_fulfilled(odd: MakePool) -> None:
    workers = odd(1, idle_seconds=0)
    for turns in range(25):
        await workers.run("pid")
        for _ in range(turns):
            await asyncio.sleep(0)
    assert workers.waiting == 0


async def test_closing_leaves_no_process_and_no_one_waiting(odd: MakePool, tmp_path: Path) -> None:
    workers = odd(2)
    child = (await workers.run("child"))["child"]
    gate = Gate(workers, tmp_path)
    for name in "abc":
        await gate.ask(name)
    await gate.begun("a")
    await gate.begun("b")
    pids = tmp_path / "pids"
    async with asyncio.timeout(1):
        await workers.close()
    ends = await asyncio.gather(*gate.tasks.values(), return_exceptions=True)
    assert [end.code for end in ends if isinstance(end, WorkerFailed)] == ["workers_closed"] * 3
    await until(lambda: not lives(child))
    with pytest.raises(WorkerFailed) as caught:
        await workers.run("hang_with_child", pids=str(pids))
    assert caught.value.code == "workers_closed"
    await workers.close()


async def test_closing_a_pool_at_rest_leaves_no_process(odd: MakePool) -> None:
    workers = odd(3)
    pids = [answer["pid"] for answer in await asyncio.gather(*(workers.run("pid") for _ in range(5)))]
    await workers.close()
    assert not any(lives(pid) for pid in pids)


async def test_secrets_stay_with_the_server(odd: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGLINE_SECRET_KEY", "hush")
    monkeypatch.setenv("TZ", "Europe/Rome")
    found = await odd().run("environment")
    assert set(found["environment"]) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "PYTHONPATH"}
    assert found["environment"]["TZ"] == "Europe/Rome"
    assert resolved(sys.path) <= resolved(found["path"])


async def test_what_libraries_print_does_not_disturb_the_answers() -> None:
    script = (
        "import os, tagline.media.tasks as tasks\n"
        "from tagline.media import worker\n"
        "def loud():\n"
        "    print('hello', flush=True); os.write(1, b'from C'); os.write(2, b'from C')\n"
        "    return {'said': True}\n"
        "tasks.TASKS['loud'] = loud\n"
        "worker.main()\n"
    )
    request = msgspec.msgpack.encode({"op": "loud", "args": {}})
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    out, err = await process.communicate(len(request).to_bytes(4, "big") + request)
    answer = msgspec.msgpack.encode({"said": True})
    assert out == len(answer).to_bytes(4, "big") + answer
    assert err == b""
    assert process.returncode == 0


@pytest.mark.parametrize("given", [b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\5abc"])
async def test_a_worker_ends_with_its_input(given: bytes) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tagline.media.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    out, _ = await process.communicate(given)
    assert (out, process.returncode) == (b"", 0)
