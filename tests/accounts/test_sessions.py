"""Signing out, the list of devices, and ending one of them."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

from tagline.accounts.credentials import CREDENTIALS
from tagline.changes import Change
from tests.house import PASSWORD, House, behind_its_back, running


async def signed_in(house: House, name: str = "a tablet") -> Any:
    return (await house.eve.post("/login", {"password": PASSWORD, "device_name": name})).json


async def test_signing_out_ends_the_access_token_at_once_and_clears_the_cookies(house: House) -> None:
    pair = await signed_in(house)
    tablet = house.bearer(pair["access_token"])
    assert (await tablet.get("/photos")).status == 200
    answer = await tablet.post("/logout")
    assert (answer.status, answer.json) == (200, {"detail": "Logged out"})
    cookies = answer.headers.getall("Set-Cookie")
    assert sorted(cookie.partition("=")[0] for cookie in cookies) == ["tagline_access_token", "tagline_refresh_token"]
    assert all("Max-Age=0" in cookie for cookie in cookies)
    assert (await tablet.get("/photos")).status == 401
    assert (await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})).status == 401
    assert (await house.ana.get("/photos")).status == 200


async def test_signing_out_twice_says_that_nobody_is_signed_in(house: House) -> None:
    tablet = house.bearer((await signed_in(house))["access_token"])
    assert (await tablet.post("/logout")).status == 200
    assert (await tablet.post("/logout")).status == 401


async def test_a_refresh_token_signs_its_device_out_when_the_access_token_has_ended(house: House) -> None:
    pair = await signed_in(house)
    assert (await house.eve.post("/logout", {"refresh_token": pair["refresh_token"]})).status == 200
    assert (await house.bearer(pair["access_token"]).get("/photos")).status == 401


async def test_even_a_spent_refresh_token_signs_its_device_out(house: House) -> None:
    pair = await signed_in(house)
    newer = (await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})).json
    assert (await house.eve.post("/logout", {"refresh_token": pair["refresh_token"]})).status == 200
    assert (await house.bearer(newer["access_token"]).get("/photos")).status == 401


async def test_nobody_cannot_sign_out(house: House) -> None:
    answer = await house.eve.post("/logout")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_cannot_sign_out_since_it_is_not_signed_in(house: House) -> None:
    key = await house.key("read")
    assert (await key.post("/logout")).status == 403
    assert (await key.get("/photos")).status == 200


async def test_another_site_cannot_sign_a_browser_out(house: House) -> None:
    pair = await signed_in(house)
    for name, value in (("tagline_access_token", "access_token"), ("tagline_refresh_token", "refresh_token")):
        browser = house.client(Cookie=f"{name}={pair[value]}", Origin="http://evil.example")
        assert (await browser.post("/logout")).status == 403
    browser = house.client(Cookie=f"tagline_access_token={pair['access_token']}", Origin=house.base)
    assert (await browser.post("/logout")).status == 200


async def test_the_list_shows_each_device_once_with_the_one_that_asks_marked(house: House) -> None:
    pair = await signed_in(house)
    pair = (await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})).json
    tablet = house.client(Authorization=f"Bearer {pair['access_token']}")
    listed = (await tablet.get("/api/auth/sessions")).json
    assert listed["total"] == len(listed["items"]) == 2
    by_name = {device["device_name"]: device for device in listed["items"]}
    assert [by_name[name]["current"] for name in ("a tablet", "Ana's phone")] == [True, False]
    assert by_name["a tablet"]["address"] == "127.0.0.1"
    assert (
        by_name["a tablet"]["signed_in_at"] <= by_name["a tablet"]["last_used_at"] < by_name["a tablet"]["expires_at"]
    )


async def test_a_device_that_is_signed_out_from_another_loses_its_token_at_once(house: House) -> None:
    pair = await signed_in(house)
    tablet = house.bearer(pair["access_token"])
    assert (await tablet.get("/photos")).status == 200
    devices = (await house.ana.get("/api/auth/sessions")).json["items"]
    [lost] = [device["id"] for device in devices if device["device_name"] == "a tablet"]
    answer = await house.ana.delete(f"/api/auth/sessions/{lost}")
    assert (answer.status, answer.body) == (204, b"")
    assert (await tablet.get("/photos")).status == 401
    assert (await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})).status == 401
    assert (await house.ana.get("/api/auth/sessions")).json["total"] == 1
    # The repeat: a retry after a lost answer is no error.
    assert (await house.ana.delete(f"/api/auth/sessions/{lost}")).status == 204


async def test_a_token_that_is_looked_up_while_its_device_is_signed_out_is_not_remembered(house: House) -> None:
    """The lookup has read that the session lives, and the news of its end comes before the lookup's result does."""
    token = (await signed_in(house))["access_token"]
    [(family,)] = behind_its_back(house, "select family_id from sessions where device_name = 'a tablet'")
    credentials = house.app[CREDENTIALS]
    looking = asyncio.create_task(credentials.identify(token))
    await asyncio.sleep(0)
    assert not looking.done()
    credentials.forget([Change(1, "session", family, "delete", 1)])
    assert await looking is not None
    behind_its_back(house, "update sessions set revoked_at = 1 where family_id = ?", family)
    assert await credentials.identify(token) is None


async def test_requests_in_flight_when_their_device_is_signed_out_are_the_last(house: House) -> None:
    for _ in range(5):
        tablet = house.bearer((await signed_in(house))["access_token"])
        await asyncio.gather(*(tablet.get("/albums") for _ in range(6)), tablet.post("/logout"))
        assert (await tablet.get("/albums")).status == 401


async def test_somebody_elses_device_is_not_there(home: House) -> None:
    [phone] = (await home.ana.get("/api/auth/sessions")).json["items"]
    answer = await home.ben.delete(f"/api/auth/sessions/{phone['id']}")
    assert answer.status == 404
    assert answer.json["detail"] == "Session not found"
    assert (await home.ana.get("/photos")).status == 200
    assert [device["device_name"] for device in (await home.ben.get("/api/auth/sessions")).json["items"]] == [
        "ben's phone"
    ]


async def test_an_unknown_device_is_404_and_a_malformed_id_400(house: House) -> None:
    assert (await house.ana.delete(f"/api/auth/sessions/{uuid.uuid4()}")).status == 404
    assert (await house.ana.delete("/api/auth/sessions/mine")).status == 400


async def test_devices_that_ran_out_are_forgotten(house: House) -> None:
    await signed_in(house)
    behind_its_back(house, "update sessions set expires_at = 1 where device_name = 'a tablet'")
    assert (await house.ana.get("/api/auth/sessions")).json["total"] == 1
    await signed_in(house, "another")
    assert behind_its_back(house, "select device_name from sessions where device_name = 'a tablet'") == []


async def test_every_sign_in_and_out_is_in_the_change_feed(house: House) -> None:
    tablet = house.bearer((await signed_in(house))["access_token"])
    await tablet.post("/logout")
    feed = behind_its_back(house, "select action, device from changes where entity = 'session' order by seq")
    assert feed == [("create", "Ana's phone"), ("create", "a tablet"), ("delete", "a tablet")]


async def test_a_new_configured_password_signs_every_device_out_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        ana = house.ana.headers
        pair = await signed_in(house)
        assert PASSWORD not in str(behind_its_back(house, "select * from settings"))
    async with running(tmp_path) as house:
        assert (await house.client(**ana).get("/photos")).status == 200
    # A scan on the command line may be started without it, which says nothing.
    async with running(tmp_path, BACKEND_PASSWORD="") as house:
        assert (await house.client(**ana).get("/photos")).status == 200
    async with running(tmp_path, BACKEND_PASSWORD="another household password") as house:
        assert (await house.client(**ana).get("/photos")).status == 401
        assert (await house.eve.post("/refresh", {"refresh_token": pair["refresh_token"]})).status == 401
        feed = behind_its_back(house, "select data from changes where entity = 'user' and action = 'update'")
        assert feed == [('{"password":"changed"}',)]
