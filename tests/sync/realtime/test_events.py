"""Events, the same over each transport: what is told, in which order, to whom, and from where on."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tagline.jobs import JOBS, Running
from tagline.sync.events import EVENTS
from tests.house import PASSWORD, Client, House, behind_its_back, make_photo, running
from tests.photos.library import add_photos
from tests.sync.following import Follower, cursor_of
from tests.sync.realtime.listening import TRANSPORTS, Listener, by_stream, by_websocket

Transport = Callable[..., AbstractAsyncContextManager[Listener]]

every_transport = pytest.mark.parametrize("listens", TRANSPORTS.values(), ids=TRANSPORTS)


async def edit(who: Client, photo: str, line: str) -> None:
    assert (await who.patch(f"/photos/{photo}/metadata", {"description": line})).status == 200


async def test_each_transport_tells_the_same(house: House) -> None:
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listens(house, house.ana)) for listens in TRANSPORTS.values()]
        for listener in listeners:
            ready = await listener.next()
            assert ready.name == "ready"
            assert ready.data == {"cursor": ready.cursor}
        make_photo(house.library / "lake.jpg")
        await house.scan()
        photo = await house.photo("lake.jpg")
        told = [await listener.until("job_progress", kind="digest", state="succeeded") for listener in listeners]
        await edit(house.ana, photo["id"], "The lake")
        await house.ana.delete(f"/photos/{photo['id']}")
        await house.ana.delete(f"/photos/{photo['id']}?permanently=true")
        told = [
            before + await listener.until("photo_deleted") for before, listener in zip(told, listeners, strict=True)
        ]
    for seen in told:
        photos = [each for each in seen if each.name.startswith("photo")]
        assert photos[0].name == "photo_created"
        assert {each.name for each in photos[1:-1]} <= {"photo_updated"}
        assert photos[-1].data == {"id": photo["id"]}
        assert all(each.data["id"] == photo["id"] and each.cursor for each in photos)
        versions = [each.data["version"] for each in photos[:-1]]
        assert versions == sorted(versions)
        jobs = [each for each in seen if each.name == "job_progress"]
        assert {"scan", "digest"} == {each.data["kind"] for each in jobs}
        assert all(each.cursor is None for each in jobs)


@every_transport
async def test_an_event_carries_the_photo_as_the_api_gives_it(house: House, listens: Transport) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with listens(house, house.ana) as listener:
        await listener.next()
        await edit(house.ana, photo, "Ana\nat the lake \u2028 “quoted” 🌊")
        told = await listener.next()
        assert told.name == "photo_updated"
        assert told.data == (await house.ana.get(f"/photos/{photo}")).json


@every_transport
async def test_a_thousand_changes_come_in_order_and_each_thing_ends_as_it_is(house: House, listens: Transport) -> None:
    ids = await add_photos(house, [f"a/{number}.jpg" for number in range(40)])
    async with listens(house, house.ana) as listener:
        await listener.next()
        last: dict[str, Any] = {}

        async def write(some: list[str]) -> None:
            for number in range(5):
                for photo in some:
                    await edit(house.ana, photo, f"{photo} {number}")

        await asyncio.gather(write(ids[::2]), write(ids[1::2]))
        await edit(house.ana, ids[0], "the end")
        seen = await listener.until("photo_updated", description="the end")
        for told in seen:
            assert told.data["version"] > last.get(told.data["id"], {"version": 0})["version"], "once, and in order"
            last[told.data["id"]] = told.data
        assert last == {photo: (await house.ana.get(f"/photos/{photo}")).json for photo in ids}


@every_transport
async def test_who_comes_back_learns_what_was_missed_and_nothing_twice(house: House, listens: Transport) -> None:
    ids = await add_photos(house, ["a/1.jpg", "a/2.jpg", "a/3.jpg"])
    async with listens(house, house.ana) as listener:
        await listener.next()
        await edit(house.ana, ids[0], "heard")
        cursor = (await listener.next()).cursor
    await edit(house.ana, ids[1], "missed")
    await edit(house.ana, ids[2], "missed as well")
    async with listens(house, house.ana, cursor) as listener:
        ready = await listener.next()
        assert (ready.name, ready.cursor) == ("ready", cursor)
        told = [await listener.next(), await listener.next()]
        assert [each.data["description"] for each in told] == ["missed", "missed as well"]
        await edit(house.ana, ids[0], "live")
        assert (await listener.next()).data["description"] == "live"
    # In the middle of what came at once, too.
    async with listens(house, house.ana, told[0].cursor) as listener:
        assert (await listener.next()).name == "ready"
        assert (await listener.next()).data["description"] == "missed as well"


@every_transport
async def test_a_cursor_of_the_feed_goes_on_here_and_one_of_here_goes_on_there(
    house: House, listens: Transport
) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    phone = Follower(house.ana)
    await phone.catch_up()
    await edit(house.ana, photo, "one")
    async with listens(house, house.ana, phone.cursor) as listener:
        assert (await listener.next()).name == "ready"
        told = await listener.next()
        assert told.data["description"] == "one"
    phone.cursor = told.cursor
    assert await phone.catch_up() == []
    await edit(house.ana, photo, "two")
    assert [change["data"]["description"] for change in await phone.catch_up()] == ["two"]


@every_transport
@pytest.mark.parametrize(
    "cursor", ["nonsense", "a" * 2000, cursor_of("changes", 1, 1, 1), cursor_of("albums", "x")], ids=range(4)
)
async def test_a_cursor_that_does_not_hold_begins_anew(house: House, listens: Transport, cursor: str) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with listens(house, house.ana, cursor) as listener:
        reset = await listener.next()
        assert reset.name == "reset"
        assert reset.cursor
        assert reset.cursor != cursor
        await edit(house.ana, photo, "live")
        assert (await listener.next()).data["description"] == "live"


@every_transport
async def test_who_is_still_reading_the_whole_state_is_sent_back_to_it(house: House, listens: Transport) -> None:
    await add_photos(house, ["a/1.jpg", "a/2.jpg"])
    phone = Follower(house.ana, limit=1)
    await phone.read()
    async with listens(house, house.ana, phone.cursor) as listener:
        assert (await listener.next()).name == "reset"


@every_transport
async def test_a_job_tells_how_far_it_is(house: House, listens: Transport) -> None:
    gate = asyncio.Event()

    async def work(run: Running) -> str:
        for done in range(3):
            await run.progress(done, 3, f"step {done}", now=True)
        await gate.wait()
        return "well"

    house.app[JOBS].register("walk", work)
    async with listens(house, house.ana) as listener:
        await listener.next()
        job = await house.app[JOBS].add("walk")
        running_ = (await listener.until("job_progress", state="running", done=2))[-1]
        assert running_.data == (await house.ana.get(f"/api/jobs/{job}")).json
        gate.set()
        ended = (await listener.until("job_progress", state="succeeded"))[-1]
        assert ended.data == (await house.ana.get(f"/api/jobs/{job}")).json


@every_transport
async def test_what_another_process_writes_is_told_as_well(house: House, listens: Transport) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with listens(house, house.ana) as listener:
        await listener.next()
        behind_its_back(
            house,
            "insert into changes (at, entity, entity_id, action, version) values (1795179049138210, 'photo', ?, "
            "'update', 1)",
            photo,
        )
        assert (await listener.next()).data["id"] == photo


@every_transport
@pytest.mark.parametrize("how", ["signed out", "signed out by another device", "key revoked", "key expired"])
async def test_the_end_of_the_credentials_cuts_the_connection_at_once(
    house: House, listens: Transport, how: str
) -> None:
    if how.startswith("signed"):
        pair = (await house.eve.post("/login", {"password": PASSWORD, "device_name": "tablet"})).json
        client = house.bearer(pair["access_token"])
    else:
        made = (await house.ana.post("/api/auth/keys", {"name": "kiosk", "scope": "read"})).json
        client = house.bearer(made["key"])
    async with listens(house, client) as listener, listens(house, house.ana) as other:
        assert (await listener.next()).name == "ready"
        assert (await other.next()).name == "ready"
        if how == "signed out":
            assert (await client.post("/logout")).status == 200
        elif how == "signed out by another device":
            devices = (await house.ana.get("/api/auth/sessions")).json["items"]
            [tablet] = [each["id"] for each in devices if each["device_name"] == "tablet"]
            assert (await house.ana.delete(f"/api/auth/sessions/{tablet}")).status == 204
        elif how == "key revoked":
            assert (await house.ana.delete(f"/api/auth/keys/{made['id']}")).status == 204
        else:
            await house.ana.post(f"/api/auth/keys/{made['id']}/rotate", {"overlap_seconds": 0})
        await listener.ended()
        # Nobody else notices.
        [photo] = await add_photos(house, ["a/1.jpg"])
        assert (await other.next()).data["id"] == photo


@every_transport
async def test_everybody_of_the_household_hears_the_same_with_the_least_scope(home: House, listens: Transport) -> None:
    clients = [home.ben, await home.key("read"), await home.key("upload")]
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listens(home, who)) for who in clients]
        for listener in listeners:
            assert (await listener.next()).name == "ready"
        [photo] = await add_photos(home, ["a/1.jpg"])
        for listener in listeners:
            told = await listener.next()
            assert (told.name, told.data["id"]) == ("photo_created", photo)


async def test_the_service_ends_though_everybody_listens(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with running(tmp_path) as house:
            listeners = [await stack.enter_async_context(listens(house, house.ana)) for listens in TRANSPORTS.values()]
            for listener in listeners:
                assert (await listener.next()).name == "ready"
        for listener in listeners:
            await listener.ended()


@pytest.mark.slow
async def test_two_hundred_clients_hear_of_an_edit(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with AsyncExitStack() as stack:
        listeners: list[Any] = []
        for number in range(200):
            listens = by_websocket if number % 2 else by_stream
            listeners.append(await stack.enter_async_context(listens(house, house.ana)))
        for listener in listeners:
            assert (await listener.next()).name == "ready"
        for number in range(5):
            await edit(house.ana, photo, f"line {number}")
        for listener in listeners:
            seen = await listener.until("photo_updated", description="line 4")
            versions = [told.data["version"] for told in seen]
            assert versions == sorted(set(versions))
        # What is shared is made once, however many there are.
        assert len(house.app[EVENTS]._batches) <= 8
