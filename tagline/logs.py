"""The log: text or JSON lines to standard output or a rotating file, and one line for every request."""

import logging
import logging.handlers
import sys
import time
from typing import Any

import msgspec

from tagline import times
from tagline.config import Config

_encode = msgspec.json.Encoder().encode
_FIELDS = "fields"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the call gave as `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
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
        text = super().format(record)
        fields = "".join(f" {name}={value}" for name, value in getattr(record, _FIELDS, {}).items())
        first, newline, rest = text.partition("\n")
        return f"{first}{fields}{newline}{rest}"


def configure(config: Config) -> None:
    """Set up the root logger as configured."""
    handler: logging.Handler
    if config.log_file:
        config.log_file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(config.log_file, maxBytes=10_000_000, backupCount=5)
    else:
        handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log_level.upper())
    # Those that tell at `info` what only their own developers want to know.
    for name in ("watchfiles", "yoyo", "PIL", "aiosqlite", "asyncio"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


_requests = logging.getLogger("tagline.requests")


def request_line(
    request_id: str,
    method: str,
    route: str,
    status: int,
    started: float,
    account: str | None,
    address: str | None,
) -> None:
    """Log one request. `started` is `time.perf_counter()`; the route is its pattern, so no secret of a URL is told."""
    if _requests.isEnabledFor(logging.INFO):
        _requests.info(
            "%s %s %d", method, route, status,
            extra={_FIELDS: {
                "request_id": request_id, "route": route, "method": method, "status": status,
                "duration_ms": round((time.perf_counter() - started) * 1000, 2), "account": account, "address": address,
            }},
        )  # fmt: skip
