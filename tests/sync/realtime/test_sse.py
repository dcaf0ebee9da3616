"""Server-sent events: what stands around them."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from tagline.accounts import keys
from tagline.api import RESOLVER, Identity
from tagline.db import DB
from tagline.sync import sse
from tests.house import House, running
from tests.photos.library import add_photos
from tests.sync.realtime.listening import by_stream


async def test_a_stream_is_neither_kept_nor_held_back_nor_compressed(house: House) -> None:
    headers = {**house.ana.headers, "Accept-Encoding": "gzip, br"}
    for prefix in ("/api", "/api/v1"):
        async with ClientSession() as session, session.get(f"{house.base}{prefix}/sync/events", headers=headers) as got:
            assert got.status == 200
            assert got.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert got.headers["Cache-Control"] == "no-store"
            assert got.headers["X-Accel-Buffering"] == "no"
            assert "Content-Encoding" not in got.headers
            assert got.headers["X-Content-Type-Options"] == "nosniff"
            assert await got.content.readline() == b"retry: 2000\n"


async def test_a_quiet_stream_shows_that_it_lives(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.01)
    headers = house.ana.headers
    async with ClientSession() as session, session.get(f"{house.base}/api/sync/events", headers=headers) as got:
        async with asyncio.timeout(10):
            lines = [await got.content.readline() for _ in range(20)]
        assert lines.count(b":\n") >= 3


async def test_the_header_of_a_browser_goes_before_the_address(house: House) -> None:
    """The address stays the same when a browser comes back."""
    ids = await add_photos(house, ["a/1.jpg"])
    async with by_stream(house, house.ana) as listener:
        old = (await listener.next()).cursor
        await house.ana.patch(f"/photos/{ids[0]}/metadata", {"description": "x"})
        new = (await listener.next()).cursor
    headers = {**house.ana.headers, "Last-Event-ID": str(new)}
    place = f"{house.base}/api/sync/events?cursor={old}"
    async with ClientSession() as session, session.get(place, headers=headers) as got:
        assert [await got.content.readline() for _ in range(3)][2] == f"id: {new}\n".encode()
    async with ClientSession() as session, session.get(place, headers=house.ana.headers) as got:
        assert [await got.content.readline() for _ in range(3)][2] == f"id: {old}\n".encode()


async def test_strangers_hear_nothing(house: House) -> None:
    for who in (house.eve, house.bearer("wrong"), house.client(Cookie="tagline_access_token=wrong")):
        answer = await who.get("/api/sync/events")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


async def test_a_stream_is_for_reading(house: House) -> None:
    for method in ("POST", "HEAD", "DELETE"):
        answer = await house.ana.ask(method, "/api/sync/events")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_what_ends_between_the_look_and_the_stream_is_noticed(tmp_path: Path) -> None:
    def furnish(app: web.Application) -> None:
        look = app[RESOLVER]

        async def look_and_end(request: web.Request) -> Identity:
            who = await look(request)
            if request.path == "/api/sync/events":
                await app[DB].write(keys.revoke, who.actor, who.user_id, str(who.key_id))
            return who

        app[RESOLVER] = look_and_end

    async with running(tmp_path, furnish) as house:
        answer = await (await house.key("read")).get("/api/sync/events")
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
