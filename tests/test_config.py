"""Settings: what is accepted, what is refused and how it is told, and that each is documented."""

import re
from pathlib import Path
from typing import Any

import pytest

from tagline.config import SETTINGS, Config, ConfigError
from tests.command import ROOT, tagline

HOME = {"HOME": "/home/ana"}


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        Config.from_env(environ)
    return refused.value.problems


def test_with_nothing_set_everything_has_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    config = Config.from_env({})
    data = Path("/home/ana/.local/share/tagline")
    assert (config.host, config.port) == ("0.0.0.0", 8000)
    assert (config.data_dir, config.database, config.storage_path) == (data, data / "tagline.db", data / "photos")
    assert (config.storage_backend, config.backend_password, config.jwt_secret) == ("local", None, None)
    assert (config.log_level, config.log_format, config.log_file) == ("info", "text", None)
    assert config.cors_allowed_origins == ()
    assert config.modules == ("accounts", "photos", "uploads", "sync", "operations")
    assert (config.scan_at_start, config.watch, config.max_missing_percent) == (True, True, 20)
    assert config.workers in (1, 2)
    assert set(config.sources.values()) == {"default"}


def test_where_the_system_puts_things_is_where_they_go() -> None:
    assert Config.from_env({"XDG_DATA_HOME": "/data"}).data_dir == Path("/data/tagline")
    both = {"XDG_DATA_HOME": "/data", "STATE_DIRECTORY": "/var/lib/tagline:/var/lib/other"}
    assert Config.from_env(both).data_dir == Path("/var/lib/tagline")
    assert Config.from_env({**both, "TAGLINE_DATA_DIR": "/srv/t"}).data_dir == Path("/srv/t")


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("HOST", "127.0.0.1", "host", "127.0.0.1"),
        ("PORT", "0", "port", 0),
        ("PORT", " 65535 ", "port", 65535),
        ("TAGLINE_DATA_DIR", "/srv/../srv/t", "data_dir", Path("/srv/t")),
        ("DATABASE_URL", "sqlite:////srv/my%20photos.db", "database", Path("/srv/my photos.db")),
        ("DATABASE_URL", "sqlite:///t.db", "database", Path.cwd() / "t.db"),
        ("PHOTO_STORAGE_BACKEND", "filesystem", "storage_backend", "local"),
        ("PHOTO_STORAGE_BACKEND", "Memory", "storage_backend", "memory"),
        ("PHOTO_STORAGE_PATH", "/srv/Fotos é", "storage_path", Path("/srv/Fotos é")),
        ("BACKEND_PASSWORD", " with spaces ", "backend_password", " with spaces "),
        ("JWT_SECRET", "x" * 32, "jwt_secret", "x" * 32),
        ("JWT_SECRET", "é" * 16, "jwt_secret", "é" * 16),
        ("LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("TAGLINE_LOG_FORMAT", "json", "log_format", "json"),
        ("TAGLINE_LOG_FILE", "/var/log/t.log", "log_file", Path("/var/log/t.log")),
        ("CORS_ALLOWED_ORIGINS", "https://a.example/, http://b:8080", "cors_allowed_origins", ("https://a.example", "http://b:8080")),
        ("CORS_ALLOWED_ORIGINS", "http://[::1]:8080", "cors_allowed_origins", ("http://[::1]:8080",)),
        ("TAGLINE_MODULES", "operations,accounts", "modules", ("accounts", "operations")),
        ("TAGLINE_SCAN_AT_START", "off", "scan_at_start", False),
        ("TAGLINE_WATCH", "OFF", "watch", False),
        ("TAGLINE_MAX_MISSING_PERCENT", "100", "max_missing_percent", 100),
        ("TAGLINE_CACHE_MB", "16", "cache_mb", 16),
        ("TAGLINE_RESERVE_MB", "0", "reserve_mb", 0),
        ("TAGLINE_WORKERS", "16", "workers", 16),
        ("TAGLINE_WORKER_MEMORY_MB", "128", "worker_memory_mb", 128),
        ("TAGLINE_WORKER_TIMEOUT", "1", "worker_timeout_s", 1),
        ("TAGLINE_RATE_LIMIT", "1", "rate_limit", 1),
        ("TAGLINE_ANONYMOUS_LIMIT", "1", "anonymous_limit", 1),
        ("TAGLINE_LOGIN_LIMIT", "1", "login_limit", 1),
        ("UPLOAD_MAX_MB", "1", "upload_max_mb", 1),
        ("UPLOAD_EXPIRES_HOURS", "1", "upload_expires_hours", 1),
        ("TAGLINE_ANNOUNCE", "off", "announce", False),
    ],
)  # fmt: skip
def test_a_setting_is_read(name: str, text: str, field: str, value: Any) -> None:
    config = Config.from_env({name: text})
    assert getattr(config, field) == value
    assert config.sources[name] == f"environment, {name}"


def test_every_setting_is_read_in_the_test_above() -> None:
    marks = test_a_setting_is_read.pytestmark
    assert {case[0] for case in marks[0].args[1]} == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("PORT", "8e3"),
        ("PORT", "9" * 5000),
        ("DATABASE_URL", "postgresql://db/tagline"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite://host/t.db"),
        ("DATABASE_URL", "/srv/t.db"),
        ("PHOTO_STORAGE_BACKEND", "ftp"),
        ("JWT_SECRET", "x" * 31),
        ("LOG_LEVEL", "loud"),
        ("TAGLINE_LOG_FORMAT", "xml"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "a.example"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example/app"),
        ("CORS_ALLOWED_ORIGINS", "http://["),
        ("CORS_ALLOWED_ORIGINS", "http://*.example"),
        ("DATABASE_URL", "sqlite:///t.db?mode=ro"),
        ("DATABASE_URL", "sqlite:////"),
        ("TAGLINE_MODULES", "accounts,calender"),
        ("TAGLINE_SCAN_AT_START", "yes"),
        ("TAGLINE_WATCH", "1"),
        ("TAGLINE_MAX_MISSING_PERCENT", "101"),
        ("TAGLINE_CACHE_MB", "15"),
        ("TAGLINE_RESERVE_MB", "1.5"),
        ("TAGLINE_WORKERS", "0"),
        ("TAGLINE_WORKERS", "17"),
        ("TAGLINE_WORKER_MEMORY_MB", "127"),
        ("TAGLINE_WORKER_TIMEOUT", "0"),
        ("TAGLINE_RATE_LIMIT", "0"),
        ("TAGLINE_ANONYMOUS_LIMIT", "0"),
        ("TAGLINE_LOGIN_LIMIT", "many"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(name: str, text: str) -> None:
    [problem] = problems(**{name: text})
    assert problem.startswith(f"{name}: ")
    assert len(problem) > len(name) + 20


def test_a_line_that_sets_a_setting_to_nothing_sets_nothing() -> None:
    config = Config.from_env({setting.name: "" for setting in SETTINGS})
    assert set(config.sources.values()) == {"default"}


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = problems(PORT="x", LOG_LEVEL="y", TAGLINE_WATCH="z", TAGLINE_COLOUR="red", TAGLINE_WACTH="off")
    assert [problem.partition(":")[0] for problem in told] == [
        "PORT", "LOG_LEVEL", "TAGLINE_WATCH", "TAGLINE_COLOUR", "TAGLINE_WACTH",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["TAGLINE_X", "TAGLINE_", "TAGLINE_DATA_DIR_FILE", "TAGLINE_watch"])
def test_an_unknown_setting_of_ours_is_refused(name: str) -> None:
    assert problems(**{name: "x"}) == [f"{name}: there is no such setting; `tagline config` lists them all"]


def test_other_programs_variables_are_left_alone() -> None:
    assert Config.from_env({"PATH": "x", "HOSTNAME": "y", "PORTAGE": "z", "tagline_x": "w"}).port == 8000


def test_a_secret_may_stand_in_a_file_and_its_last_line_end_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("the house by the lake\n")
    config = Config.from_env({"BACKEND_PASSWORD_FILE": str(tmp_path / "password")})
    assert config.backend_password == "the house by the lake"
    assert config.sources["BACKEND_PASSWORD"] == f"file {tmp_path / 'password'}"
    (tmp_path / "secret").write_text("x" * 40)
    assert Config.from_env({"JWT_SECRET_KEY_FILE": str(tmp_path / "secret")}).jwt_secret == "x" * 40


def test_a_secret_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    reasons = {"none": "No such file or directory", "": "Is a directory", "latin": "it is no UTF-8 text"}
    for name, reason in reasons.items():
        file = tmp_path / name
        assert problems(BACKEND_PASSWORD_FILE=str(file)) == [
            f"BACKEND_PASSWORD: cannot read BACKEND_PASSWORD_FILE {file}: {reason}"
        ]


def test_an_alias_is_read_where_the_name_itself_is_not_set() -> None:
    config = Config.from_env({"JWT_SECRET_KEY": "a" * 32})
    assert (config.jwt_secret, config.sources["JWT_SECRET"]) == ("a" * 32, "environment, JWT_SECRET_KEY")
    assert Config.from_env({"JWT_SECRET_KEY": "a" * 32, "JWT_SECRET": "b" * 32}).jwt_secret == "b" * 32


def test_no_message_repeats_a_secret() -> None:
    assert "hunter2" not in str(problems(JWT_SECRET="hunter2"))


# tagline.env.example

EXAMPLE = (ROOT / "tagline.env.example").read_text()


def test_the_example_has_every_setting_with_its_help_and_its_default() -> None:
    found = re.findall(r"^# (.+)\n#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    shown = {name: (text, value) for text, name, value in found}
    expected = {setting.name: (setting.help, setting.default) for setting in SETTINGS}
    # How many that are depends on the machine.
    expected["TAGLINE_WORKERS"] = expected["TAGLINE_WORKERS"][0], "2"
    assert shown == expected
    assert len(found) == len(SETTINGS)


def test_the_example_sets_nothing_and_all_of_it_may_be_set() -> None:
    lines = [line for line in EXAMPLE.splitlines() if line]
    assert all(line.startswith("#") for line in lines)
    assigned = dict(line[1:].split("=", 1) for line in lines if re.match(r"#[A-Z_]+=", line))
    config = Config.from_env(assigned)
    assert config == Config.from_env({"TAGLINE_WORKERS": "2"})


# The command


def test_the_command_stops_at_a_wrong_setting_with_one_line_for_each(tmp_path: Path) -> None:
    for command in (["serve"], ["config"], ["key", "list"]):
        answer = tagline(*command, data_dir=tmp_path / "data", PORT="x", TAGLINE_WACTH="off")
        assert (answer.returncode, answer.stdout) == (78, "")
        assert answer.stderr.splitlines() == [
            "The configuration is wrong:",
            "  PORT: 'x' is not a whole number from 0 to 65535",
            "  TAGLINE_WACTH: there is no such setting; `tagline config` lists them all",
        ]
    assert not (tmp_path / "data").exists()


def test_the_command_shows_what_is_in_force_and_masks_secrets(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2 " * 8)
    answer = tagline(
        "config", data_dir=tmp_path / "data", BACKEND_PASSWORD="hunter2", JWT_SECRET_FILE=str(tmp_path / "secret"),
        CORS_ALLOWED_ORIGINS="https://a.example", TAGLINE_WATCH="off", PORT="8080",
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "hunter2" not in answer.stdout
    shown = dict(line.split("=", 1) for line in answer.stdout.splitlines() if not line.startswith(" "))
    assert list(shown) == [setting.name for setting in SETTINGS]
    assert shown["BACKEND_PASSWORD"] == "***  (environment, BACKEND_PASSWORD)"
    assert shown["JWT_SECRET"] == f"***  (file {tmp_path / 'secret'})"
    assert shown["CORS_ALLOWED_ORIGINS"] == "https://a.example  (environment, CORS_ALLOWED_ORIGINS)"
    assert shown["TAGLINE_WATCH"] == "off  (environment, TAGLINE_WATCH)"
    assert shown["PORT"] == "8080  (environment, PORT)"
    assert shown["HOST"] == "0.0.0.0  (default)"
    assert shown["TAGLINE_LOG_FILE"] == "(none)  (default)"
    for setting in SETTINGS:
        assert f"    {setting.help}\n" in answer.stdout
    assert not (tmp_path / "data").exists()
