"""The schema on its way from release to release: forward by itself, never over somebody's data, and back again."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from yoyo import get_backend, read_migrations

from tagline.migrations import MigrationError, migrate
from tests.command import ROOT, tagline

DIRECTORY = ROOT / "sql/migrations"
STEPS = sorted(path.stem for path in DIRECTORY.glob("*.sql") if not path.stem.endswith(".rollback"))
# sha256sum's form. A line is added when a migration is released, and none is ever changed.
SUMS = {line.split()[1]: line.split()[0] for line in (ROOT / "tests/migrations.sha256").read_text().splitlines()}


def apply(path: Path, count: int) -> None:
    """The first migrations only, as an earlier release had them."""
    with get_backend(f"sqlite:///{path}") as backend:
        backend.apply_migrations(backend.to_apply(read_migrations(str(DIRECTORY)))[:count])


def schema(path: Path) -> list[tuple[str, str]]:
    """Names and texts of everything but yoyo's own tables."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("select name, sql from sqlite_master where name not like '%yoyo%' order by name")
        return [(name, text) for name, text in rows if not name.startswith("sqlite_")]


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


# The files


@pytest.mark.parametrize("name", sorted(path.name for path in DIRECTORY.iterdir()))
def test_a_migration_is_what_it_was_when_it_was_released(name: str) -> None:
    """It has run in people's houses: what it forgot is another migration."""
    assert SUMS[name] == hashlib.sha256((DIRECTORY / name).read_bytes()).hexdigest()


def test_no_released_migration_was_taken_away() -> None:
    assert set(SUMS) == {path.name for path in DIRECTORY.iterdir()}


@pytest.mark.parametrize("step", STEPS)
def test_every_migration_can_be_taken_back(step: str) -> None:
    assert (DIRECTORY / f"{step}.rollback.sql").is_file()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(step[:4]) for step in STEPS] == list(range(1, len(STEPS) + 1))


# There and back


def test_up_down_and_up_again_gives_the_same_schema(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    states = []
    for count in range(1, len(STEPS) + 1):
        apply(path, 1)
        states.append(schema(path))
        assert len(ask(path, "select * from _yoyo_migration")) == count
    whole = states.pop()
    for before in [*reversed(states), []]:
        with get_backend(f"sqlite:///{path}") as backend:
            backend.rollback_migrations(backend.to_rollback(read_migrations(str(DIRECTORY)))[:1])
        assert schema(path) == before
    migrate(path)
    assert schema(path) == whole


def test_lines_live_through_a_new_rule_for_where_they_come_from_and_back(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    apply(path, 4)
    insert = "insert into lines (photo_id, version, line, origin, at) values ('p', {}, 'By the lake {}', '{}', 7)"
    ask(path, insert.format(1, 1, "file"))
    ask(path, insert.format(2, 2, "edit"))
    apply(path, 1)
    ask(path, insert.format(3, 3, "conflict"))
    lines = ask(path, "select version, line, origin from lines order by version")
    assert lines == [(1, "By the lake 1", "file"), (2, "By the lake 2", "edit"), (3, "By the lake 3", "conflict")]
    with get_backend(f"sqlite:///{path}") as backend:
        backend.rollback_migrations(backend.to_rollback(read_migrations(str(DIRECTORY)))[:1])
    lines = ask(path, "select version, line, origin from lines order by version")
    assert lines == [(1, "By the lake 1", "file"), (2, "By the lake 2", "edit"), (3, "By the lake 3", "edit")]


def test_migrating_twice_does_nothing_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "tagline.db"
    migrate(path)
    first = path.read_bytes()
    migrate(path)
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["tagline.db"]


def test_an_older_database_is_brought_up_to_date_and_a_copy_of_it_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    apply(path, 3)
    ask(path, "insert into settings (name, value) values ('house', 'by the lake')")
    before = schema(path)
    migrate(path)
    assert len(ask(path, "select * from _yoyo_migration")) == len(STEPS)
    assert ask(path, "select value from settings") == [("by the lake",)]
    copy = tmp_path / "tagline.db.before-0004"
    assert schema(copy) == before
    assert ask(copy, "select value from settings") == [("by the lake",)]
    assert ask(copy, "pragma integrity_check") == [("ok",)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tagline.db", "tagline.db.before-0004"]


def test_what_is_still_in_the_log_is_in_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    apply(path, 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as open_still:
        open_still.execute("pragma journal_mode = wal")
        open_still.execute("insert into settings (name, value) values ('house', 'by the lake')")
        assert (tmp_path / "tagline.db-wal").stat().st_size > 0
        migrate(path)
    assert ask(tmp_path / "tagline.db.before-0004", "select value from settings") == [("by the lake",)]


# What can be wrong


def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    migrate(path)
    ask(path, "insert into _yoyo_migration (migration_hash, migration_id) values ('x', '0099.the_future')")
    before = path.read_bytes()
    with pytest.raises(MigrationError, match=r"written by a newer Tagline \(it knows 0099\.the_future\)"):
        migrate(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is no database, but it is long enough to look at" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_broken_database_is_reported_with_the_way_to_restore(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tagline.db"
    path.write_bytes(content)
    with pytest.raises(MigrationError, match="there is none beside it; use your backup"):
        migrate(path)
    (tmp_path / "tagline.db.before-0003").write_bytes(b"")
    with pytest.raises(MigrationError, match=r"Put back the newest copy: .*tagline\.db\.before-0003"):
        migrate(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    path.touch()
    migrate(path)
    assert len(ask(path, "select * from _yoyo_migration")) == len(STEPS)


def test_the_lock_that_a_killed_migration_left_behind_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    apply(path, 3)
    ask(path, "insert into yoyo_lock (locked, ctime, pid) values (1, '2026-11-20', 4711)")
    migrate(path)
    assert len(ask(path, "select * from _yoyo_migration")) == len(STEPS)
    assert ask(path, "select * from yoyo_lock") == []


def test_a_part_of_a_copy_that_a_power_cut_left_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "tagline.db"
    apply(path, 3)
    (tmp_path / "tagline.db.before-0004.part").write_bytes(b"half of it")
    migrate(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tagline.db", "tagline.db.before-0004"]


def test_a_path_with_odd_characters_is_a_path_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "Ana's photos? 100% #1 ünïcode" / "tag line.db"
    migrate(path)
    assert len(ask(path, "select * from _yoyo_migration")) == len(STEPS)
    assert [file.name for file in path.parent.iterdir()] == ["tag line.db"]


@pytest.mark.parametrize("path", [Path("/proc/x.db"), Path("/proc/deep/x.db"), Path("/dev/null/x.db")], ids=str)
def test_a_place_where_no_database_can_be_is_told_with_what_to_do(path: Path) -> None:
    with pytest.raises(MigrationError, match=f"The database {path} cannot be made or updated: .*DATABASE_URL") as told:
        migrate(path)
    assert "Errno" not in str(told.value)


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tagline.db").write_bytes(b"no database at all" * 100)
    for command in (["serve"], ["key", "list"], ["scan"]):
        answer = tagline(*command, data_dir=tmp_path, PORT="0")
        assert (answer.returncode, answer.stdout) == (1, "")
        assert "cannot be read as a database" in answer.stderr
        assert "Traceback" not in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
