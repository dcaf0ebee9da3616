"""A Raspberry Pi has no clock of its own: it starts in the past, and its time jumps when the network comes."""

import time
from pathlib import Path

import pytest

from tagline import times
from tagline.accounts import tokens
from tests.house import PASSWORD, House, behind_its_back, running

SECRET = "a secret of no less than thirty-two bytes"
HOUR = 3600 * 1_000_000


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that was just switched on: it is 1970, and stays so until the network sets its clock."""
    monkeypatch.setattr(time, "time_ns", lambda: time.monotonic_ns() % 10**12)
    monkeypatch.setattr(times, "_floor", times.RELEASED)
    monkeypatch.setattr(times, "_floor_set_at", time.monotonic_ns())
    return monkeypatch


def test_time_goes_on_from_the_newest_change_on_record(board: pytest.MonkeyPatch) -> None:
    newest = times.RELEASED + 1000 * HOUR
    times.set_floor(newest)
    first, second = times.now(), times.now()
    assert newest <= first <= second < newest + HOUR


def test_without_any_record_it_is_at_least_the_day_of_the_release(board: pytest.MonkeyPatch) -> None:
    times.set_floor(0)
    assert times.RELEASED <= times.now() < times.RELEASED + HOUR


def test_a_clock_that_is_set_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "_floor", times.RELEASED)
    at = times.RELEASED + 50 * HOUR
    monkeypatch.setattr(time, "time_ns", lambda: at * 1000)
    times.set_floor(at + HOUR)
    assert times.now() == at


def test_a_token_of_the_time_before_the_clock_was_set_ends_then(board: pytest.MonkeyPatch) -> None:
    times.set_floor(times.RELEASED + HOUR)
    token = tokens.access_token(SECRET, "u", None, "owner", "s")
    assert tokens.read_access_token(SECRET, token) is not None
    later = (times.RELEASED + 100 * HOUR) * 1000
    board.setattr(time, "time_ns", lambda: later)
    assert tokens.read_access_token(SECRET, token) is None


async def test_a_board_without_a_clock_lets_people_in_and_keeps_them_signed_in(
    tmp_path: Path, board: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as house:
        assert (await house.ana.get("/photos")).status == 200
        pair = (await house.eve.post("/login", {"password": PASSWORD})).json
        last = newest(house)
        assert last >= times.RELEASED
    # Switched off and on again: it is 1970 once more, but nothing that was written lies in the future.
    board.setattr(times, "_floor", times.RELEASED)
    async with running(tmp_path) as house:
        assert times.now() >= last
        answer = await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})
        assert answer.status == 200
        # The network sets the clock, some weeks on: the refresh token holds, as it would have.
        set_to = (last + 20 * 24 * HOUR) * 1000
        board.setattr(time, "time_ns", lambda: set_to)
        answer = await house.eve.post("/refresh", {"refresh_token": answer.json["refresh_token"]})
        assert answer.status == 200
        assert (await house.bearer(answer.json["access_token"]).get("/photos")).status == 200


async def test_a_clock_that_steps_back_signs_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that keeps its time in a file starts again when that was last written, some of an hour ago."""
    async with running(tmp_path) as house:
        pair = (await house.eve.post("/login", {"password": PASSWORD})).json
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() - 40 * 60 * 10**9)
    async with running(tmp_path) as house:
        assert (await house.bearer(pair["access_token"]).get("/photos")).status == 200
        renewed = await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})
        assert renewed.status == 200
        assert (await house.bearer(renewed.json["access_token"]).get("/photos")).status == 200
        # Its session's end is still the end of it.
        assert (await house.bearer(renewed.json["access_token"]).post("/logout")).status == 200
        for each in (pair, renewed.json):
            assert (await house.bearer(each["access_token"]).get("/photos")).status == 401


async def test_what_a_clock_gave_that_said_2099_is_worth_nothing_when_it_is_right_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right() + 73 * 365 * 24 * 3600 * 10**9)
    pair = (await house.eve.post("/login", {"password": PASSWORD})).json
    tablet = house.bearer(pair["access_token"])
    assert (await tablet.get("/photos")).status == 200
    monkeypatch.setattr(time, "time_ns", right)
    # Though the service knew it a moment ago.
    assert (await tablet.get("/photos")).status == 401
    assert (await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})).status == 401


def newest(house: House) -> int:
    [(at,)] = behind_its_back(house, "select max(at) from changes")
    return int(at)
