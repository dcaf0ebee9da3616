"""Waiting for changes: a long poll ends when something happens, when its time is over, or when the house closes."""

import asyncio
from pathlib import Path

import pytest

from tagline.db import opened
from tagline.photos import lines
from tagline.sync.cursors import Point
from tagline.sync.feed import FEED, Page
from tests.house import House, until
from tests.photos.library import ANA, add_photos
from tests.robustness.service import serving
from tests.sync.following import Follower, actions


async def waiting(house: House, many: int = 1) -> None:
    """Until so many wait."""
    feed = house.app[FEED]

    async def there() -> bool:
        return len(getattr(feed._news, "_callbacks", None) or []) >= many

    await until(there)


async def test_a_client_that_waits_is_told_at_once(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    follower = Follower(house.ana)
    await follower.catch_up()
    poll = asyncio.create_task(follower.read(wait=60))
    await waiting(house)
    await house.key("read")  # nobody's business: it waits on
    assert not poll.done()
    await house.ana.patch(f"/photos/{photo}/metadata", {"description": "x"})
    assert await poll is False
    assert actions(follower.told)[1:] == [("update", photo)]


async def test_what_is_there_already_is_not_waited_for(house: House) -> None:
    follower = Follower(house.ana)
    await follower.catch_up()
    [photo] = await add_photos(house, ["a.jpg"])
    await follower.read(wait=60)
    assert list(follower.items) == [photo]
    # Nor the whole state, be there any or not.
    await Follower(house.ana).read(wait=60)


@pytest.mark.slow
async def test_the_time_is_over_without_a_change(house: House) -> None:
    follower = Follower(house.ana)
    await follower.catch_up()
    answer = await follower.ask(wait=1)
    assert (answer.status, answer.json["changes"], answer.json["has_more"]) == (200, [], False)


async def test_a_session_that_ends_cuts_its_waiting(house: House) -> None:
    row = await house.db.row("accounts.owner")
    assert row is not None
    phone = await house.sign_in(row["id"], "owner", "A stolen phone")
    follower = Follower(phone)
    await follower.catch_up()
    poll = asyncio.create_task(follower.ask(wait=60))
    await waiting(house)
    await phone.post("/logout")
    # The connection was cut; where that happens, aiohttp's client asks once more by itself.
    assert (await poll).status == 401


async def test_many_who_wait_at_one_point_share_one_page(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    feed = house.app[FEED]
    now = await feed.now()

    async def one() -> Page:
        assert await feed.beyond(now.seq, 60)
        return await feed.page(now, 100)

    clients = [asyncio.create_task(one()) for _ in range(200)]
    await waiting(house, 200)
    edited = await house.ana.patch(f"/photos/{photo}/metadata", {"description": "x"})
    first, *others = await asyncio.gather(*clients)
    assert edited.body in first.changes
    assert all(page is first for page in others), "it was read once"
    assert await feed.page(now, 100) is first, "and not again for who comes later"
    await house.ana.patch(f"/photos/{photo}/metadata", {"description": "y"})
    assert (await feed.page(now, 100)).changes != first.changes, "who gets no old state"


async def test_a_client_that_goes_away_does_not_take_the_page_from_the_others(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    feed = house.app[FEED]
    start = Point(0, 0, 0)
    first = asyncio.create_task(feed.page(start))
    second = asyncio.create_task(feed.page(start))
    await asyncio.sleep(0)
    first.cancel()
    page = await second
    assert [photo.encode() in change for change in page.each()] == [True]


async def test_a_write_is_told_to_who_asks_right_after_it(house: House) -> None:
    """However many others are reading the feed at that moment."""
    [photo] = await add_photos(house, ["a.jpg"])
    start = Point(0, 0, 0)
    feed = house.app[FEED]
    for number in range(50):
        others = [asyncio.create_task(feed.page(start)) for _ in range(3)]
        edited = (await house.ana.patch(f"/photos/{photo}/metadata", {"description": f"{number}"})).body
        assert edited in (await feed.page(start)).changes
        await asyncio.gather(*others)


@pytest.mark.slow
async def test_who_waits_is_answered_when_the_service_stops(tmp_path: Path) -> None:
    async with serving(tmp_path) as (service, ana):
        follower = Follower(ana)
        await follower.catch_up()
        polls = [asyncio.create_task(follower.ask(wait=60)) for _ in range(5)]
        # They are in before the next request is answered on a connection of its own.
        for _ in range(20):
            assert (await ana.get("/health/live")).status == 200
        assert await service.stop() == 0
        for answer in await asyncio.gather(*polls):
            assert (answer.status, answer.json["changes"]) == (200, [])


@pytest.mark.slow
async def test_what_another_process_writes_is_told_as_well(house: House) -> None:
    [photo] = await add_photos(house, ["a.jpg"])
    follower = Follower(house.ana)
    await follower.catch_up()
    poll = asyncio.create_task(follower.read(wait=60))
    await waiting(house)
    async with opened(house.config.database) as other:
        await other.write(lines.set_trashed, ANA, photo, True)
    await poll
    assert actions(follower.told)[1:] == [("update", photo)]
