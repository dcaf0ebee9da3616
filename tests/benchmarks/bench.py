"""What every group of measurements gets: where its files are kept, how long it may take, and turns taken fairly."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CLIENTS = 16


@dataclass(frozen=True)
class Bench:
    """One run. `kept` survives it: libraries and photos take minutes to make."""

    kept: Path
    quick: bool

    @property
    def seconds(self) -> float:
        """How long one measurement under load takes."""
        return 2.0 if self.quick else 4.0

    @property
    def rounds(self) -> int:
        """How often each is measured."""
        return 2 if self.quick else 3

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of the libraries whose lists are compared."""
        return (1_000, 100_000) if self.quick else (1_000, 100_000, 1_000_000)

    def turns(self, works: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Measure in turns (A B A B), so that what else the machine does meets all alike."""
        values: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(self.rounds):
            for name, work in works.items():
                values[name].append(work())
        return values

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory beside the kept one, on the same disk, that is gone afterwards."""
        self.kept.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=self.kept))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
