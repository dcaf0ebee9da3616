"""Kills, full disks and scans in between: whatever happens, every photo that was acknowledged is there."""

import asyncio
import contextlib
import os
import random
import resource
from pathlib import Path

import pytest
from aiohttp import ClientError

from tests.house import House, behind_its_back, running, until
from tests.robustness.mounting import CAN_MOUNT, small_disk
from tests.robustness.service import everything, serving, start
from tests.uploads.dav.webdav import jpeg, left_behind, listed, move, on_disk, put, share


@pytest.mark.slow
async def test_of_a_service_that_is_killed_while_files_are_overwritten_nothing_is_lost(tmp_path: Path) -> None:
    library = tmp_path / "photos"
    library.mkdir()
    dice = random.Random(1)
    acknowledged: set[bytes] = set()
    for round_ in range(3):
        async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as (service, ana):

            async def write(number: int, round_: int = round_) -> None:
                content = jpeg(round_ * 100 + number)
                name = f"{number % 4}.jpg"
                await put(ana, f"{name}.tmp", content)
                if number % 2:
                    answer = await put(ana, name, content)
                else:
                    answer = await move(ana, f"{name}.tmp", name)
                if answer.status in (201, 204):
                    acknowledged.add(content)

            async def write_all() -> None:
                for number in range(40):
                    await write(number)

            writing_all = asyncio.create_task(write_all())
            await asyncio.wait([writing_all], timeout=dice.uniform(0.2, 1.0))
            await service.kill()
            with contextlib.suppress(ClientError, ConnectionError, OSError):
                await writing_all
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as (_, ana):
        assert (await ana.post("/rescan")).status == 200
        photos = await everything(ana)
        photos += (await ana.get("/photos?trashed=true&limit=500")).json["items"]
        there = {(await ana.get(photo["links"]["image"])).body for photo in photos if not photo["missing"]}
        kept = {path.read_bytes() for path in (library / ".tagline-trash").rglob("*.jpg")}
        assert len(acknowledged) > 5
        assert acknowledged <= there | kept


async def test_where_a_row_cannot_be_written_all_is_as_before(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(1))
    before = await house.photo("a.jpg")
    fails = "begin select raise(abort, 'the power goes'); end"
    behind_its_back(house, f"create trigger fails_1 before insert on photos {fails}")
    behind_its_back(house, f"create trigger fails_2 before update of fingerprint on photos {fails}")
    assert (await put(dav, "a.jpg", jpeg(2))).status == 500
    assert (await put(dav, "b.jpg", jpeg(2))).status == 500
    for name in ("fails_1", "fails_2"):
        behind_its_back(house, f"drop trigger {name}")
    assert on_disk(house) == ["a.jpg"]
    assert (await dav.get("/dav/a.jpg")).body == jpeg(1)
    assert left_behind(house) == []
    assert (await house.photo("a.jpg"))["version"] == before["version"]
    assert (await house.scan())["unchanged"] == 1


@pytest.mark.slow
async def test_scans_in_between_do_not_part_a_photo_from_its_line(house: House) -> None:
    dav = await share(house)
    await put(dav, "a.jpg", jpeg(0))
    photo = await house.photo("a.jpg")
    await house.ana.patch(f"/photos/{photo['id']}/metadata", {"description": "the lake"})

    async def scan_again_and_again() -> None:
        while True:
            await house.ana.post("/rescan")

    scanning = [asyncio.create_task(scan_again_and_again()) for _ in range(2)]
    for seed in range(1, 25):
        assert (await put(dav, "a.jpg", jpeg(seed))).status == 204
    for task in scanning:
        task.cancel()
    await asyncio.gather(*scanning, return_exceptions=True)
    assert (await house.scan())["missing"] == 0
    now = await house.photo("a.jpg")
    assert (now["id"], now["description"]) == (photo["id"], "the lake")
    assert (await house.ana.get(now["links"]["image"])).body == jpeg(24)
    trashed = await house.photos("trashed=true&limit=100")
    contents = {(await house.ana.get(each["links"]["image"])).body for each in trashed}
    assert contents == {jpeg(seed) for seed in range(24)}


async def test_with_the_watcher_on_the_same_photos_come_of_it(tmp_path: Path) -> None:
    async with running(tmp_path / "data", TAGLINE_WATCH="on") as house:
        dav = await share(house)
        await dav.ask("MKCOL", "/dav/a")
        for seed in range(6):
            await put(dav, f"a/{seed}.jpg", jpeg(seed))
        ids = {photo["id"] for photo in await house.photos()}
        await put(dav, "a/0.jpg", jpeg(10))
        await move(dav, "a/1.jpg", "one.jpg")
        await move(dav, "a", "b")
        await house.scan()
        assert {photo["id"] for photo in await house.photos()} == ids
        assert len(await house.photos("trashed=true")) == 1
        assert await listed(dav, "b/") == ["0.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]


@pytest.mark.slow
async def test_where_no_file_may_grow_a_put_answers_507_and_leaves_nothing(tmp_path: Path) -> None:
    library = tmp_path / "photos"
    library.mkdir()
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as (service, ana):
        assert (await put(ana, "a.jpg", jpeg(1))).status == 201
        before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (1000, before[1]))
        for name in ("a.jpg", "b.jpg", "b.tmp"):
            answer = await put(ana, name, jpeg(2))
            assert (answer.status, answer.json["code"]) == (507, "disk_full"), name
        assert (await move(ana, "a.jpg", "b.jpg", "COPY")).status == 507
        assert (await ana.get("/dav/a.jpg")).body == jpeg(1)
        assert await listed(ana) == ["a.jpg"]
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
        assert (await put(ana, "b.jpg", jpeg(2))).status == 201
        assert [path for path in library.rglob("*") if path.is_file() and path.suffix == ".jpg"] != []
        assert not [path for path in (library / ".tagline-incoming").rglob("*") if path.is_file()]


if CAN_MOUNT:

    @pytest.mark.slow
    async def test_on_a_full_disk_photos_are_read_and_put_into_the_trash(tmp_path: Path) -> None:
        library = tmp_path / "photos"
        with small_disk(library, 2):
            async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library), TAGLINE_RESERVE_MB="1") as (_, ana):
                assert (await put(ana, "a.jpg", jpeg(1))).status == 201
                (library / "filler").write_bytes(os.urandom(1_200_000))
                assert (await put(ana, "b.jpg", jpeg(2))).status == 507
                assert (await ana.get("/dav/a.jpg")).body == jpeg(1)
                assert (await ana.delete("/dav/a.jpg")).status == 204
                (library / "filler").unlink()
                assert (await put(ana, "b.jpg", jpeg(2))).status == 201


async def test_a_disk_that_goes_away_is_told_so_and_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as house:
        dav = await share(house)
        await put(dav, "a.jpg", jpeg(1))
        house.library.rename(tmp_path / "elsewhere")
        for answer in (
            await put(dav, "b.jpg", jpeg(2)),
            await dav.get("/dav/a.jpg"),
            await dav.ask("PROPFIND", "/dav/", headers={"Depth": "1"}),
            await dav.ask("MKCOL", "/dav/a"),
            await dav.delete("/dav/a.jpg"),
        ):
            assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
        (tmp_path / "elsewhere").rename(house.library)
        assert (await dav.get("/dav/a.jpg")).status == 200


async def test_a_storage_that_is_no_disk_is_shared_as_well(tmp_path: Path) -> None:
    async with running(tmp_path / "data", PHOTO_STORAGE_BACKEND="memory") as house:
        dav = await share(house)
        assert (await dav.ask("MKCOL", "/dav/a")).status == 201
        assert (await put(dav, "a/x.jpg.tmp", jpeg(1))).status == 201
        assert (await move(dav, "a/x.jpg.tmp", "a/x.jpg")).status == 201
        assert (await put(dav, "a/x.jpg", jpeg(2))).status == 204
        assert await listed(dav, "a/") == ["x.jpg"]
        assert (await dav.get("/dav/a/x.jpg")).body == jpeg(2)
        assert (await move(dav, "a", "b")).status == 201
        assert (await dav.delete("/dav/b")).status == 204
        assert len(await house.photos("trashed=true")) == 2

        async def settled() -> bool:
            return await house.db.value("jobs.open", kind="digest") is None

        await until(settled)


@pytest.mark.slow
async def test_what_was_put_apart_is_there_after_a_kill(tmp_path: Path) -> None:
    library = tmp_path / "photos"
    library.mkdir()
    async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library)) as (service, ana):
        await put(ana, "a.jpg.part", jpeg(1))
        headers = ana.headers
        await service.kill()
    service = await start(tmp_path / "data", PHOTO_STORAGE_PATH=str(library))
    await service.kill()
    async with serving(tmp_path / "data", signed_in_as=headers, PHOTO_STORAGE_PATH=str(library)) as (_, ana):
        assert (await ana.get("/dav/a.jpg.part")).body == jpeg(1)
        assert (await move(ana, "a.jpg.part", "a.jpg")).status == 201
