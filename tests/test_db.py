"""The database: what is written is whole, in order and on the disk, and who only reads cannot write."""

import asyncio
import resource
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagline import app
from tagline.changes import HUB, SERVICE, Change, record
from tagline.db import Database, Tx, connect_reader, opened, trouble
from tagline.errors import DiskFull, Unavailable
from tagline.migrations import migrate
from tests.house import House, make_photo, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new database."""
    path = tmp_path / "tagline.db"
    migrate(path)
    return path


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    """The same, open."""
    async with opened(path) as db:
        yield db


def note(tx: Tx, name: str, value: str) -> str:
    """A small write."""
    tx.run("library.set", name=name, value=value)
    return value


def note_and_fail(tx: Tx, name: str) -> str:
    """One that goes wrong after it has written."""
    note(tx, name, "half done")
    raise LookupError(name)


async def noted(db: Database, name: str) -> Any:
    return await db.value("library.setting", name=name)


def on_disk(path: Path) -> dict[str, str]:
    """What another program sees."""
    with closing(sqlite3.connect(path)) as other:
        return dict(other.execute("select name, value from settings"))


def commits(path: Path) -> int:
    """How many commits the write-ahead log holds: a frame that ends one says how large the database is after it."""
    wal = path.with_name(path.name + "-wal")
    log = wal.read_bytes() if wal.exists() else b""
    page = int.from_bytes(log[8:12], "big")
    salts = log[16:24]
    frames = [log[at : at + 24] for at in range(32, len(log), 24 + page)]
    return sum(1 for frame in frames if frame[8:16] == salts and frame[4:8] != b"\0\0\0\0")


# Reading


async def test_rows_a_row_and_a_value_are_what_the_query_finds(db: Database) -> None:
    assert await db.rows("accounts.users") == []
    assert await db.row("accounts.owner") is None
    assert await noted(db, "house") is None
    await db.write(note, "house", "by the lake")
    assert await noted(db, "house") == "by the lake"
    [row] = await db.rows("library.setting", name="house")
    assert row["value"] == "by the lake"


async def test_a_reader_cannot_write(db: Database) -> None:
    for _ in range(6):
        with pytest.raises((sqlite3.OperationalError, Unavailable)):
            await db.rows("library.set", name="house", value="by the sea")
    assert await noted(db, "house") is None


async def test_a_name_that_is_no_query_is_a_fault_of_ours(db: Database) -> None:
    with pytest.raises(KeyError):
        await db.rows("library.nothing")


async def test_what_was_written_is_read_by_every_reader_at_once(db: Database) -> None:
    for number in range(20):
        await db.write(note, "number", str(number))
        assert {await noted(db, "number") for _ in range(3)} == {str(number)}


async def test_reading_goes_on_while_a_write_takes_long(db: Database) -> None:
    go_on = threading.Event()
    await db.write(note, "house", "before")

    def slowly(tx: Tx) -> None:
        note(tx, "house", "after")
        go_on.wait(10)

    writing = asyncio.create_task(db.write(slowly))
    await asyncio.sleep(0)
    assert await noted(db, "house") == "before"
    assert not writing.done()
    go_on.set()
    await writing
    assert await noted(db, "house") == "after"


# Writing


async def test_a_write_gives_its_result_once_it_is_committed(db: Database, path: Path) -> None:
    assert await db.write(note, "house", "by the lake") == "by the lake"
    assert on_disk(path)["house"] == "by the lake"


async def test_a_write_that_fails_leaves_nothing_behind_and_tells_why(db: Database, path: Path) -> None:
    with pytest.raises(LookupError, match="house"):
        await db.write(note_and_fail, "house")
    assert on_disk(path) == {}
    assert await db.write(note, "house", "by the lake")


async def test_a_broken_rule_of_the_schema_is_an_error_and_undoes_the_write(db: Database, path: Path) -> None:
    def orphan(tx: Tx) -> None:
        note(tx, "house", "by the lake")
        tx.run(
            "photos.add_line", photo_id="nobody's", version=1, line="", author_id=None, device="", origin="edit", at=1
        )

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await db.write(orphan)
    assert on_disk(path) == {}


async def test_of_writes_that_arrive_together_one_that_fails_undoes_only_itself(db: Database, path: Path) -> None:
    def noting(tx: Tx, number: int) -> str:
        return note(tx, f"n{number}", "done") if number % 3 != 1 else note_and_fail(tx, f"n{number}")

    writes = [db.write(noting, number) for number in range(12)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    for number, result in enumerate(results):
        assert (repr(result) == f"LookupError('n{number}')") if number % 3 == 1 else (result == "done")
    assert sorted(on_disk(path)) == sorted(f"n{number}" for number in range(12) if number % 3 != 1)


async def test_writes_that_wait_for_each_other_share_a_commit(db: Database, path: Path) -> None:
    go_on = threading.Event()

    def hold(tx: Tx) -> None:
        note(tx, "first", "done")
        go_on.wait(10)

    before = commits(path)
    first = asyncio.create_task(db.write(hold))
    await asyncio.sleep(0)
    others = [asyncio.create_task(db.write(note, f"n{number}", "done")) for number in range(20)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *others)
    assert len(on_disk(path)) == 21
    # Alone each would have cost one.
    assert commits(path) - before <= 5


async def test_a_write_that_waits_behind_no_other_is_committed_alone(db: Database, path: Path) -> None:
    before = commits(path)
    for number in range(5):
        await db.write(note, f"n{number}", "done")
    assert commits(path) - before == 5


async def test_writes_happen_in_the_order_in_which_they_were_asked_for(db: Database) -> None:
    order: list[int] = []

    def take(tx: Tx, number: int) -> None:
        order.append(number)
        note(tx, "last", str(number))

    await asyncio.gather(*(db.write(take, number) for number in range(200)))
    assert order == list(range(200))
    assert await noted(db, "last") == "199"


async def test_each_write_sees_what_those_before_it_wrote(db: Database) -> None:
    def add_one(tx: Tx) -> int:
        number = int(tx.value("library.setting", name="count") or 0) + 1
        note(tx, "count", str(number))
        return number

    results = await asyncio.gather(*(db.write(add_one) for _ in range(100)))
    assert results == list(range(1, 101))


async def test_a_caller_who_gives_up_undoes_nothing_and_holds_nobody_up(db: Database, path: Path) -> None:
    go_on = threading.Event()

    def hold(tx: Tx) -> None:
        note(tx, "first", "done")
        go_on.wait(10)

    first = asyncio.create_task(db.write(hold))
    await asyncio.sleep(0)
    second = asyncio.create_task(db.write(note, "second", "done"))
    third = asyncio.create_task(db.write(note, "third", "done"))
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    go_on.set()
    assert await third == "done"
    assert on_disk(path) == {"first": "done", "second": "done", "third": "done"}


async def test_closing_finishes_what_is_queued(path: Path) -> None:
    async with opened(path) as db:
        tasks = [asyncio.create_task(db.write(note, f"n{number}", "done")) for number in range(50)]
        await asyncio.sleep(0)
    assert all(task.done() for task in tasks)
    assert len(on_disk(path)) == 50


async def test_another_program_that_writes_is_waited_for(db: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        other.execute("insert into settings (name, value) values ('theirs', 'done')")
        ours = asyncio.create_task(db.write(note, "ours", "done"))
        await asyncio.sleep(0)
        assert not ours.done()
        other.execute("commit")
        await ours
    assert on_disk(path) == {"theirs": "done", "ours": "done"}


# Telling


async def test_changes_are_told_after_the_commit_in_order_and_before_the_caller_goes_on(path: Path) -> None:
    told: list[str] = []

    def tell(changes: list[Change]) -> None:
        there = on_disk(path)
        for change in changes:
            assert change.entity_id in there
            told.append(change.entity_id)

    def changing(tx: Tx, name: str, fail: bool) -> None:
        note(tx, name, "done")
        record(tx, SERVICE, "setting", name, "create", 1)
        if fail:
            raise LookupError(name)

    async with opened(path, tell) as db:
        await db.write(changing, "one", False)
        assert told == ["one"]
        await asyncio.gather(
            db.write(changing, "two", False), db.write(changing, "three", True), db.write(changing, "four", False),
            return_exceptions=True,
        )  # fmt: skip
        assert told == ["one", "two", "four"]
        rows = await db.rows("changes.since", seq=0, limit=10)
        assert [row["entity_id"] for row in rows] == told


# Properties

steps = st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=5), st.booleans()), max_size=30)


@given(steps=steps)
@settings(max_examples=15, deadline=None)
def test_whatever_is_written_together_is_as_if_written_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, bool]]
) -> None:
    path = tmp_path_factory.mktemp("db") / "tagline.db"
    migrate(path)
    expected: dict[str, str] = {}
    for name, value, fails in steps:
        if not fails:
            expected[name] = expected.get(name, "") + value

    def append(tx: Tx, name: str, value: str, fails: bool) -> None:
        note(tx, name, (tx.value("library.setting", name=name) or "") + value)
        if fails:
            raise LookupError

    async def write_all() -> None:
        async with opened(path) as db:
            await asyncio.gather(*(db.write(append, *step) for step in steps), return_exceptions=True)

    asyncio.run(write_all())
    assert on_disk(path) == expected


# When the disk is full


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process may become longer than `limit` bytes, as on a disk with no room left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores it already; what is told then is EFBIG, as a quota would.
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_on_a_full_disk_a_write_is_refused_whole_and_later_ones_succeed(db: Database, path: Path) -> None:
    await db.write(note, "before", "done")
    longest = max(file.stat().st_size for file in path.parent.iterdir())
    with full_disk(longest):
        for _ in range(3):
            results = await asyncio.gather(
                *(db.write(note, f"n{number}", "x" * 100_000) for number in range(3)), return_exceptions=True
            )
            assert [type(result) for result in results] == [DiskFull] * 3
        assert await noted(db, "before") == "done"
    assert await db.write(note, "after", "done") == "done"
    assert on_disk(path) == {"before": "done", "after": "done"}
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("pragma integrity_check").fetchall() == [("ok",)]


async def test_on_a_full_disk_the_service_goes_on_reading_and_answers_507_to_writes(house: House) -> None:
    make_photo(house.library / "lake.jpg")
    await house.scan()
    photo = await house.photo("lake.jpg")
    where = f"/photos/{photo['id']}/metadata"
    longest = max(file.stat().st_size for file in house.config.data_dir.rglob("*") if file.is_file())
    with full_disk(longest):
        answer = await house.ana.patch(where, {"description": "x"})
        # What is left of the last page of the log may take a few.
        for number in range(500):
            if answer.status != 200:
                break
            answer = await house.ana.patch(where, {"description": f"{number} " * 1000})
        assert answer.status == 507
        assert answer.json["code"] == "disk_full"
        for _ in range(3):
            assert (await house.ana.patch(where, {"description": "y" * 9000})).status == 507
        assert (await house.ana.get("/photos")).status == 200
        assert (await house.ana.get(photo["links"]["image"])).status == 200
        assert (await house.ana.get(photo["links"]["thumbnail"])).status == 200
        assert (await house.eve.get("/health")).status == 200
    answer = await house.ana.patch(where, {"description": "room again"})
    assert (answer.status, answer.json["description"]) == (200, "room again")


# What goes wrong, in words


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("SQLITE_FULL", 507, "disk_full"),
        ("SQLITE_IOERR_WRITE", 507, "disk_full"),
        ("SQLITE_BUSY", 503, "database_busy"),
        ("SQLITE_BUSY_SNAPSHOT", 503, "database_busy"),
        ("SQLITE_LOCKED", 503, "database_busy"),
        ("SQLITE_IOERR_READ", 503, "database_unavailable"),
        ("SQLITE_CORRUPT", 503, "database_unavailable"),
        ("SQLITE_NOTADB", 503, "database_unavailable"),
        ("SQLITE_READONLY", 503, "database_unavailable"),
        ("SQLITE_CANTOPEN", 503, "database_unavailable"),
    ],
)
def test_a_fault_of_sqlite_is_told_as_what_it_means(name: str, status: int, code: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name
    problem = trouble(error)
    assert isinstance(problem, DiskFull | Unavailable)
    assert (problem.status, problem.code) == (status, code)
    assert "Retry-After" in problem.headers or status == 507


def test_any_other_fault_stays_what_it_is() -> None:
    for error in (ValueError("x"), sqlite3.OperationalError("no such table"), OSError(2, "x")):
        assert trouble(error) is error


def test_the_disk_is_full_whoever_says_so() -> None:
    for number in (27, 28, 122):  # EFBIG, ENOSPC, EDQUOT
        assert isinstance(trouble(OSError(number, "x")), DiskFull)


async def test_a_database_that_is_destroyed_while_it_is_open_is_an_answer_of_503(db: Database, path: Path) -> None:
    await db.write(note, "house", "by the lake")
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma wal_checkpoint(truncate)")
    overwrite(path)
    with pytest.raises(Unavailable) as refused:
        await db.write(note, "house", "by the sea")
    assert refused.value.code == "database_unavailable"


def overwrite(path: Path) -> None:
    """All bytes of a file, in place."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)


# What other processes write


def change_by_another(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(
            "insert into changes (at, entity, entity_id, action, version) values (1, 'house', 'other', 'update', 1)"
        )


async def test_every_change_is_told_once_whoever_made_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LOOK_EVERY", 0.01)
    heard: list[Change] = []
    hub = house.app[HUB]
    hub.listen(heard.extend)
    for number in range(20):
        await house.db.write(lambda tx: record(tx, SERVICE, "house", "own", "update", 1))
        # As the look at the table does that comes before the writer has told of it, and after.
        hub.tell(heard[-1:])
        if number % 5 == 0:
            change_by_another(house.config.database)
    await until_heard(heard, 24)
    seqs = [change.seq for change in heard]
    assert len(set(seqs)) == len(seqs) == 24


async def test_a_database_that_is_away_for_a_moment_does_not_end_the_watching_of_others(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "LOOK_EVERY", 0.01)
    heard: list[Change] = []
    house.app[HUB].listen(heard.extend)
    readers = house.db._readers
    migrate(tmp_path / "away.db")
    house.db._readers = [await connect_reader(tmp_path / "away.db") for _ in readers]
    (tmp_path / "away.db").write_bytes(b"no database at all" * 100)

    async def warned() -> bool:
        return "what other processes wrote cannot be read now" in caplog.text

    await until(warned)
    # Exchanged first: a look at the table in between must not meet a connection that is closed.
    away, house.db._readers = house.db._readers, readers
    for reader in away:
        await reader.close()
    change_by_another(house.config.database)
    await until_heard(heard, 1)


async def until_heard(heard: list[Change], count: int) -> None:
    async def all_heard() -> bool:
        return len(heard) >= count

    await until(all_heard)
