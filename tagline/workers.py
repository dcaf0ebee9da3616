"""A pool of worker processes, for what must not block or endanger the event loop.

Each process speaks the protocol of `media/worker.py`: 4 bytes of length, then msgpack. It is started when it
is first needed and ended after a while without work; a crash or a timeout costs the one request that it was
busy with.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

PROGRAM: Final = ("-m", "tagline.media.worker")
MEMORY_BYTES: Final = 1536 * 1024 * 1024

_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
_MOST_ANSWER: Final = 64 * 1024 * 1024
_SECONDS_TO_DIE: Final = 0.8


class WorkerFailed(Exception):
    """A request was not fulfilled.

    `code`: worker_crashed, worker_not_started, worker_timeout, workers_closed, out_of_memory, or what the worker
    itself said.
    `detail` is one sentence for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class _Job:
    """One request and the future of its answer."""

    def __init__(self, op: str, args: dict[str, Any], timeout: float) -> None:
        request = msgspec.msgpack.encode({"op": op, "args": args})
        self.message = len(request).to_bytes(4, "big") + request
        self.timeout = timeout
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def fail(self, failure: WorkerFailed) -> None:
        if not self.answer.done():
            self.answer.set_exception(failure)


class Workers:
    """Up to `count` processes. Urgent requests, for which somebody waits, go before all others.

    A caller that is cancelled gets no answer, but a request that was begun is finished (what it made is of
    use to the next caller), so that nothing is killed for somebody who scrolls fast.
    """

    def __init__(
        self,
        count: int,
        *,
        memory_bytes: int = MEMORY_BYTES,
        idle_seconds: float = 60.0,
        timeout: float = 60.0,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._count = max(1, count)
        self._idle_seconds = idle_seconds
        self._timeout = timeout
        self._command = (sys.executable, "-P", *program, str(memory_bytes))
        self._urgent: deque[_Job] = deque()
        self._background: deque[_Job] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[_Job]] = []
        self._closed = False

    async def run(
        self,
        op: str,
        *,
        urgent: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - it must not count the time in the queue
        **args: Any,
    ) -> dict[str, Any]:
        """What a worker answers to `op`; raises WorkerFailed.

        `timeout` in seconds counts from when work on it begins. Arguments are what msgpack knows; file names
        that are not UTF-8 are passed as bytes (os.fsencode).
        """
        if self._closed:
            raise _closed()
        job = _Job(op, args, self._timeout if timeout is None else timeout)
        self._submit(job, urgent)
        answer = await job.answer
        if isinstance(code := answer.get("error"), str):
            raise WorkerFailed(code, str(answer.get("detail", "")))
        return answer

    async def close(self) -> None:
        """End all processes at once; whoever still waits gets WorkerFailed workers_closed."""
        self._closed = True
        lanes = list(self._lanes)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        for job in (*self._urgent, *self._background):
            job.fail(_closed())
        self._urgent.clear()
        self._background.clear()

    @property
    def waiting(self) -> int:
        """Requests that no process has begun yet."""
        return sum(not job.answer.done() for job in (*self._urgent, *self._background))

    def _submit(self, job: _Job, urgent: bool) -> None:
        if self._idle:
            # The one that rested last: the others may grow old and end.
            self._idle.pop().set_result(job)
            return
        (self._urgent if urgent else self._background).append(job)
        self._open_lane()

    def _open_lane(self) -> None:
        if len(self._lanes) < self._count and not self._closed:
            lane = asyncio.get_running_loop().create_task(self._lane())
            self._lanes.add(lane)
            lane.add_done_callback(self._lane_ended)

    def _lane_ended(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        if self._urgent or self._background:
            # They came while the lane was ending its process.
            self._open_lane()

    async def _lane(self) -> None:
        """Take jobs one by one, with a process that is started for the first and replaced when it fails."""
        process: asyncio.subprocess.Process | None = None
        try:
            while (job := await self._next_job()) is not None:
                try:
                    process = await self._ready(process)
                    answer = await _exchange(process, job)
                except WorkerFailed as failure:
                    job.fail(failure)
                except BaseException:
                    # Cancelled by close(); nobody may wait for ever whatever it was.
                    job.fail(_closed())
                    raise
                else:
                    if not job.answer.done():
                        job.answer.set_result(answer)
                    if answer.get("error") != "out_of_memory":
                        continue
                if process is not None:
                    # What it is in the middle of, or how much memory it holds, nobody knows.
                    await _end(process)
                    process = None
        finally:
            if process is not None:
                await _end(process)

    async def _next_job(self) -> _Job | None:
        """The most urgent job that is still wanted; None after a while without any."""
        for queue in (self._urgent, self._background):
            while queue:
                job = queue.popleft()
                if not job.answer.done():
                    return job
        offer: asyncio.Future[_Job] = asyncio.get_running_loop().create_future()
        self._idle.append(offer)
        try:
            await asyncio.wait({offer}, timeout=self._idle_seconds)
        finally:
            if offer in self._idle:
                self._idle.remove(offer)
            elif self._closed and offer.done():
                offer.result().fail(_closed())
        return offer.result() if offer.done() else None

    async def _ready(self, process: asyncio.subprocess.Process | None) -> asyncio.subprocess.Process:
        """A living process: the given one, if it did not die while it rested."""
        if process is not None and _lives(process):
            return process
        if process is not None:
            await _end(process)
        return await self._start()

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(),
                # A group of its own, so that ffmpeg ends with it and Ctrl-C reaches only the server.
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerFailed("worker_not_started", "A worker process could not be started.") from error


def _closed() -> WorkerFailed:
    return WorkerFailed("workers_closed", "Tagline is shutting down.")


def _environment() -> dict[str, str]:
    """What a worker needs, and none of the secrets that the server's environment holds.

    It imports from where the server imports, also when that is a zipapp's cache.
    """
    here = str(Path(__file__).resolve().parent.parent)
    paths = dict.fromkeys([here, *(entry for entry in sys.path if entry)])
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {"PYTHONPATH": os.pathsep.join(paths)}


def _lives(process: asyncio.subprocess.Process) -> bool:
    """False as soon as the process has ended, which asyncio may learn a moment later."""
    if process.returncode is not None:
        return False
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


async def _exchange(process: asyncio.subprocess.Process, job: _Job) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(job.timeout):
            process.stdin.write(job.message)
            await process.stdin.drain()
            size = int.from_bytes(await process.stdout.readexactly(4), "big")
            if size > _MOST_ANSWER:
                raise WorkerFailed("worker_crashed", "A worker process gave an answer that makes no sense.")
            answer = msgspec.msgpack.decode(await process.stdout.readexactly(size), type=dict[str, Any])
    except TimeoutError as error:
        raise WorkerFailed("worker_timeout", f"It took longer than {job.timeout:g} seconds.") from error
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise WorkerFailed("worker_crashed", "The process that worked on it ended unexpectedly.") from error
    return answer


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and its group, and wait until it is gone, even if cancelled meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    gone = asyncio.ensure_future(_gone(process))
    cancelled = False
    while not gone.done():
        try:
            await asyncio.shield(gone)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def _gone(process: asyncio.subprocess.Process) -> None:
    # A process that waits for a dead disk can't even be killed; nobody waits for it.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_TO_DIE):
            await process.wait()
            if process.stdout is not None:
                # To its end, so that the pipe is closed when we return.
                await process.stdout.read()
