"""Signing in with the household's password."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tagline.accounts import passwords
from tests.house import PASSWORD, House, running


async def test_the_right_password_gives_a_pair_of_tokens_and_both_cookies(house: House) -> None:
    answer = await house.eve.post("/login", {"password": PASSWORD, "device_name": "Ana's tablet"})
    assert answer.status == 200
    body = answer.json
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 15 * 60
    assert body["refresh_expires_in"] == 30 * 24 * 3600
    assert body["detail"] == "Login successful"
    assert answer.headers["Cache-Control"] == "no-store"
    cookies = {cookie.partition("=")[0]: cookie for cookie in answer.headers.getall("Set-Cookie")}
    for name, value in (("tagline_access_token", "access_token"), ("tagline_refresh_token", "refresh_token")):
        assert cookies[name].startswith(f"{name}={body[value]};")
        assert "HttpOnly" in cookies[name]
        assert "SameSite=Lax" in cookies[name]
        # Plain HTTP in the house: a cookie that only travels over TLS would never come back.
        assert "Secure" not in cookies[name]
    assert (await house.bearer(body["access_token"]).get("/photos")).status == 200


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
async def test_a_wrong_password_is_refused_wherever_the_route_is_mounted(house: House, prefix: str) -> None:
    answer = await house.eve.post(f"{prefix}/login", {"password": "not this one"})
    assert answer.status == 401
    assert answer.json["detail"] == answer.json["error"] == answer.json["message"] == "Invalid credentials"
    assert answer.json["code"] == "invalid_credentials"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "password"),
        ({"password": None}, "password"),
        ({"password": 12345678}, "password"),
        ({"password": [PASSWORD]}, "password"),
        ({"password": PASSWORD, "device_name": 7}, "device_name"),
        ({"password": PASSWORD, "device_name": "x" * 101}, "device_name"),
        ({"password": PASSWORD, "username": "ana"}, "username"),
        ([PASSWORD], ""),
        ("password", ""),
    ],
)
async def test_what_is_no_password_is_answered_422_and_names_the_field(house: House, body: Any, field: str) -> None:
    answer = await house.eve.post("/login", body)
    assert answer.status == 422
    assert answer.json["code"] == "validation_error"
    assert [error["field"] for error in answer.json["errors"]] == [field]


async def test_an_empty_or_endless_password_is_a_wrong_one(house: House) -> None:
    for wrong in ("", " ", PASSWORD + " ", PASSWORD.upper(), "x" * 100_000):
        assert (await house.eve.post("/login", {"password": wrong})).status == 401
    assert len(PASSWORD) > passwords.MIN_LENGTH


async def test_after_five_wrong_ones_even_the_right_one_has_to_wait(house: House) -> None:
    for _ in range(5):
        assert (await house.eve.post("/login", {"password": "wrong"})).status == 401
    answer = await house.eve.post("/login", {"password": PASSWORD})
    assert answer.status == 429
    assert answer.json["code"] == "too_many_requests"
    # One more try every three minutes.
    assert 0 < int(answer.headers["Retry-After"]) <= 180
    assert answer.headers["RateLimit-Limit"] == "5"
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert int(answer.headers["RateLimit-Reset"]) > 180


async def test_only_failures_count(house: House) -> None:
    for _ in range(8):
        assert (await house.eve.post("/login", {"password": PASSWORD})).status == 200
    for _ in range(4):
        assert (await house.eve.post("/login", {"password": "wrong"})).status == 401
    assert (await house.eve.post("/login", {"password": PASSWORD})).status == 200


async def test_guessing_in_parallel_gains_nothing(house: House) -> None:
    answers = await asyncio.gather(*(house.eve.post("/login", {"password": f"guess {n}"}) for n in range(12)))
    assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 7


async def test_what_cannot_be_a_sign_in_does_not_count(house: House) -> None:
    for _ in range(6):
        assert (await house.eve.post("/login", {"password": 1})).status == 422
    assert (await house.eve.post("/login", {"password": PASSWORD})).status == 200


async def test_the_limit_of_sign_ins_can_be_set(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_LOGIN_LIMIT="2") as house:
        statuses = [(await house.eve.post("/login", {"password": "wrong"})).status for _ in range(3)]
        assert statuses == [401, 401, 429]


async def test_a_password_in_any_script_works(tmp_path: Path) -> None:
    password = "Žluťoučký kůň 東京 👩‍👩‍👧"
    async with running(tmp_path, BACKEND_PASSWORD=password) as house:
        assert (await house.eve.post("/login", {"password": password})).status == 200
        assert (await house.eve.post("/login", {"password": password[:-1]})).status == 401


async def test_the_device_is_called_as_it_says_or_by_its_browser(house: House) -> None:
    await house.eve.post("/login", {"password": PASSWORD, "device_name": "  Ben's laptop  "})
    await house.eve.post("/login", {"password": PASSWORD}, headers={"User-Agent": "Firefox/150"})
    names = [device["device_name"] for device in (await house.ana.get("/api/auth/sessions")).json["items"]]
    assert sorted(names) == ["Ana's phone", "Ben's laptop", "Firefox/150"]


async def test_signing_in_with_get_is_answered_405_with_what_is_allowed(house: House) -> None:
    answer = await house.eve.get("/login")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
