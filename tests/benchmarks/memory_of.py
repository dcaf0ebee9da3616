"""Memory of a process and all that it started, as /proc tells it."""

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

EVERY = 0.05


@dataclass
class Memory:
    """Resident and proportional (shared pages divided among those who share them) memory, MB."""

    rss: float = 0.0
    pss: float = 0.0
    processes: int = 0


def memory_of(pid: int) -> Memory:
    """Of a process and its descendants, now."""
    total = Memory()
    for process in tree(pid):
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        sizes = {
            name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in rollup.splitlines()[1:])
        }
        total.rss += sizes["Rss"] / 1024
        total.pss += sizes["Pss"] / 1024
        total.processes += 1
    return total


class Peak:
    """The most that was used while it was watched, looked at twenty times a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = Memory()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            now = memory_of(self._pid)
            if now.rss > self.most.rss:
                self.most = now


def tree(pid: int) -> list[int]:
    found = [pid]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text(encoding="ascii").split()]
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread ended meanwhile
    return found
