"""kill -9 at random moments of scans and edits: nothing acknowledged is lost, and the next start goes on."""

import asyncio
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from tests.house import Client, until
from tests.photos.files import encoded, noise, photo, write
from tests.robustness.service import Service, environment, everything, serving, settled, signed_in, start

ROUNDS = 50
NEW_EACH_ROUND = 30
EDITORS = 4
SEED = 20260801

Acknowledged = list[tuple[str, int, str]]


def disturb(library: Path, dice: random.Random, number: int) -> None:
    """What a household does between two power cuts: copies, renames, edits and deletes files."""
    known = sorted(library.glob("*/*.jpg"))
    for new in range(NEW_EACH_ROUND):
        photo(library / f"{number:02}/{new:02}.jpg", number * 1000 + new, (8, 8))
    for path in dice.sample(known, min(3, len(known))):
        path.rename(path.with_name(f"renamed {number} {path.name}"))
    for path in dice.sample(sorted(library.glob("*/*.jpg")), 2):
        photo(path, number * 1000 + 500 + dice.randrange(400), (9, 9))


async def edit(client: Client, photo_ids: list[str], dice: random.Random, name: str, done: Acknowledged) -> None:
    """Write lines until the service dies; notes those that it said it has."""
    number = 0
    while True:
        number += 1
        photo_id, line = dice.choice(photo_ids), f"{name} {number}"
        try:
            answer = await client.patch(f"/photos/{photo_id}/metadata", {"description": line})
        except (ClientError, OSError):
            return
        assert answer.status == 200, answer
        done.append((photo_id, answer.json["version"], line))


def check(database: Path, acknowledged: Acknowledged) -> None:
    """The database is whole, its indexes agree with it, and every acknowledged line is in the history."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        connection.execute("insert into search (search, rank) values ('integrity-check', 1)")
        told = set(connection.execute("select photo_id, version, line from lines"))
        assert set(acknowledged) <= told
        current = dict(connection.execute("select id, description from photos"))
        newest = {photo_id: line for photo_id, _, line in sorted(told, key=lambda row: row[1])}
        assert all(current[photo_id] == line for photo_id, line in newest.items())
        days = connection.execute("select sum(photos) from photo_days").fetchone()
        assert days == connection.execute("select count(*) from photos").fetchone()
        homeless = "select count(*) from files where photo_id is not null and photo_id not in (select id from photos)"
        assert connection.execute(homeless).fetchone() == (0,)


async def kill_while_starting(data: Path, dice: random.Random) -> None:
    """Kill the service before it says that it is there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tagline", "serve", env=environment(data, TAGLINE_SCAN_AT_START="on"),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(dice.uniform(0.05, 0.6)):
            await process.stdout.readline()
    except TimeoutError:
        pass
    process.kill()
    await process.stdout.read()
    await process.wait()


async def killed_round(
    data: Path, client: Client, photo_ids: list[str], dice: random.Random, done: Acknowledged
) -> None:
    """Start, edit while the scan runs, and kill after some edits."""
    service: Service = await start(data, TAGLINE_SCAN_AT_START="on")
    client.base = service.address
    before = len(done)
    wanted = before + dice.choice((0, 1, 2, 3, 5, 8, 13, 21, 34))
    tasks = [
        asyncio.create_task(edit(client, photo_ids, random.Random(dice.random()), f"{before} {name}", done))
        for name in range(EDITORS)
    ]

    async def enough() -> bool:
        return len(done) >= wanted or all(task.done() for task in tasks)

    await until(enough, 30)
    await service.kill()
    await asyncio.gather(*tasks)


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_by_fifty_kills(tmp_path: Path) -> None:
    data, library = tmp_path / "data", tmp_path / "data/photos"
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    done: Acknowledged = []
    for number in range(20):
        photo(library / f"told/{number:02}.jpg", 900_000 + number, (10, 10))
    async with serving(data) as (_, ana):
        assert (await ana.post("/rescan")).json["imported_count"] == 20
        photo_ids = (await ana.get("/photos")).json["photo_ids"]
        headers = ana.headers
    async with ClientSession() as session:
        client = Client(session, "", headers)
        for number in range(ROUNDS):
            disturb(library, dice, number)
            if number % 10 == 9:
                await kill_while_starting(data, dice)
            else:
                await killed_round(data, client, photo_ids, dice, done)
            check(data / "tagline.db", done)
    assert len(done) > ROUNDS
    print(f"{len(done)} lines were acknowledged")
    async with serving(data) as (service, ana):
        scan = (await ana.post("/rescan")).json
        assert (scan["status"], scan["errors"]) == ("ok", [])
        await settled(ana)
        photos = await everything(ana)
        paths = {path.relative_to(library).as_posix() for path in library.glob("*/*.jpg")}
        assert {found["object_key"] for found in photos} == paths
        assert all(found["sha256"] for found in photos)
        assert {found["id"] for found in photos} >= set(photo_ids)
        again = (await ana.post("/rescan")).json
        assert again["unchanged"] == len(paths)
        assert await service.stop() == 0
    check(data / "tagline.db", done)


@pytest.mark.slow
async def test_a_service_killed_in_its_first_scan_scans_on_by_itself(tmp_path: Path) -> None:
    data, library = tmp_path / "data", tmp_path / "data/photos"
    for number in range(1500):
        photo(library / f"{number % 10}/{number}.jpg", number, (8, 8))
    async with serving(data) as (service, ana):
        await ana.post("/rescan", headers={"Prefer": "respond-async"})
        async with asyncio.timeout(30):
            while not (total := (await ana.get("/photos?limit=1")).json["total"]):
                pass
        assert total < 1500
        await service.kill()
    check(data / "tagline.db", [])
    async with serving(data) as (_, ana):
        await settled(ana)
        photos = await everything(ana)
        assert len(photos) == 1500
        assert all(found["sha256"] for found in photos)
        assert len({found["sha256"] for found in photos}) == 1500


@pytest.mark.slow
async def test_a_stop_lets_a_download_in_flight_finish(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = write(data / "photos/large.bmp", encoded(noise(1, (3600, 3000)), "BMP"))
    service = await start(data)
    async with ClientSession() as session:
        ana = await signed_in(session, service.address)
        await ana.post("/rescan")
        [found] = (await ana.get("/photos")).json["items"]
        address = service.address + found["links"]["image"]
        async with session.get(address, headers=ana.headers) as answer:
            begun = await answer.content.readexactly(1000)
            stopping = asyncio.create_task(service.stop())
            await asyncio.sleep(0)
            rest = await answer.content.read()
        assert begun + rest == path.read_bytes()
    assert await stopping == 0
