"""The log: text or JSON lines to standard output or a rotating file, and one line for every request."""

import asyncio
import atexit
import contextlib
import logging
import logging.handlers
import queue
import sys
import threading
import time
from typing import Any

import msgspec
from aiohttp import web

from tagline import times
from tagline.config import Config, ConfigError

_encode = msgspec.json.Encoder().encode
_FIELDS = "fields"
# Lines of requests are written so often, s.
REQUESTS_EVERY = 0.2


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the call gave as `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == RequestLog.LOGGER:
            return str(record.msg)
        line: dict[str, Any] = {
            "time": times.to_text(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


class TextFormatter(logging.Formatter):
    """The same for people: `18:22:03 warning tagline.photos.scan: text key=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        if record.name == RequestLog.LOGGER:
            return str(record.msg)
        text = super().format(record)
        fields = "".join(f" {name}={value}" for name, value in getattr(record, _FIELDS, {}).items())
        first, newline, rest = text.partition("\n")
        return f"{first}{fields}{newline}{rest}"


def configure(config: Config) -> None:
    """Set up the root logger as configured."""
    handler: logging.Handler
    if config.log_file:
        try:
            config.log_file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.handlers.RotatingFileHandler(config.log_file, maxBytes=10_000_000, backupCount=5)
        except OSError as error:
            why = f"cannot be written: {error.strerror}"
            raise ConfigError([f"TAGLINE_LOG_FILE: {config.log_file} {why}"]) from error
    else:
        handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [Waiting(handler)]
    root.setLevel(config.log_level.upper())
    # Those that tell at `info` what only their own developers want to know.
    for name in ("watchfiles", "yoyo", "PIL", "aiosqlite", "asyncio"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


class Waiting(logging.Handler):
    """Hands records to another handler in a thread of its own: nobody who logs waits for whoever reads the log.

    When that one stalls (a terminal held by Ctrl-S), what does not fit into the queue is dropped, and counted.
    """

    MOST = 5_000

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(self.MOST)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.finish)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while record := self._queue.get():
            self._handler.handle(record)
            if self._queue.empty():
                self._tell_dropped()
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            text = f"{dropped} lines of the log were dropped, since nobody read it"
            self._handler.handle(logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None))

    def finish(self) -> None:
        """Write what is queued, at the end, for at most two seconds."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=1)
        self._thread.join(timeout=2)


class RequestLog:
    """One line for every request. They are gathered and handed to the log together: a line costs the event loop 3 µs
    instead of 30."""

    LOGGER = "tagline.requests"

    def __init__(self, as_json: bool) -> None:
        self._log = logging.getLogger(self.LOGGER)
        self._enabled = self._log.isEnabledFor(logging.INFO)
        self._as_json = as_json
        self._lines: list[str] = []
        self._second = 0
        self._second_text = ""

    def add(
        self,
        request_id: str,
        method: str,
        route: str,
        status: int,
        started: float,
        account: str | None,
        address: str | None,
    ) -> None:
        """Note one request, begun at `started` (`time.perf_counter()`). The route is a pattern: no URL is told."""
        if not self._enabled:
            return
        milliseconds = round((time.perf_counter() - started) * 1000, 2)
        at = self._now()
        if self._as_json:
            line = _encode(
                {
                    "time": at, "level": "info", "logger": self.LOGGER, "request_id": request_id, "method": method,
                    "route": route, "status": status, "duration_ms": milliseconds, "account": account,
                    "address": address,
                }
            ).decode()  # fmt: skip
        else:
            who = f"account={account} address={address} id={request_id}"
            line = f"{at} INFO {method} {route} {status} {milliseconds} ms {who}"
        if not self._lines:
            asyncio.get_running_loop().call_later(REQUESTS_EVERY, self.flush)
        self._lines.append(line)

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._second_text = (
                times.to_text(second * 1_000_000) if self._as_json else time.strftime("%Y-%m-%d %H:%M:%S")
            )
        return self._second_text

    def flush(self) -> None:
        """Hand over what is there."""
        lines, self._lines = self._lines, []
        if lines:
            record = logging.LogRecord(self.LOGGER, logging.INFO, "", 0, "\n".join(lines), None, None)
            self._log.handle(record)


REQUESTS = web.AppKey("requests", RequestLog)
