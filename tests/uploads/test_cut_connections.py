"""Bad Wi-Fi and power cuts: uploads that are cut at random points, by a service that is killed meanwhile."""

import asyncio
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict
from yarl import URL

from tagline.client import uploading
from tagline.client.credentials import Key
from tagline.client.folder import LocalFile
from tagline.client.memory import remembered
from tagline.client.sending import Sending, Summary
from tagline.client.server import Server, connections
from tests.client.phone import digest, picture, visible
from tests.client.wire import Exchange, Wire, wire
from tests.house import Client, until
from tests.robustness.service import Service, everything, serving, settled, start

PHOTOS = 200
SIZES = (20_000, 300_000)
# A connection is cut after so many bytes, on average; an upload is half of that.
LIFE = 300_000
KILLS = 5
SEED = 20261120


class Watcher:
    """Looks into the library on disk: whatever is visible there is whole, and what was acknowledged is there."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.library = library
        self.originals = {digest(path): path for path in folder.rglob("*.jpg")}
        self.here: dict[Path, str] = {}
        self.acknowledged = 0

    def look(self) -> None:
        """Every file that people see is one of the originals, from its first moment on."""
        for path in visible(self.library):
            if path not in self.here:
                self.here[path] = digest(path)
                assert self.here[path] in self.originals, f"half a file is visible: {path}"

    async def look_on(self) -> None:
        """Look all the time."""
        while True:
            self.look()
            await asyncio.sleep(0.05)

    def wanted(self, size: int) -> None:
        """Nothing to see yet."""

    def moved(self, size: int) -> None:
        """Nothing to see yet."""

    def done(self, file: LocalFile, left: int) -> None:
        """The client takes this file for sent."""
        self.acknowledged += 1
        self.look()
        assert digest(self.folder / file.path) in self.here.values(), f"{file.path} was acknowledged and is not there"


async def feed(client: Client, cursor: str) -> list[Any]:
    """Every change since a cursor, by its pages."""
    changes: list[Any] = []
    more = True
    while more:
        page = (await client.get(f"/api/sync/changes?cursor={cursor}&limit=100")).json
        changes += page["changes"]
        cursor, more = page["cursor"], page["has_more"]
    return changes


async def here_and_now(client: Client) -> str:
    """The cursor from which the feed goes on."""
    answer = (await client.get("/api/sync/changes?limit=1000")).json
    assert not answer["has_more"]
    cursor: str = answer["cursor"]
    return cursor


async def kill_now_and_then(way: Wire, data: Path, service: Service, dice: random.Random) -> Service:
    """Kill the service after random amounts of bytes, and start it again; gives the one that runs at the end."""
    total = PHOTOS * sum(SIZES) // 2
    for number in range(KILLS):
        moment = int(total * (number + dice.random()) / (KILLS + 1))

        async def passed(moment: int = moment) -> bool:
            return way.sent > moment

        await until(passed, 90)
        await service.kill()
        service = await start(data)
        way.leads_to(service.address)
    return service


async def send_all(way: Wire, key: str, folder: Path, state: Path, watcher: Watcher) -> Summary:
    """What `tagline sync` does, in this process."""
    async with connections(None) as http:
        server = Server(http, URL(way.address), Key(key))
        with remembered(state, folder, "house") as memory:
            return await Sending(server, folder, memory, watcher, parallel=3, patience=90, dry=False).run()


def check_offsets(exchanges: list[Exchange]) -> int:
    """No byte that was acknowledged was sent again, and none of them was forgotten. How many were sent in vain."""
    told: dict[str, int] = {}
    of_content: dict[str, set[str]] = {}
    contents: dict[str, str] = {}
    in_vain = 0
    for exchange in exchanges:
        if exchange.method == "POST" and exchange.path == "/api/uploads" and exchange.status == 201:
            told[exchange.answer["Location"]] = 0
            contents[exchange.answer["Location"]] = exchange.headers["Upload-Metadata"]
        if exchange.path not in told:
            continue
        of_content.setdefault(contents[exchange.path], set()).add(exchange.path)
        if exchange.method == "PATCH":
            assert int(exchange.headers["Upload-Offset"]) == told[exchange.path], exchange
            in_vain += exchange.body
        if "Upload-Offset" in exchange.answer:
            offset = int(exchange.answer["Upload-Offset"])
            assert offset >= told[exchange.path], exchange
            in_vain -= offset - told[exchange.path]
            told[exchange.path] = offset
    # Nor was a file begun anew that the service had a part of.
    assert {metadata: len(paths) for metadata, paths in of_content.items() if len(paths) > 1} == {}
    return in_vain


@pytest.mark.slow
async def test_uploads_cut_at_random_points_arrive_whole_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Bad Wi-Fi takes its time; this test has less.
    monkeypatch.setattr(uploading, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(uploading, "LAST_PAUSE", 0.5)
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    data, folder = tmp_path / "data", tmp_path / "pictures"
    for number in range(PHOTOS):
        picture(folder / f"{number % 7}/{number:03}.jpg", number, dice.randrange(*SIZES))
    watcher = Watcher(folder, data / "photos")
    async with serving(data, TAGLINE_ANNOUNCE="off") as (service, ana):
        key = (await ana.post("/api/auth/keys", {"name": "phone", "scope": "upload"})).json["key"]
        cursor = await here_and_now(ana)
        async with wire(service.address) as way:
            # Slow enough for the service to have read most of what came before a cut.
            way.pace = 0.002
            way.lives = lambda: int(dice.expovariate(1 / LIFE)) + 1
            watching = asyncio.create_task(watcher.look_on())
            killing = asyncio.create_task(kill_now_and_then(way, data, service, dice))
            summary = await send_all(way, key, folder, tmp_path / "state", watcher)
            service = await killing
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        try:
            ana.base = service.address
            assert (summary.ended, summary.problems) == ("", [])
            assert summary.sent + summary.here == watcher.acknowledged == PHOTOS
            assert way.cuts > 30
            in_vain = check_offsets(way.exchanges)
            print(f"{way.cuts} cuts, {summary.resumed} resumed, {in_vain} of {way.sent} bytes were sent in vain")
            watcher.look()
            assert sorted(watcher.here.values()) == sorted(watcher.originals)
            await settled(ana)
            photos = await everything(ana)
            assert sorted(photo["sha256"] for photo in photos) == sorted(watcher.originals)
            changed = [change["entity_id"] for change in await feed(ana, cursor) if change["entity"] == "photo"]
            assert sorted(changed) == sorted(photo["id"] for photo in photos)
            created = (
                "select count(*), count(distinct entity_id) from changes where entity = 'photo' and action = 'create'"
            )
            with closing(sqlite3.connect(data / "tagline.db")) as connection:
                assert connection.execute(created).fetchone() == (PHOTOS, PHOTOS)
            scan = (await ana.post("/rescan")).json
            assert (scan["unchanged"], scan["imported_count"], scan["errors"]) == (PHOTOS, 0, [])
        finally:
            await service.kill()


def test_a_byte_sent_again_or_forgotten_is_found_by_the_check() -> None:
    def exchange(method: str, asked: int, told: int) -> Exchange:
        path = "/api/uploads/one" if method != "POST" else "/api/uploads"
        headers = CIMultiDict({"Upload-Offset": str(asked), "Upload-Metadata": "name bmFtZQ=="})
        answer = CIMultiDict({"Upload-Offset": str(told), "Location": "/api/uploads/one"})
        return Exchange(method, path, headers, told - asked, 201 if method == "POST" else 204, answer)

    good = [exchange("POST", 0, 0), exchange("PATCH", 0, 10), exchange("HEAD", 0, 15), exchange("PATCH", 15, 20)]
    assert check_offsets(good) == -5
    with pytest.raises(AssertionError):
        check_offsets([*good, exchange("PATCH", 15, 25)])
    with pytest.raises(AssertionError):
        check_offsets([*good, exchange("HEAD", 0, 19)])
