"""Configuration: environment variables, read once at the start, each with its one line of help.

`SETTINGS` is the table that `tagline config`, tagline.env.example and the README are checked against.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

MODULES = ("accounts", "photos", "uploads", "sync", "operations")


class ConfigError(Exception):
    """One or more settings are wrong; `problems` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Setting:
    """One environment variable. `read` turns its text into a value or raises ValueError saying what is accepted."""

    name: str
    field: str
    default: str
    help: str
    read: Callable[[str], Any] = str
    secret: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """Everything that can be set. `sources` says for each variable where its value came from."""

    host: str
    port: int
    data_dir: Path
    database: Path
    storage_backend: str
    storage_path: Path
    backend_password: str | None
    jwt_secret: str | None
    log_level: str
    log_format: str
    log_file: Path | None
    cors_allowed_origins: tuple[str, ...]
    modules: tuple[str, ...]
    scan_at_start: bool
    max_missing_percent: int
    watch: bool
    cache_mb: int
    reserve_mb: int
    workers: int
    worker_memory_mb: int
    worker_timeout_s: int
    rate_limit: int
    anonymous_limit: int
    login_limit: int
    upload_max_mb: int
    upload_expires_hours: int
    announce: bool
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """Read all settings; raises ConfigError naming everything that is wrong at once."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for setting in SETTINGS:
            try:
                text, sources[setting.name] = _find(setting, environ)
                values[setting.field] = setting.read(text)
            except ValueError as error:
                problems.append(f"{setting.name}: {error}")
        problems += [
            f"{name}: there is no such setting; `tagline config` lists them all"
            for name in sorted(environ)
            if name.startswith("TAGLINE_") and name not in _known_names()
        ]
        if problems:
            raise ConfigError(problems)
        data: Path = values["data_dir"]
        values["database"] = values["database"] or data / "tagline.db"
        values["storage_path"] = values["storage_path"] or data / "photos"
        return cls(**values, sources=sources)


def _find(setting: Setting, environ: Mapping[str, str]) -> tuple[str, str]:
    """The text of a setting and where it is from: itself, an alias, `NAME_FILE` for secrets, or the default."""
    for name in (setting.name, *setting.aliases):
        if environ.get(name):
            return environ[name], f"environment, {name}"
        file = environ.get(f"{name}_FILE") if setting.secret else None
        if file:
            try:
                return Path(file).read_text(encoding="utf-8").rstrip("\r\n"), f"file {file}"
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
                raise ValueError(f"cannot read {name}_FILE {file}: {reason}") from None
    if setting.field == "data_dir":
        return _default_data_dir(environ), "default"
    return setting.default, "default"


def _known_names() -> set[str]:
    return {
        known
        for setting in SETTINGS
        for name in (setting.name, *setting.aliases)
        for known in ((name, f"{name}_FILE") if setting.secret else (name,))
    }


def _default_data_dir(environ: Mapping[str, str]) -> str:
    """Where systemd says (StateDirectory=), else where the desktop's convention puts a user's data."""
    if environ.get("STATE_DIRECTORY"):
        return environ["STATE_DIRECTORY"].split(":")[0]
    base = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(base) / "tagline")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.strip().isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def _one_of(*accepted: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        for word in accepted:
            if text.strip().lower() == word.lower():
                return word
        raise ValueError(f"{text!r} is not one of {', '.join(accepted)}")

    return read


def _switch(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _path(text: str) -> Path | None:
    return Path(os.path.abspath(Path(text).expanduser())) if text else None


def _database(text: str) -> Path | None:
    if not text:
        return None
    url = re.fullmatch(r"sqlite:///(/?[^/?#][^?#]*)", text)
    if not url:
        raise ValueError(f"{text!r} is not of the form sqlite:///relative/path.db or sqlite:////absolute/path.db")
    return Path(os.path.abspath(unquote(url[1])))


def _backend(text: str) -> str:
    name = _one_of("local", "filesystem", "memory")(text)
    return "local" if name == "filesystem" else name


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for origin in origins:
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[^][/?#@:*\s]+)(:[0-9]+)?", origin):
            raise ValueError(f"{origin!r} is not an origin such as https://photos.example:8443")
    return origins


def _modules(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in MODULES:
            raise ValueError(f"{name!r} is not one of {', '.join(MODULES)}")
    return tuple(name for name in MODULES if name in names) if names else MODULES


def _optional(text: str) -> str | None:
    return text or None


def _jwt_secret(text: str) -> str | None:
    if text and len(text.encode()) < 32:
        raise ValueError("has to be at least 32 bytes long; leave it out and one is made")
    return text or None


def _default_workers() -> str:
    return str(min(2, os.cpu_count() or 1))


SETTINGS: tuple[Setting, ...] = (
    Setting("HOST", "host", "0.0.0.0", "address to listen on; 127.0.0.1 for this machine only"),
    Setting("PORT", "port", "8000", "port to listen on; 0 takes a free one", _whole(0, 65535)),
    Setting(
        "TAGLINE_DATA_DIR",
        "data_dir",
        "",
        "directory of database, cache and secrets; default: STATE_DIRECTORY, else ~/.local/share/tagline",
        _path,
    ),
    Setting("DATABASE_URL", "database", "", "sqlite:///… ; default: tagline.db in the data directory", _database),
    Setting(
        "PHOTO_STORAGE_BACKEND",
        "storage_backend",
        "local",
        "where photos lie: local (alias filesystem), or memory for tests",
        _backend,
    ),
    Setting(
        "PHOTO_STORAGE_PATH",
        "storage_path",
        "",
        "the folder of photos; may be read-only; default: photos/ in the data directory",
        _path,
    ),
    Setting(
        "BACKEND_PASSWORD",
        "backend_password",
        "",
        "the household's password; without it one is chosen by the set-up link",
        _optional,
        secret=True,
    ),
    Setting(
        "JWT_SECRET",
        "jwt_secret",
        "",
        "signs access tokens, at least 32 bytes; without it one is made and kept",
        _jwt_secret,
        secret=True,
        aliases=("JWT_SECRET_KEY",),
    ),
    Setting(
        "LOG_LEVEL",
        "log_level",
        "info",
        "debug, info, warning or error",
        _one_of("debug", "info", "warning", "error"),
    ),
    Setting("TAGLINE_LOG_FORMAT", "log_format", "text", "text or json", _one_of("text", "json")),
    Setting(
        "TAGLINE_LOG_FILE",
        "log_file",
        "",
        "a file for the log, rotated at 10 MB; default: standard output",
        _path,
    ),
    Setting(
        "CORS_ALLOWED_ORIGINS",
        "cors_allowed_origins",
        "",
        "comma list of other origins whose pages may use the API; off when empty",
        _origins,
    ),
    Setting("TAGLINE_MODULES", "modules", ",".join(MODULES), "comma list of the modules that are on", _modules),
    Setting("TAGLINE_SCAN_AT_START", "scan_at_start", "on", "scan the library when the service starts", _switch),
    Setting(
        "TAGLINE_WATCH",
        "watch",
        "on",
        "watch the library, so that a copied photo appears within seconds",
        _switch,
    ),
    Setting(
        "TAGLINE_MAX_MISSING_PERCENT",
        "max_missing_percent",
        "20",
        "a scan that would find more of the known files gone stops and asks",
        _whole(0, 100),
    ),
    Setting("TAGLINE_CACHE_MB", "cache_mb", "4096", "bound of the thumbnails on disk", _whole(16, 10_000_000)),
    Setting(
        "TAGLINE_RESERVE_MB",
        "reserve_mb",
        "100",
        "free space that uploads and thumbnails leave on the disk",
        _whole(0, 10_000_000),
    ),
    Setting("TAGLINE_WORKERS", "workers", _default_workers(), "processes that decode pixels", _whole(1, 16)),
    Setting(
        "TAGLINE_WORKER_MEMORY_MB",
        "worker_memory_mb",
        "1024",
        "what one decoding process may use",
        _whole(128, 65_536),
    ),
    Setting(
        "TAGLINE_WORKER_TIMEOUT",
        "worker_timeout_s",
        "60",
        "seconds that one photo may take to decode",
        _whole(1, 3600),
    ),
    Setting(
        "TAGLINE_RATE_LIMIT",
        "rate_limit",
        "60000",
        "requests a minute for one signed-in account",
        _whole(1, 100_000_000),
    ),
    Setting(
        "TAGLINE_ANONYMOUS_LIMIT",
        "anonymous_limit",
        "100",
        "requests a minute for one address that is not signed in",
        _whole(1, 100_000_000),
    ),
    Setting(
        "TAGLINE_LOGIN_LIMIT",
        "login_limit",
        "5",
        "failed sign-ins in 15 minutes for one address and account",
        _whole(1, 1_000_000),
    ),
    Setting("UPLOAD_MAX_MB", "upload_max_mb", "2048", "the largest file that is taken in", _whole(1, 10_000_000)),
    Setting(
        "UPLOAD_EXPIRES_HOURS",
        "upload_expires_hours",
        "48",
        "an upload that nobody goes on with is dropped after so long",
        _whole(1, 10_000),
    ),
    Setting(
        "TAGLINE_ANNOUNCE",
        "announce",
        "on",
        "tell the local network by mDNS where this server is, so that apps find it",
        _switch,
    ),
)

CONFIG = web.AppKey("config", Config)
