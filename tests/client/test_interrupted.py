"""`tagline sync` when something comes between: cuts, kills, Ctrl-C, a key that ends, a file that is written to."""

import asyncio
import os
import signal
import termios
from pathlib import Path

import pytest

from tagline.client.memory import remembered
from tests.client.phone import Phone, digest, ended, picture, visible
from tests.client.wire import Wire, wire
from tests.house import House, until
from tests.robustness.service import serving, start

pytestmark = pytest.mark.slow

LARGE = 6_000_000
# So far a connection comes before it is cut: in the middle of the large file.
FAR = 2_000_000


async def key_of(house: House) -> str:
    """A key that may upload."""
    return (await house.key("upload")).headers["Authorization"].removeprefix("Bearer ")


def once(way: Wire) -> None:
    """Cut the first connection that carries much, and then let nothing through."""
    way.lives = lambda: 0 if way.cuts else FAR


async def cut(way: Wire) -> None:
    """Wait for that cut."""

    async def happened() -> bool:
        return way.cuts > 0

    await until(happened, 30)


def offsets(way: Wire) -> list[int]:
    """From where each PATCH sent."""
    return [int(patch.headers["Upload-Offset"]) for patch in way.asked("PATCH")]


async def test_ctrl_c_ends_in_good_order_and_the_next_run_goes_on(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    large = picture(phone.folder / "large.jpg", 1, LARGE)
    async with wire(house.base) as way:
        once(way)
        process = await phone.start(way.address)
        await cut(way)
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
        assert ran.status == 130
        assert "1 not sent; " in ran.out
        assert ran.err == "Interrupted. Run the same command again: it goes on where it was.\n"
        assert visible(house.library) == []
        way.lives = lambda: None
        way.exchanges.clear()
        again = await phone.sync(way.address)
        assert (again.status, again.err) == (0, "")
        assert again.out.startswith("1 sent (1 resumed); ")
        [offset] = offsets(way)
        assert 0 < offset < FAR
        assert way.sent == LARGE - offset
    assert [digest(path) for path in visible(house.library)] == [digest(large)]


async def test_a_connection_that_is_cut_again_and_again_brings_it_all_in_the_end(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    large = picture(phone.folder / "large.jpg", 1, LARGE)
    async with wire(house.base) as way:
        way.lives = lambda: FAR
        ran = await phone.sync(way.address)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith("1 sent (1 resumed); ")
        told = [int(head.answer["Upload-Offset"]) for head in way.asked("HEAD") if head.status == 200]
        assert offsets(way) == [0, *told]
        assert len(told) >= 3
    assert [digest(path) for path in visible(house.library)] == [digest(large)]


async def test_the_client_waits_for_a_service_that_was_killed_and_goes_on_by_itself(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serving(data) as (service, ana):
        made = await ana.post("/api/auth/keys", {"name": "pc", "scope": "upload"})
        phone = Phone(tmp_path / "pictures", tmp_path / "home", made.json["key"])
        sent = [picture(phone.folder / f"{number}.jpg", number, 300_000) for number in range(5)]
        sent.append(picture(phone.folder / "large.jpg", 9, LARGE))
        async with wire(service.address) as way:
            once(way)
            process = await phone.start(way.address)
            await cut(way)
            await service.kill()
            way.leads_to((service := await start(data)).address)
            way.lives = lambda: None
            try:
                ran = await ended(process)
                assert (ran.status, ran.err) == (0, "")
                assert ran.out.startswith("6 sent")
            finally:
                await service.kill()
    assert sorted(map(digest, visible(data / "photos"))) == sorted(map(digest, sent))


async def test_a_service_that_stays_away_is_waited_for_as_long_as_was_said(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    picture(phone.folder / "large.jpg", 1, LARGE)
    async with wire(house.base) as way:
        once(way)
        ran = await phone.sync(way.address, "--patience", "1")
    assert ran.status == 1
    assert "1 not sent; " in ran.out
    assert ran.err.startswith("The server does not answer any more: the connection was cut. Run the command again")


async def test_a_key_that_ends_in_the_middle_ends_the_run(house: House, tmp_path: Path) -> None:
    key = (await house.ana.post("/api/auth/keys", {"name": "pc", "scope": "upload"})).json
    phone = Phone(tmp_path / "pictures", tmp_path / "home", key["key"])
    picture(phone.folder / "large.jpg", 1, LARGE)
    picture(phone.folder / "other.jpg", 2, LARGE)
    async with wire(house.base) as way:
        once(way)
        process = await phone.start(way.address)
        await cut(way)
        assert (await house.ana.delete(f"/api/auth/keys/{key['id']}")).status == 204
        way.lives = lambda: None
        ran = await ended(process)
    assert ran.status == 1
    assert "2 not sent; " in ran.out
    assert ran.err.startswith("The server does not know this computer (any more): ")
    assert visible(house.library) == []


async def test_a_file_that_is_written_to_while_it_is_sent_is_left_for_next_time(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    large = picture(phone.folder / "large.jpg", 1, LARGE)
    async with wire(house.base) as way:
        once(way)
        process = await phone.start(way.address)
        await cut(way)
        with large.open("ab") as file:
            file.write(b"more")
        way.lives = lambda: None
        ran = await ended(process)
        assert ran.status == 1
        assert ran.out.startswith("1 changed meanwhile; ")
        assert visible(house.library) == []
        # What the server had of it was given up.
        [ended_upload] = way.asked("DELETE")
        assert ended_upload.status == 204
        assert (await phone.sync(way.address)).out.startswith("1 sent; ")
    assert [digest(path) for path in visible(house.library)] == [digest(large)]


async def test_an_upload_that_expired_meanwhile_begins_anew(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    picture(phone.folder / "large.jpg", 1, LARGE)
    async with wire(house.base) as way:
        once(way)
        assert (await phone.sync(way.address, "--patience", "1")).status == 1
        way.lives = lambda: None
        [begun] = [post for post in way.asked("POST") if post.path == "/api/uploads"]
        gone = await house.ana.delete(begun.answer["Location"], headers={"Tus-Resumable": "1.0.0"})
        assert gone.status == 204
        ran = await phone.sync(way.address)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith("1 sent; 6.0 MB")


async def test_two_runs_over_the_same_folder_do_not_meet(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    state = phone.home / ".local/state/tagline"
    with remembered(state, phone.folder, house.base.removeprefix("http://")):
        ran = await phone.sync(house.base)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Another run is sending this folder to this server already.\n"
    assert (await phone.sync(house.base)).status == 0


async def test_on_a_terminal_a_bar_shows_how_far_it_is(house: House, tmp_path: Path) -> None:
    phone = Phone(tmp_path / "pictures", tmp_path / "home", await key_of(house))
    picture(phone.folder / "large.jpg", 1, LARGE)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    try:
        process = await phone.start(house.base, terminal=theirs)
        os.close(theirs)
        out, _ = await process.communicate()
        shown = await asyncio.to_thread(os.read, ours, 100_000)
    finally:
        os.close(ours)
    assert process.returncode == 0
    assert out.startswith(b"1 sent; ")
    assert b"Sending: " in shown
    assert b"6.00MB" in shown or b"6.00M" in shown
