"""The log never keeps anybody waiting."""

import logging
import threading

from tagline.logs import Waiting


class Stalled(logging.Handler):
    """A terminal held by Ctrl-S, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert self.let_go.wait(20)
        self.lines.append(record.getMessage())


def line(number: int) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, "", 0, "line %d", (number,), None)


def test_a_reader_of_the_log_that_stalls_stops_nobody() -> None:
    stalled = Stalled()
    waiting = Waiting(stalled)
    for number in range(Waiting.MOST + 100):
        waiting.handle(line(number))
    stalled.let_go.set()
    waiting.finish()
    assert stalled.lines[0] == "line 0"
    assert len(stalled.lines) >= Waiting.MOST
    assert "were dropped" in stalled.lines[-1]
