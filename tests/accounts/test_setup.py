"""The first run: a link, told once, lets whoever started the service choose the household's password."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tagline.accounts import passwords, users
from tagline.accounts.firstrun import FIRST_RUN
from tagline.changes import SERVICE
from tests.house import House, running

NEW = "a long household password"


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[House]:
    """A house in which no password has been chosen yet."""
    async with running(tmp_path, BACKEND_PASSWORD="") as house:
        yield house


def token(house: House) -> str:
    made = house.app[FIRST_RUN].token
    assert made is not None
    return made


async def test_before_the_set_up_nobody_signs_in_and_the_answer_says_why(bare: House) -> None:
    answer = await bare.eve.post("/login", {"password": ""})
    assert answer.status == 401
    assert answer.json["code"] == "not_set_up"
    assert "set-up link" in answer.json["detail"]


async def test_the_link_chooses_the_password_and_signs_in(bare: House) -> None:
    answer = await bare.eve.post("/setup", {"token": token(bare), "password": NEW, "device_name": "Ana's phone"})
    assert answer.status == 200
    assert answer.json["detail"] == "Tagline is set up"
    assert len(answer.headers.getall("Set-Cookie")) == 2
    ana = bare.bearer(answer.json["access_token"])
    assert (await ana.get("/api/auth/profile")).json["role"] == "owner"
    assert (await bare.eve.post("/login", {"password": NEW})).status == 200
    assert (await bare.eve.post("/login", {"password": "another password"})).status == 401


async def test_the_link_works_once(bare: House) -> None:
    spent = token(bare)
    assert (await bare.eve.post("/setup", {"token": spent, "password": NEW})).status == 200
    for again in (spent, "", "guess"):
        answer = await bare.eve.post("/api/setup", {"token": again, "password": "somebody else's password"})
        assert answer.status == 410
        assert answer.json["code"] == "already_set_up"
    assert (await bare.eve.post("/login", {"password": NEW})).status == 200


async def test_of_two_who_use_the_link_at_once_one_wins(bare: House) -> None:
    spent = token(bare)
    chosen = ["the first password", "the second password"]
    answers = await asyncio.gather(*(bare.eve.post("/setup", {"token": spent, "password": each}) for each in chosen))
    assert sorted(answer.status for answer in answers) == [200, 410]
    signed_in = [(await bare.eve.post("/login", {"password": each})).status for each in chosen]
    assert sorted(signed_in) == [200, 401]
    # One and the same won both.
    assert [answer.status == 200 for answer in answers] == [status == 200 for status in signed_in]


@pytest.mark.parametrize("guess", ["", "guess", "é", "x" * 10_000])
async def test_a_wrong_link_is_refused(bare: House, guess: str) -> None:
    answer = await bare.eve.post("/setup", {"token": guess, "password": NEW})
    assert answer.status == 403
    assert answer.json["code"] == "invalid_setup_token"
    assert (await bare.eve.post("/setup", {"token": token(bare), "password": NEW})).status == 200


async def test_guessing_the_link_is_limited(bare: House) -> None:
    statuses = [(await bare.eve.post("/setup", {"token": "guess", "password": NEW})).status for _ in range(7)]
    assert statuses == [403] * 5 + [429] * 2


@pytest.mark.parametrize("password", ["short", "password", "x" * 1025, 12345678, None])
async def test_a_password_that_is_refused_does_not_spend_the_link(bare: House, password: Any) -> None:
    answer = await bare.eve.post("/setup", {"token": token(bare), "password": password})
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "password"
    assert (await bare.eve.post("/setup", {"token": token(bare), "password": NEW})).status == 200


async def test_a_password_in_any_script_can_be_chosen(bare: House) -> None:
    password = "Žluťoučký kůň 東京 👩‍👩‍👧"
    assert (await bare.eve.post("/setup", {"token": token(bare), "password": password})).status == 200
    assert (await bare.eve.post("/login", {"password": password})).status == 200


async def test_the_link_is_void_once_the_command_line_has_set_a_password(bare: House) -> None:
    owner = await users.owner(bare.db)
    await bare.db.write(users.set_password, SERVICE, owner["id"], await passwords.hashed(NEW))
    answer = await bare.eve.post("/setup", {"token": token(bare), "password": "the finder's password"})
    assert answer.status == 410
    assert (await bare.eve.post("/login", {"password": NEW})).status == 200


async def test_a_configured_password_needs_no_link(house: House) -> None:
    assert house.app[FIRST_RUN].token is None
    assert (await house.eve.post("/setup", {"token": "x", "password": NEW})).status == 410


async def test_each_start_makes_a_new_link_until_a_password_is_chosen(tmp_path: Path) -> None:
    links = []
    for _ in range(2):
        async with running(tmp_path, BACKEND_PASSWORD="") as house:
            links.append(token(house))
            if len(links) == 2:
                assert (await house.eve.post("/setup", {"token": links[0], "password": NEW})).status == 403
                assert (await house.eve.post("/setup", {"token": links[1], "password": NEW})).status == 200
    assert links[0] != links[1]
    async with running(tmp_path, BACKEND_PASSWORD="") as house:
        assert house.app[FIRST_RUN].token is None
        assert (await house.eve.post("/login", {"password": NEW})).status == 200
