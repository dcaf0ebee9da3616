"""Health: what works, told to monitors as a word, and to who is signed in with all that was looked at."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tagline import __version__, times
from tagline.db import Tx
from tagline.jobs import JOBS, Running
from tagline.photos.scan import SCANNER
from tests.house import House, running
from tests.photos.files import photo

PLACES = ["", "/api", "/api/v1"]


@pytest.mark.parametrize("prefix", PLACES)
async def test_a_stranger_is_told_the_status_alone(house: House, prefix: str) -> None:
    answer = await house.eve.get(f"{prefix}/health")
    assert (answer.status, answer.json) == (200, {"status": "healthy"})
    assert answer.headers["Cache-Control"] == "no-store"
    for wrong in (house.bearer("x"), house.client(**{"x-api-key": "tgl_x_y"})):
        assert (await wrong.get(f"{prefix}/health")).json == {"status": "healthy"}


async def test_who_is_signed_in_is_told_everything(house: House) -> None:
    body = (await house.ana.get("/health")).json
    assert body["status"] == "healthy"
    assert body["version"] == __version__
    assert body["uptime_s"] >= 0
    assert set(body["checks"]) == {"database", "disk", "jobs", "storage"}
    assert {check["status"] for check in body["checks"].values()} == {"healthy"}
    assert all(check["detail"] for check in body["checks"].values())


async def test_a_monitor_is_never_throttled(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_ANONYMOUS_LIMIT="1") as house:
        for _ in range(5):
            assert (await house.eve.get("/health")).status == 200
            assert (await house.eve.get("/health/live")).status == 200


async def test_a_library_that_is_away_is_worn_but_no_reason_to_restart(house: House) -> None:
    shutil.move(house.library, house.library.with_name("unplugged"))
    answer = await house.ana.get("/health")
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["checks"]["storage"]["status"] == "degraded"
    assert "plugged in" in answer.json["checks"]["storage"]["detail"]
    assert (await house.eve.get("/health")).json == {"status": "degraded"}
    shutil.move(house.library.with_name("unplugged"), house.library)
    assert (await house.eve.get("/health")).json == {"status": "healthy"}


async def test_a_library_that_is_not_believed_is_told_until_a_scan_is_fine(house: House) -> None:
    for number in range(8):
        photo(house.library / f"2024/{number}.jpg", number)
    await house.scan()
    aside = house.library.with_name("aside")
    shutil.move(house.library / "2024", aside)
    result = await house.scan()
    assert result["status"] == "warning"
    for _ in range(2):
        body = (await house.ana.get("/health")).json
        assert body["status"] == "degraded"
        assert body["checks"]["storage"] == {"status": "degraded", "detail": result["warning"]}
        # What the watcher sees of another folder says nothing about all.
        photo(house.library / "2025/a.jpg", 99)
        await house.app[SCANNER].folders(["2025/"])
    shutil.move(aside, house.library / "2024")
    await house.scan()
    assert (await house.eve.get("/health")).json == {"status": "healthy"}


async def test_what_the_watcher_did_not_believe_is_fine_when_it_is_again(house: House) -> None:
    for number in range(8):
        photo(house.library / f"2024/{number}.jpg", number)
    await house.scan()
    aside = house.library.with_name("aside")
    shutil.move(house.library / "2024", aside)
    assert (await house.app[SCANNER].folders(["2024/"])).status == "warning"
    assert (await house.eve.get("/health")).json == {"status": "degraded"}
    shutil.move(aside, house.library / "2024")
    assert (await house.app[SCANNER].folders(["2024/"])).status == "ok"
    assert (await house.eve.get("/health")).json == {"status": "healthy"}


async def test_little_space_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_RESERVE_MB="10000000") as house:
        body = (await house.ana.get("/health")).json
        assert body["status"] == "degraded"
        assert "free some space" in body["checks"]["disk"]["detail"]


async def test_a_job_that_failed_today_is_told(house: House) -> None:
    async def fail(job: Running) -> None:
        raise ValueError("a fault of ours")

    jobs = house.app[JOBS]
    jobs.register("odd", fail)
    ended = await jobs.ended(await jobs.add("odd"))
    assert ended.state == "failed"
    body = (await house.ana.get("/health")).json
    assert body["status"] == "degraded"
    assert body["checks"]["jobs"]["detail"].startswith("1 job")


@pytest.fixture
async def ruined(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose database was destroyed while it was open."""
    async with running(tmp_path) as house:
        path = house.config.database
        await house.db.write(checkpoint)
        path.write_bytes(b"\xff" * path.stat().st_size)
        path.with_name(path.name + "-wal").write_bytes(b"")
        yield house


def checkpoint(tx: Tx) -> None:
    tx.run("library.set", name="house", value=times.to_text(tx.at))


async def test_a_database_that_cannot_be_read_is_503(ruined: House) -> None:
    for client in (ruined.eve, ruined.ana):
        answer = await client.get("/health")
        assert answer.status == 503
        assert answer.json["status"] == "unhealthy"
    ready = await ruined.eve.get("/health/ready")
    assert ready.status == 503
    assert "Retry-After" in ready.headers
    # The process is well all the same: restarting it would mend nothing.
    assert (await ruined.eve.get("/health/live")).status == 200


async def test_live_and_ready_are_one_word_each(house: House) -> None:
    for prefix in PLACES:
        assert (await house.eve.get(f"{prefix}/health/live")).json == {"status": "alive"}
        assert (await house.eve.get(f"{prefix}/health/ready")).json == {"status": "ready"}


async def test_without_the_photos_there_is_no_storage_to_look_at(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_MODULES="accounts,operations") as house:
        body = (await house.ana.get("/health")).json
        assert body["status"] == "healthy"
        assert "storage" not in body["checks"]
        assert (await house.ana.get("/photos")).status == 404
