"""What uploads must withstand: bodies that never end, lies, thousands of open parts, full disks, kills, and size."""

import asyncio
import contextlib
import gzip
import random
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from tagline import times
from tagline.api import Identity
from tagline.db import Tx
from tagline.uploads import parts as parts_module
from tagline.uploads import sending as gate_module
from tagline.uploads.accepting import ACCEPTING, Wanted
from tagline.uploads.parts import INCOMING
from tagline.uploads.routes import TUS
from tagline.uploads.sending import GATE
from tests.house import Client, House, behind_its_back, until
from tests.photos.files import open_files
from tests.robustness.mounting import CAN_MOUNT, small_disk
from tests.robustness.service import Service, serving, settled, signed_in, start
from tests.robustness.test_full_disk import fill, no_file_may_grow
from tests.uploads.sending import (
    CHUNK,
    RESUMABLE,
    append,
    begun,
    checksum,
    connected,
    content_digest,
    create,
    files,
    jpeg,
    large,
    metadata,
    offset,
    parts,
    send,
    sha256,
)

MEGABYTE = 1 << 20


async def all_gone(house: House) -> bool:
    """Whether nothing arrives any more, and nothing is left of it."""
    open_parts = [name for name in open_files() if ".tagline-incoming/" in name and "/dav" not in name]
    return not parts(house) and not open_parts and house.app[GATE]._arriving == 0


# Bodies that dally or break off


@pytest.mark.parametrize("way", ["raw", "form"])
async def test_a_body_that_never_goes_on_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(parts_module, "IDLE_SECONDS", 0.05)
    async with connected(house.ana) as connection:
        kind = "image/jpeg" if way == "raw" else "multipart/form-data; boundary=XX"
        await connection.head("POST", "/photos", {"Content-Length": 100_000, "Content-Type": kind})
        if way == "form":
            await connection.write(b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n')
        await connection.write(jpeg())
        status, _, told = await connection.answer()
    assert (status, b"body_too_slow" in told) == (400, True)
    await until(lambda: all_gone(house))
    assert files(house) == []


async def test_a_body_of_a_byte_now_and_then_is_given_up_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "IDLE_SECONDS", 0.2)
    async with connected(house.ana) as connection:
        await connection.head("POST", "/photos", {"Content-Length": 100_000, "Content-Type": "image/jpeg"})
        answering = asyncio.create_task(connection.answer())
        while not answering.done():
            await connection.write(b"x")
            await asyncio.wait([answering], timeout=0.02)
        assert (await answering)[0] == 400
    await until(lambda: all_gone(house))


async def test_what_a_slow_phone_has_sent_is_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    content = jpeg()
    place = await begun(house.ana, len(content))
    monkeypatch.setattr(parts_module, "IDLE_SECONDS", 0.05)
    async with connected(house.ana) as connection:
        await connection.head("PATCH", place, {**CHUNK, "Upload-Offset": 0, "Content-Length": len(content)})
        await connection.write(content[:200])
        assert (await connection.answer())[0] == 400
    assert await offset(house.ana, place) == 200
    monkeypatch.undo()
    assert (await append(house.ana, place, 200, content[200:])).status == 204


@pytest.mark.parametrize("way", ["raw", "chunked", "form", "form's head"])
async def test_a_connection_cut_in_the_middle_leaves_nothing_behind(
    house: House, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    content = jpeg(size=(640, 480))
    for kept in (0, 1, 100) if way == "form's head" else (0, 1, 1000, len(content) - 1):
        async with connected(house.ana) as connection:
            length: dict[str, str | int] = {"Content-Length": len(content) + 300}
            if way == "chunked":
                length = {"Transfer-Encoding": "chunked"}
            kind = "multipart/form-data; boundary=XX" if "form" in way else "image/jpeg"
            await connection.head("POST", "/photos", {**length, "Content-Type": kind})
            if way == "form":
                await connection.write(b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n')
            elif way == "form's head":
                await connection.write(b"--XX\r\nContent-Disp")
            elif way == "chunked":
                await connection.write(b"%x\r\n" % len(content))
            await connection.write(b"x" * kept if way == "form's head" else content[:kept])
            await until(lambda: arriving(house))
            connection.cut()
        await until(lambda: all_gone(house))
    assert files(house) == []
    assert await house.photos() == []
    assert "ERROR" not in {record.levelname for record in caplog.records}, "it is the client's affair"


async def arriving(house: House) -> bool:
    """Whether something arrives."""
    return house.app[GATE]._arriving > 0


# Lies


@pytest.mark.parametrize("lie", [100, -100])
async def test_a_length_that_lies_makes_no_photo(house: House, lie: int) -> None:
    content = jpeg(size=(640, 480))
    async with connected(house.ana) as connection:
        head = {
            "Content-Length": len(content) + lie,
            "Content-Type": "image/jpeg",
            "Repr-Digest": content_digest(content),
        }
        await connection.head("POST", "/photos", head)
        await connection.write(content)
        if lie > 0:
            connection.cut()
        else:
            # What is too much looks like another request, and like none.
            assert (await connection.answer())[0] in (400, 422)
    await until(lambda: all_gone(house))
    assert files(house) == []


async def test_a_length_in_two_ways_is_refused(house: House) -> None:
    async with connected(house.ana) as connection:
        head = {"Content-Length": 5, "Transfer-Encoding": "chunked", "Content-Type": "image/jpeg"}
        await connection.head("POST", "/photos", head)
        await connection.write(b"0\r\n\r\n")
        assert (await connection.answer())[0] == 400
    assert files(house) == []


@pytest.mark.slow
async def test_a_body_that_unpacks_to_much_more_is_measured_by_that(house: House) -> None:
    house.app[GATE].most = MEGABYTE
    bomb = gzip.compress(bytes(50 * MEGABYTE))
    answer = await send(house.ana, bomb, Content_Encoding="gzip")
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    packed = await send(house.ana, gzip.compress(jpeg()), Content_Encoding="gzip")
    assert (packed.status, packed.json["sha256"]) == (201, sha256(jpeg()))
    broken = await send(house.ana, b"no gzip at all", Content_Encoding="gzip")
    assert broken.status == 400
    await until(lambda: all_gone(house))


async def test_random_lies_about_offsets_and_sums_never_harm_an_upload(house: House) -> None:
    dice, content = random.Random(20261120), jpeg(size=(640, 480))
    place, at = await begun(house.ana, len(content)), 0
    while at < len(content):
        said = dice.choice([at, at, 0, at + 1, len(content), 10**17])
        piece = content[at : at + dice.randrange(1, 3000)]
        headers: dict[str, str] = {}
        honest = said == at
        if dice.random() < 0.5:
            true = dice.random() < 0.5
            headers["Upload_Checksum"] = checksum(piece if true else piece + b"?", dice.choice(["sha1", "sha256"]))
            honest = honest and true
        answer = await append(house.ana, place, said, piece, **headers)
        if honest:
            assert answer.status == 204
            at += len(piece)
        else:
            assert answer.status in (409, 460)
        if at < len(content):
            assert await offset(house.ana, place) == at
    [key] = files(house)
    assert (house.library / key).read_bytes() == content


# Very many


@pytest.mark.slow
async def test_ten_thousand_open_uploads_are_in_nobodys_way(house: House) -> None:
    some = [await begun(house.ana, 1000) for _ in range(50)]
    for place in some:
        await append(house.ana, place, 0, b"x" * 10)
    behind_its_back(
        house,
        """with recursive n(i) as (select 1 union all select i + 1 from n where i < 9950)
        insert into uploads (id, user_id, size, active_at)
        select printf('00000000-0000-4000-8000-%012x', i), (select id from users), 1000, ? from n""",
        times.now(),
    )  # fmt: skip
    assert (await send(house.ana, jpeg())).status == 201
    assert await offset(house.ana, "/api/uploads/00000000-0000-4000-8000-00000000000a") == 0
    assert (await create(house.ana, 1000)).status == 201
    assert await house.app[TUS].expire(times.now()) == 0
    behind_its_back(house, "update uploads set active_at = active_at - ?", 49 * 3600 * 1_000_000)
    expiring = asyncio.create_task(house.app[TUS].expire(times.now()))
    asked = 0
    while not expiring.done():
        assert (await house.ana.get("/photos")).status == 200
        asked += 1
    assert await expiring == 10_001
    assert asked > 10
    assert (behind_its_back(house, "select count(*) from uploads"), parts(house)) == ([(0,)], [])


async def test_more_bodies_than_there_may_be_are_told_to_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "MOST_AT_ONCE", 3)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            connection = await stack.enter_async_context(connected(house.ana))
            await connection.head("POST", "/photos", {"Content-Length": 1000, "Content-Type": "image/jpeg"})
        await until(lambda: full(house))
        answer = await send(house.ana, jpeg())
        assert (answer.status, answer.json["code"]) == (429, "too_many_requests")
        assert int(answer.headers["Retry-After"]) > 0
        assert (await house.ana.get("/photos")).status == 200
    await until(lambda: all_gone(house))
    assert (await send(house.ana, jpeg())).status == 201


async def test_one_device_does_not_take_every_place(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "MOST_EACH", 3)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            connection = await stack.enter_async_context(connected(house.ana))
            await connection.head("POST", "/photos", {"Content-Length": 1000, "Content-Type": "image/jpeg"})
        await until(lambda: full(house))
        assert (await send(house.ana, jpeg())).status == 429
        assert (await send(await house.key("upload"), jpeg())).status == 201
    await until(lambda: all_gone(house))
    assert (await send(house.ana, jpeg("red"))).status == 201


async def full(house: House) -> bool:
    """Whether as many bodies arrive as there may."""
    return house.app[GATE]._arriving == 3


# Full disks


@pytest.mark.slow
async def test_where_no_file_may_grow_what_has_arrived_is_kept(tmp_path: Path) -> None:
    content = large(1)
    async with serving(tmp_path / "data", TAGLINE_RESERVE_MB="0") as (service, ana):
        place = await begun(ana, len(content))
        assert (await append(ana, place, 0, content[:100_000])).status == 204
        with no_file_may_grow(service):
            answer = await append(ana, place, 100_000, content[100_000:])
            assert (answer.status, answer.json["code"]) == (507, "disk_full")
            assert (await send(ana, jpeg())).status == 507
            assert (await ana.get("/photos")).status == 200
        assert await offset(ana, place) == 100_000
        assert (await append(ana, place, 100_000, content[100_000:])).status == 204
        [photo] = (await ana.get("/photos")).json["items"]
        assert photo["sha256"] == sha256(content)
        assert (await send(ana, jpeg())).status == 201


if CAN_MOUNT:

    @pytest.mark.slow
    async def test_on_a_full_disk_an_upload_waits_for_room_and_goes_on(tmp_path: Path) -> None:
        content, library = large(6), tmp_path / "photos"
        with small_disk(library, 10):
            async with serving(tmp_path / "data", PHOTO_STORAGE_PATH=str(library), TAGLINE_RESERVE_MB="0") as (_, ana):
                place = await begun(ana, len(content), sha256=sha256(content))
                assert (await append(ana, place, 0, content[:MEGABYTE])).status == 204
                fill(library / "filler")
                answer = await append(ana, place, MEGABYTE, content[MEGABYTE : 2 * MEGABYTE])
                assert (answer.status, answer.json["code"]) == (507, "disk_full")
                assert (await send(ana, jpeg())).status == 507
                assert (await ana.get("/photos")).status == 200
                (library / "filler").unlink()
                at = await offset(ana, place)
                assert MEGABYTE <= at < len(content)
                assert (await append(ana, place, at, content[at:])).status == 204
                [photo] = (await ana.get("/photos")).json["items"]
                assert photo["sha256"] == sha256(content)
                assert [path.stat().st_size for path in library.rglob("*.jpg")] == [len(content)]


# Kills


async def sent_until_killed(ana: Client, contents: list[bytes], acknowledged: dict[str, str], half: list[str]) -> None:
    """Send by all ways until the service dies; notes what it acknowledged, and uploads that were begun."""
    for number, content in enumerate(contents):
        with contextlib.suppress(ClientError, OSError):
            if number % 2:
                answer = await send(ana, content, f"filename={number}.jpg")
                assert answer.status in (200, 201), answer
                acknowledged[sha256(content)] = answer.json["id"]
                continue
            place = await begun(ana, len(content), filename=f"{number}.jpg")
            half.append(place)
            for at in range(0, len(content), 20_000):
                piece = content[at : at + 20_000]
                headers = {"Upload_Checksum": checksum(piece)} if number % 4 else {}
                answer = await append(ana, place, at, piece, **headers)
                assert answer.status == 204, answer
            acknowledged[sha256(content)] = answer.headers["Tagline-Photo"]


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_by_kills_and_no_half_file_is_seen(tmp_path: Path) -> None:
    data, library = tmp_path / "data", tmp_path / "data/photos"
    dice = random.Random(20261121)
    acknowledged: dict[str, str] = {}
    known: dict[str, bytes] = {}
    headers: dict[str, str] = {}
    async with ClientSession() as session:
        for round_number in range(12):
            service: Service = await start(data)
            ana = Client(session, service.address, headers) if headers else await signed_in(session, service.address)
            headers = ana.headers
            contents = [jpeg("navy", (300 + 2 * number, 200 + round_number)) + bytes(50_000) for number in range(12)]
            known |= {sha256(content): content for content in contents}
            before, half = len(acknowledged), list[str]()
            senders = [
                asyncio.create_task(sent_until_killed(ana, contents[lane::2], acknowledged, half)) for lane in range(2)
            ]
            wanted = before + dice.randrange(0, 9)
            await until(lambda wanted=wanted, senders=senders: enough(acknowledged, wanted, senders), 30)  # type: ignore[misc]
            await asyncio.sleep(dice.uniform(0, 0.02))
            await service.kill()
            await asyncio.gather(*senders)
            for path in library.glob("[!.]*/**/*.jpg"):
                assert sha256(path.read_bytes()) in known, "half a file is seen"
        async with serving(data, signed_in_as=headers) as (_, ana):
            told = behind(data, "select id from uploads where photo_id is null")
            names = {path.name for path in (library / ".tagline-incoming").iterdir() if path.is_file()}
            assert names <= {row[0] for row in told}, "what nobody comes back to is swept"
            await ana.post("/rescan")
            await settled(ana)
            photos = {photo["sha256"]: photo["id"] for photo in (await ana.get("/photos?limit=500")).json["items"]}
            assert {key: photos.get(key) for key in acknowledged} == acknowledged
            told = behind(data, "select entity_id from changes where entity = 'photo' and action = 'create'")
            assert len(told) == len(set(told)), "in the feed once"
    assert len(acknowledged) > 20


async def enough(acknowledged: dict[str, str], wanted: int, senders: list[asyncio.Task[None]]) -> bool:
    return len(acknowledged) >= wanted or all(sender.done() for sender in senders)


def behind(data: Path, statement: str) -> list[Any]:
    """Rows of a database whose service may run."""
    with contextlib.closing(sqlite3.connect(data / "tagline.db")) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.slow
async def test_the_next_start_sweeps_what_is_left_over_but_no_upload(tmp_path: Path) -> None:
    data = tmp_path / "data"
    content = large(2)
    async with serving(data) as (service, ana):
        place = await begun(ana, len(content))
        await append(ana, place, 0, content[:MEGABYTE])
        async with connected(ana) as raw, connected(ana) as chunk:
            await raw.head("POST", "/photos", {"Content-Length": len(content), "Content-Type": "image/jpeg"})
            await raw.write(content[:MEGABYTE])
            head = {**CHUNK, "Upload-Offset": MEGABYTE, "Content-Length": MEGABYTE}
            await chunk.head("PATCH", place, {**head, "Upload-Checksum": checksum(content[MEGABYTE:])})
            await chunk.write(content[MEGABYTE : 2 * MEGABYTE - 10])
            incoming = data / "photos/.tagline-incoming"

            async def two() -> bool:
                sizes = sorted(path.stat().st_size for path in incoming.iterdir() if path.is_file())
                return len(sizes) == 2 and sizes[0] > 0 and sizes[1] > MEGABYTE

            await until(two)
            await service.kill()
        headers = ana.headers
    async with serving(data, signed_in_as=headers) as (_, ana):
        assert [path.name for path in incoming.iterdir() if path.is_file()] == [place[-36:]]
        assert await offset(ana, place) == MEGABYTE, "the chunk whose checksum nobody knows is forgotten"
        assert (await append(ana, place, MEGABYTE, content[MEGABYTE:])).status == 204
        [photo] = (await ana.get("/photos")).json["items"]
        assert photo["sha256"] == sha256(content)


# Size


def resident(service: Service) -> int:
    """The memory of a service that is its own, bytes (without pages of files)."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


async def zeros(content: bytes, megabytes: int) -> AsyncIterator[bytes]:
    """A photograph with so much behind it."""
    yield content
    piece = bytes(256 * 1024)
    for _ in range(4 * megabytes):
        yield piece


@pytest.mark.slow
async def test_memory_stays_flat_while_large_files_arrive(tmp_path: Path) -> None:
    most = 0
    async with serving(tmp_path / "data") as (service, ana):
        await send(ana, jpeg("plum"))
        await settled(ana)
        before = resident(service)
        colours = ["navy", "teal", "red", "green"]
        by_tus = [await begun(ana, len(jpeg(colour)) + 200 * MEGABYTE) for colour in colours[:2]]
        sends = [
            *(append(ana, place, 0, zeros(jpeg(colour), 200)) for place, colour in zip(by_tus, colours, strict=False)),
            *(send(ana, zeros(jpeg(colour), 200)) for colour in colours[2:]),
        ]
        sending = asyncio.gather(*sends)
        while not sending.done():
            most = max(most, resident(service))
            await asyncio.wait([sending], timeout=0.05)
        assert [answer.status for answer in await sending] == [204, 204, 201, 201]
    print(f"{before / MEGABYTE:.0f} MB before, {most / MEGABYTE:.0f} MB at most")
    assert most - before < 40 * MEGABYTE
    for path in (tmp_path / "data/photos").glob("*/*/*.jpg"):
        path.unlink()  # so that no other test is short of room


async def test_metadata_of_every_kind_is_no_way_in(house: House) -> None:
    dice = random.Random(20261122)
    for _ in range(100):
        said = bytes(dice.choice(b" ,=ABCabc019+/-_\"'\\;:\t") for _ in range(dice.randrange(40))).decode()
        headers = {**RESUMABLE, "Upload-Length": "9", "Upload-Metadata": said.strip()}
        assert (await house.ana.post("/api/uploads", headers=headers)).status in (201, 400, 404, 410)
    hostile = metadata(filename="../../../etc/passwd\x00.jpg", album="x/\u202e/..")
    answer = await house.ana.post(
        "/api/uploads", data=jpeg(), headers={**CHUNK, "Upload-Length": str(len(jpeg())), "Upload-Metadata": hostile}
    )
    assert answer.status == 201
    assert [key.rpartition("/")[2] for key in files(house)] == ["passwd.jpg"]


async def test_a_service_that_stops_while_a_photo_is_written_down_leaves_it_whole(house: House) -> None:
    """Its handler is cancelled when the row is on its way, which may land: then its file has to be there."""
    writing, go_on = threading.Event(), threading.Event()

    def busy(tx: Tx) -> None:
        writing.set()
        go_on.wait()

    async def body() -> AsyncIterator[bytes]:
        yield jpeg()

    part = await house.app[INCOMING].begin()
    await part.take(body(), 10_000_000)
    arrived = await part.finish()
    row = await house.db.row("accounts.owner")
    assert row is not None
    ana = Identity(row["id"], "owner", "admin", "Ana's phone")
    before = asyncio.create_task(house.db.write(busy))
    await asyncio.to_thread(writing.wait)
    accepting = asyncio.create_task(house.app[ACCEPTING].accept(ana, arrived, Wanted("a.jpg")))

    async def placed() -> bool:
        return files(house) != []

    await until(placed)
    accepting.cancel()
    go_on.set()
    await before
    with pytest.raises(asyncio.CancelledError):
        await accepting
    await part.drop()
    [photo] = await house.photos()
    assert (await house.ana.get(photo["links"]["image"])).body == jpeg()
