"""The schema, brought up to date at the start: yoyo applies what is missing, after a copy was put aside."""

import logging
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)


class MigrationError(Exception):
    """The database cannot be brought to this program's schema; the text says what to do."""


def migrate(path: Path) -> None:
    """Create or update the database at `path`.

    Raises MigrationError for a database that is newer than this program, or broken, or that cannot be written.
    Whoever calls holds the data directory's lock, so a lock row that a killed migration left behind is nobody's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _migrate(path)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MigrationError(
            f"The database {path} cannot be made or updated: {reason}. Its directory has to be writable, with some "
            "room left. DATABASE_URL names another file; without it, it lies in TAGLINE_DATA_DIR."
        ) from error


def _migrate(path: Path) -> None:
    try:
        applied = _applied(path)
    except sqlite3.OperationalError:
        raise  # it cannot be reached, which says nothing about what is in it
    except sqlite3.DatabaseError as error:
        raise MigrationError(
            f"{path} cannot be read as a database ({error}). Put back the newest copy: "
            f"{_newest_copy(path) or 'there is none beside it; use your backup'}"
        ) from error
    with resources.as_file(resources.files("tagline.sql").joinpath("migrations")) as directory:
        known = sorted(file.stem for file in directory.glob("*.sql") if not file.stem.endswith(".rollback"))
        newer = sorted(applied - set(known))
        if newer:
            raise MigrationError(
                f"{path} was written by a newer Tagline (it knows {', '.join(newer)}). "
                "Install that version again, or put back a copy from before the upgrade."
            )
        if applied == set(known):
            return
        if applied:
            _copy_aside(path, len(applied))
        _apply(path, directory)
    log.info("database migrated to %s", known[-1])


def _applied(path: Path) -> set[str]:
    """Ids of the migrations that were applied; asked without yoyo, whose import costs more than the question."""
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma busy_timeout = 10000")
        found = connection.execute("select 1 from sqlite_master where name = '_yoyo_migration'").fetchone()
        if not found:
            return set()
        return {row[0] for row in connection.execute("select migration_id from _yoyo_migration")}


def _apply(path: Path, directory: Path) -> None:
    # 50 ms of import, needed only when there is something to apply.
    from yoyo import get_backend, read_migrations

    with get_backend(f"sqlite:///{quote(str(path))}") as backend:
        backend.break_lock()
        with backend.lock():
            backend.apply_migrations(backend.to_apply(read_migrations(str(directory))))


def _copy_aside(path: Path, applied: int) -> None:
    """A whole copy from before the migration, by SQLite's own backup, under a name that says from when it is."""
    copy = path.with_name(f"{path.name}.before-{applied + 1:04}")
    part = copy.with_name(copy.name + ".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
        source.backup(target)
    part.replace(copy)
    log.info("database copied to %s before migrating", copy)


def _newest_copy(path: Path) -> Path | None:
    copies = sorted(path.parent.glob(f"{path.name}.before-*"), key=lambda copy: copy.stat().st_mtime)
    return copies[-1] if copies else None
