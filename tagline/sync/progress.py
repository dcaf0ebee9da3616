"""The progress of jobs, for those who listen: the newest state of each, kept in memory and for a short time only."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from tagline import jobs
from tagline.changes import Change
from tagline.db import Database
from tagline.errors import NotFound, Problem

# At most so often is a job told of, s: a scan says at the same pace how far it is.
TOLD_EVERY = 0.3
# Jobs whose newest state is kept for listeners that are slower than others.
MOST_KEPT = 100
# Where the table cannot be read now, s.
TRY_AGAIN_SECONDS = 5.0


class Progress:
    """Numbers each new state of a job, so that everybody can ask for what came after the last one they heard of."""

    def __init__(self, db: Database, wake: Callable[[], None]) -> None:
        self._db = db
        self._wake = wake
        self._changed: dict[str, None] = {}
        self._something = asyncio.Event()
        self._states: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self.newest = 0

    def noticed(self, changes: list[Change]) -> None:
        """Listen to the hub: jobs are queued and end, in this process and in others."""
        for change in changes:
            if change.entity == "job":
                self.heard(change.entity_id)

    def heard(self, job_id: str) -> None:
        """A job has come further."""
        if self._task:
            self._changed[job_id] = None
            self._something.set()

    def after(self, number: int) -> list[bytes]:
        """The states that came after that number, as JSON, in order."""
        if number >= self.newest:
            return []
        return [state for at, state in self._states.values() if at > number]

    def listen(self) -> None:
        """Somebody wants to know: look from now on."""
        if not self._task:
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Look no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            changed, self._changed = self._changed, {}
            try:
                for job_id in changed:
                    await self._look(job_id)
            except Problem:
                # What was not told yet is told when the table can be read again.
                self._changed = {**changed, **self._changed}
                self._something.set()
                await asyncio.sleep(TRY_AGAIN_SECONDS)
            self._wake()
            await asyncio.sleep(TOLD_EVERY)

    async def _look(self, job_id: str) -> None:
        try:
            state = msgspec.json.encode(await jobs.get(self._db, job_id))
        except NotFound:
            return
        if self._states.get(job_id, (0, b""))[1] == state:
            return
        self.newest += 1
        self._states[job_id] = (self.newest, state)
        self._states.move_to_end(job_id)
        if len(self._states) > MOST_KEPT:
            self._states.popitem(last=False)
