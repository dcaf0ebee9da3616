"""Following while everybody writes: nothing is missed, nothing told twice, whoever commits when."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from tests.house import House, behind_its_back
from tests.photos.library import add_photos
from tests.robustness.service import ROOT
from tests.sync.following import Follower

# A further process that writes: photos, each a change of its own.
WRITER = """
import asyncio, sys
from pathlib import Path
from tagline.db import opened
from tests.photos.library import add, found

async def main(path, name, count):
    async with opened(Path(path)) as db:
        print("open", flush=True)
        sys.stdin.readline()
        for number in range(count):
            await asyncio.gather(*(add(db, [found(f"{name}/{number}-{each}.jpg")]) for each in range(3)))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def writer(database: Path, name: str, count: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(database), name, str(count), cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert await process.stdout.readline() == b"open\n"
    return process


@pytest.mark.slow
async def test_with_three_processes_writing_every_change_is_told_exactly_once_and_in_order(house: House) -> None:
    """Each change is another photo's: so each is to be told, and as new."""
    follower = Follower(house.ana, limit=7)
    await follower.catch_up()
    writers = [await writer(house.config.database, name, 40) for name in ("one", "two")]
    for process in writers:
        assert process.stdin
        process.stdin.write(b"\n")

    async def write_here() -> None:
        for number in range(40):
            await add_photos(house, [f"here/{number}-{each}.jpg" for each in range(3)])

    here = asyncio.create_task(write_here())
    ended = [asyncio.create_task(process.wait()) for process in writers]
    while not (here.done() and all(end.done() for end in ended)):
        await follower.read()
    await here
    assert [end.result() for end in ended] == [0, 0]
    await follower.catch_up()
    told = [change["entity_id"] for change in follower.told]
    written = [
        row[0] for row in behind_its_back(house, "select entity_id from changes where entity = 'photo' order by seq")
    ]
    assert len(written) == 360
    assert told == written
    assert {change["action"] for change in follower.told} == {"create"}
    await follower.check()


@pytest.mark.parametrize("seed", range(3))
async def test_the_whole_state_can_be_read_in_pages_while_everything_changes(home: House, seed: int) -> None:
    chance = random.Random(seed)
    times = [f"2024-07-{1 + number:02}T12:00:00+00:00" for number in range(28)]
    ids = await add_photos(home, [{"key": f"{number}.jpg", "taken": taken} for number, taken in enumerate(times)])
    deleted: set[str] = set()

    async def change(number: int) -> None:
        photo = chance.choice([one for one in ids if one not in deleted])
        path = f"/photos/{photo}/metadata"
        match chance.randrange(5):
            case 0:
                ids.extend(await add_photos(home, [{"key": f"new {number}.jpg", "taken": chance.choice(times)}]))
            case 1:
                await home.ana.patch(path, {"description": f"Line {number}"})
            case 2:  # it moves to another page of the list
                await home.ana.patch(path, {"taken_at": chance.choice(times)})
            case 3:
                await home.ana.delete(f"/photos/{photo}")
            case 4:
                behind_its_back(home, "delete from files where photo_id = ?", photo)
                assert (await home.ana.delete(f"/photos/{photo}?permanently=true")).status == 204
                deleted.add(photo)

    follower = Follower(home.ben, limit=5)
    for number in range(12):
        await change(number)
        await change(-number)
        await follower.read()
    await follower.catch_up()
    assert set(follower.items) == set(ids) - deleted
    await follower.check()
    seqs = [change["seq"] for change in follower.told if change["action"] != "create"]
    assert seqs == sorted(set(seqs))
    assert await follower.catch_up() == []


async def test_a_client_that_forgot_its_last_pages_reads_them_again(house: House) -> None:
    await add_photos(house, [f"{number}.jpg" for number in range(9)])
    follower, again = Follower(house.ana, limit=2), Follower(house.ana, limit=3)
    for _ in range(2):
        await follower.read()
    again.cursor = follower.cursor
    rest = await follower.catch_up()
    assert await again.catch_up() == rest
    assert len(rest) == 5
