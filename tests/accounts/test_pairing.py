"""Pairing: a code on one device, a session of its own on another."""

import asyncio
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline import times
from tagline.accounts import pairing
from tagline.accounts.pairing import PAIRINGS, Pairings
from tagline.addresses import for_others
from tagline.api import Identity
from tagline.errors import Unauthenticated
from tests.house import Answer, Client, House, running
from tests.operations.test_browser import page


async def offered(who: Client) -> str:
    answer = await who.post("/api/auth/pair")
    assert answer.status == 201, answer
    code: str = answer.json["code"]
    return code


async def exchanged(house: House, code: str, name: str = "Ben's phone") -> Answer:
    return await house.eve.post("/api/auth/pair/exchange", {"code": code, "device_name": name})


async def test_a_code_becomes_a_session_of_its_own_that_can_be_ended(house: House) -> None:
    answer = await exchanged(house, await offered(house.ana))
    assert answer.status == 200
    assert answer.json["token_type"] == "bearer"
    assert set(answer.json) == {
        "access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in", "detail",
    }  # fmt: skip
    assert len(answer.headers.getall("Set-Cookie")) == 2
    assert answer.headers["Cache-Control"] == "no-store"
    phone = house.bearer(answer.json["access_token"])
    assert (await phone.get("/photos")).status == 200
    devices = {each["device_name"]: each["id"] for each in (await house.ana.get("/api/auth/sessions")).json["items"]}
    assert set(devices) == {"Ana's phone", "Ben's phone"}
    ended = await house.ana.delete("/api/auth/sessions/" + devices["Ben's phone"])
    assert ended.status == 204
    assert (await phone.get("/photos")).status == 401
    assert (await house.eve.post("/refresh", {"refresh_token": answer.json["refresh_token"]})).status == 401
    assert (await house.ana.get("/photos")).status == 200


async def test_what_is_shown_leads_a_camera_to_this_server(house: House) -> None:
    before = times.now()
    answer = await house.ana.post("/api/auth/pair")
    shown = answer.json
    assert set(shown) == {"code", "url", "qr", "expires_at"}
    assert shown["url"] == f"{house.base}/pair#{shown['code']}"
    assert re.fullmatch(r"[\w-]{22,}", shown["code"])
    assert answer.headers["Cache-Control"] == "no-store"
    ends = times.from_text(shown["expires_at"])[0]
    assert before <= ends - 120 * 1_000_000 <= times.now()
    picture = unquote(shown["qr"])
    assert picture.startswith("data:image/svg+xml")
    assert "<svg" in picture
    assert (await house.eve.get("/pair")).status == 200


@pytest.mark.parametrize(
    ("asked", "listens", "shown"),
    [
        ("localhost:8000", "192.168.1.10", "192.168.1.10:8000"),
        ("127.0.0.1", "192.168.1.10", "192.168.1.10"),
        ("[::1]:8000", "fd00::1", "[fd00::1]:8000"),
        ("localhost:8000", "127.0.0.1", "localhost:8000"),
        ("localhost.example:8000", "0.0.0.0", "localhost.example:8000"),
        ("photos.example", "0.0.0.0", "photos.example"),
    ],
)
def test_a_link_for_a_phone_does_not_lead_to_the_phone_itself(asked: str, listens: str, shown: str) -> None:
    assert for_others(asked, listens) == shown
    assert not for_others("localhost:8000", "0.0.0.0").startswith(("localhost", "127."))


async def test_a_code_is_good_once(house: House) -> None:
    code = await offered(house.ana)
    answers = await asyncio.gather(*(exchanged(house, code) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]
    for answer in answers:
        if answer.status == 401:
            assert answer.json["code"] == "invalid_pairing_code"
            assert "Set-Cookie" not in answer.headers


async def test_a_code_is_good_for_a_while_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pairing.PAIRING_SECONDS == 120
    monkeypatch.setattr(pairing, "PAIRING_SECONDS", 0)
    assert (await exchanged(house, await offered(house.ana))).status == 401


async def test_a_new_code_ends_the_older_one_of_the_same_account_and_no_other(home: House) -> None:
    first, bens = await offered(home.ana), await offered(home.ben)
    second = await offered(home.ana)
    assert (await exchanged(home, first)).status == 401
    assert (await exchanged(home, second)).status == 200
    paired = await exchanged(home, bens)
    me = (await home.bearer(paired.json["access_token"]).get("/api/auth/profile")).json
    assert (me["name"], me["role"]) == ("ben", "user")


async def test_a_code_ends_with_the_session_that_showed_it(house: House) -> None:
    code = await offered(house.ana)
    assert (await house.ana.post("/logout")).status == 200
    assert (await exchanged(house, code)).status == 401


async def test_a_code_ends_with_the_key_that_showed_it(house: House) -> None:
    made = (await house.ana.post("/api/auth/keys", {"name": "kiosk", "scope": "admin"})).json
    code = await offered(house.bearer(made["key"]))
    assert (await house.ana.delete(f"/api/auth/keys/{made['id']}")).status == 204
    assert (await exchanged(house, code)).status == 401


async def test_strangers_and_keys_about_photos_show_no_code(house: House) -> None:
    assert (await house.eve.post("/api/auth/pair")).status == 401
    for scope in ("read", "upload", "write"):
        assert (await (await house.key(scope)).post("/api/auth/pair")).status == 403
    assert (await (await house.key("admin")).post("/api/auth/pair")).status == 201


async def test_a_cookie_from_another_site_shows_no_code(house: House) -> None:
    token = house.ana.headers["Authorization"].removeprefix("Bearer ")
    client = house.client(Cookie=f"tagline_access_token={token}", Origin="https://evil.example")
    assert (await client.post("/api/auth/pair")).status == 403


async def test_a_wrong_method_is_told_the_right_one(house: House) -> None:
    for path in ("/api/auth/pair", "/api/auth/pair/exchange"):
        answer = await house.ana.get(path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"code": "x"}, {"device_name": "x"}, {"code": "x", "device_name": ""}, {"code": "x", "device_name": "  "},
        {"code": "", "device_name": "x"}, {"code": "x" * 201, "device_name": "x"}, {"code": 5, "device_name": "x"},
        {"code": "x", "device_name": "y" * 101}, {"code": "x", "device_name": "y", "more": 1},
    ],
)  # fmt: skip
async def test_an_exchange_needs_a_code_and_a_name(house: House, body: object) -> None:
    answer = await house.eve.post("/api/auth/pair/exchange", body)
    assert (answer.status, answer.json["code"]) == (400, "validation_error")


async def test_guessing_codes_is_slowed_down_and_success_is_not(tmp_path: Path) -> None:
    async with running(tmp_path, TAGLINE_LOGIN_LIMIT="5") as house:
        for _ in range(8):
            assert (await exchanged(house, await offered(house.ana))).status == 200
        statuses = [(await exchanged(house, f"guess {number}")).status for number in range(6)]
        assert statuses == [401] * 5 + [429]
        refused = await exchanged(house, await offered(house.ana))
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) > 0


@given(code=st.text(max_size=60))
def test_no_other_text_is_a_code(code: str) -> None:
    pairings = Pairings()
    offer = pairings.offer(Identity("ana", "owner", "admin", "phone", session_id="s"))
    if code != offer.code:
        with pytest.raises(Unauthenticated):
            pairings.spend(code)
    assert pairings.spend(offer.code) == "ana"


async def test_codes_are_kept_in_memory_only(house: House) -> None:
    code = await offered(house.ana)
    assert code.encode() not in house.config.database.read_bytes()
    assert house.app[PAIRINGS].spend(code)


@pytest.mark.slow
async def test_a_scanned_code_signs_the_browser_in(house: House) -> None:
    link = (await house.ana.post("/api/auth/pair")).json["url"]
    async with page() as (browser, seen):
        await browser.goto(link)
        assert not await browser.locator("#code-field").is_visible()
        await browser.fill("#device", "")
        await browser.click("#send")
        assert "name" in await browser.locator("#problem").inner_text()
        await browser.fill("#device", "Kitchen tablet")
        await browser.click("#send")
        await browser.locator("#done").wait_for()
        assert browser.url == f"{house.base}/pair"
        assert await browser.evaluate("async () => (await fetch('/api/auth/profile')).status") == 200
        await browser.goto(link)
        await browser.fill("#device", "Once more")
        await browser.click("#send")
        await browser.locator("#problem", has_text="not valid any more").wait_for()
        assert seen.outside(house) == []
        code = link.partition("#")[2]
        assert not [url for url in seen.asked if "#" not in url and code in url]
    devices = (await house.ana.get("/api/auth/sessions")).json["items"]
    assert "Kitchen tablet" in {each["device_name"] for each in devices}
