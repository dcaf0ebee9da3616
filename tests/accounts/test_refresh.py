"""Refresh tokens: each works once, and one that is used twice ends its device's session."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.house import PASSWORD, House, behind_its_back, running


async def signed_in(house: House) -> Any:
    return (await house.eve.post("/login", {"password": PASSWORD, "device_name": "a tablet"})).json


async def refresh(house: House, token: str) -> Any:
    return await house.eve.post("/refresh", {"refresh_token": token})


async def test_a_refresh_gives_another_pair_for_the_same_device(house: House) -> None:
    first = await signed_in(house)
    answer = await refresh(house, first["refresh_token"])
    assert answer.status == 200
    assert answer.json["detail"] == "Token refreshed"
    assert answer.json["refresh_token"] != first["refresh_token"]
    assert answer.json["access_token"] != first["access_token"]
    devices = (await house.ana.get("/api/auth/sessions")).json["items"]
    assert sorted(device["device_name"] for device in devices) == ["Ana's phone", "a tablet"]


async def test_a_chain_of_refreshes_goes_on(house: House) -> None:
    token = (await signed_in(house))["refresh_token"]
    for _ in range(5):
        token = (await refresh(house, token)).json["refresh_token"]
    assert (await refresh(house, token)).status == 200


async def test_a_retry_within_30_seconds_is_forgiven_once(house: House) -> None:
    """The answer got lost on the way: what it carried is void, and the retry's tokens are the ones."""
    first = await signed_in(house)
    lost = (await refresh(house, first["refresh_token"])).json
    retried = await refresh(house, first["refresh_token"])
    assert retried.status == 200
    assert (await refresh(house, lost["refresh_token"])).status == 401
    again = await refresh(house, retried.json["refresh_token"])
    assert again.status == 200
    assert (await house.bearer(again.json["access_token"]).get("/photos")).status == 200


async def test_a_second_retry_ends_the_session_and_all_its_tokens(house: House) -> None:
    first = await signed_in(house)
    await refresh(house, first["refresh_token"])
    newest = (await refresh(house, first["refresh_token"])).json
    answer = await refresh(house, first["refresh_token"])
    assert answer.status == 401
    assert answer.json["detail"] == "Invalid or expired refresh token"
    assert answer.json["code"] == "invalid_refresh_token"
    assert (await refresh(house, newest["refresh_token"])).status == 401
    for pair in (first, newest):
        assert (await house.bearer(pair["access_token"]).get("/photos")).status == 401
    assert (await house.ana.get("/photos")).status == 200


async def test_a_spent_token_used_after_30_seconds_ends_the_session(house: House) -> None:
    first = await signed_in(house)
    second = (await refresh(house, first["refresh_token"])).json
    behind_its_back(house, "update sessions set spent_at = spent_at - 31000000 where spent_at is not null")
    assert (await refresh(house, first["refresh_token"])).status == 401
    assert (await refresh(house, second["refresh_token"])).status == 401
    assert (await house.bearer(second["access_token"]).get("/photos")).status == 401
    feed = behind_its_back(house, "select data from changes where entity = 'session' and action = 'delete'")
    assert feed == [('{"reason":"refresh token reused"}',)]


async def test_of_two_refreshes_at_once_exactly_one_token_stays_good(house: House) -> None:
    first = await signed_in(house)
    answers = await asyncio.gather(*(refresh(house, first["refresh_token"]) for _ in range(2)))
    assert [answer.status for answer in answers] == [200, 200]
    followed = [(await refresh(house, answer.json["refresh_token"])).status for answer in answers]
    assert sorted(followed) == [200, 401]


async def test_an_expired_token_is_refused_and_ends_nothing(house: House) -> None:
    first = await signed_in(house)
    behind_its_back(house, "update sessions set expires_at = 1 where device_name = 'a tablet'")
    assert (await refresh(house, first["refresh_token"])).status == 401
    revoked = "select count(*) from sessions where revoked_at is not null"
    assert behind_its_back(house, revoked) == [(0,)]


async def test_a_token_from_the_future_is_refused(house: House) -> None:
    """It was made while a board's clock was wrong: it must not outlive everybody."""
    first = await signed_in(house)
    year = 365 * 24 * 3600 * 1_000_000
    behind_its_back(house, f"update sessions set issued_at = issued_at + {year}, expires_at = expires_at + {year}")
    assert (await refresh(house, first["refresh_token"])).status == 401


@pytest.mark.parametrize("token", ["", "x", "nobody's token", "é" * 50, "x" * 10_000])
async def test_a_token_that_was_never_given_is_refused(house: House, token: str) -> None:
    answer = await refresh(house, token)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("body", [{"refresh_token": 5}, {"refresh_token": ["a"]}, {"token": "a"}, [], "a"])
async def test_what_is_no_token_is_answered_422(house: House, body: Any) -> None:
    assert (await house.eve.post("/refresh", body)).status == 422


async def test_without_body_and_cookie_nobody_is_refreshed(house: House) -> None:
    assert (await house.eve.post("/refresh")).status == 401
    assert (await house.eve.post("/refresh", {})).status == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "{base}"}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "{base}", "Sec-Fetch-Site": "none"}]
)
async def test_the_cookie_refreshes_where_the_request_comes_from_our_own_pages(
    house: House, headers: dict[str, str]
) -> None:
    first = await signed_in(house)
    sent = {name: value.format(base=house.base) for name, value in headers.items()}
    cookie = {"Cookie": f"tagline_refresh_token={first['refresh_token']}"}
    answer = await house.eve.post("/refresh", headers={**cookie, **sent})
    assert answer.status == 200
    assert "tagline_refresh_token=" in " ".join(answer.headers.getall("Set-Cookie"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "{base}.evil.example"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_the_cookie_does_not_refresh_for_another_site(house: House, headers: dict[str, str]) -> None:
    first = await signed_in(house)
    sent = {name: value.format(base=house.base) for name, value in headers.items()}
    cookie = {"Cookie": f"tagline_refresh_token={first['refresh_token']}"}
    answer = await house.eve.post("/refresh", headers={**cookie, **sent})
    assert answer.status == 403
    assert answer.json["code"] == "cross_site"
    # The token is unspent: it still works from where it belongs.
    assert (await refresh(house, first["refresh_token"])).status == 200


async def test_guessing_refresh_tokens_counts_as_anonymous_use(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_ANONYMOUS_LIMIT="3") as house:
        answers = [await refresh(house, "a guess") for _ in range(4)]
        assert [answer.status for answer in answers] == [401, 401, 401, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[3].headers["Retry-After"]
