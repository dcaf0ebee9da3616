"""What was measured, and how it is printed: median with least and most, beside its floor, the ratio and the target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One quantity, measured once or several times. `unit` is `/s`, `ms`, `s`, `MB`, `MB/s` …"""

    unit: str
    values: Sequence[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    def __str__(self) -> str:
        gap = "" if self.unit.startswith("/") else " "
        text = f"{_number(self.middle)}{gap}{self.unit}"
        return text if len(self.values) == 1 else f"{text} ({_number(min(self.values))}–{_number(max(self.values))})"


@dataclass(frozen=True)
class Line:
    """One line of the table. With a `floor` the ratio has to reach the bound, without one the figure itself has to."""

    what: str
    ours: Figure | None
    floor: Figure | None = None
    beside: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    extra: Sequence[str] = field(default=())

    @property
    def ratio(self) -> float | None:
        """Ours to the floor's."""
        return self.ours.middle / self.floor.middle if self.ours and self.floor and self.floor.middle else None

    @property
    def missed(self) -> bool:
        """Whether there is a target, and it was not reached."""
        reached = self.ratio if self.floor else self.ours.middle if self.ours else None
        if reached is None:
            return False
        too_low = self.at_least is not None and reached < self.at_least
        return too_low or (self.at_most is not None and reached > self.at_most)

    @property
    def target(self) -> str:
        """The bound as text."""
        unit = f" {self.ours.unit}" if self.ours and not self.floor else ""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{unit}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}{unit}"


def not_installed(what: str, program: str) -> Line:
    """A line that could not be measured here."""
    return Line(what, None, note=f"{program}: not installed")


WIDTHS = (46, 30, 40, 7, 9)


def heading() -> str:
    """The names of the columns, underlined."""
    names = ("what", "Tagline", "beside it, in the same run", "ratio", "target")
    titles = "  ".join(name.ljust(width) for name, width in zip(names, WIDTHS, strict=True))
    return f"{titles}\n{'  '.join('─' * width for width in WIDTHS)}"


def row(line: Line) -> str:
    """A line of the table, its notes below it."""
    floor = f"{line.beside} {line.floor}".strip() if line.floor else ""
    cells = (
        line.what, str(line.ours or ""), floor, "" if line.ratio is None else f"{line.ratio:.2f}",
        line.target + (" missed" if line.missed else ""),
    )  # fmt: skip
    text = "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
    return "\n".join([text, *(f"    {note}" for note in (*line.extra, line.note) if note)])


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
