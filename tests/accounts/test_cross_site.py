"""The cookie: a browser sends it unasked, so what it may do depends on whose page asks."""

import pytest

from tests.house import Client, House

OWN: list[dict[str, str]] = [{"Origin": "{base}"}, {"Sec-Fetch-Site": "same-origin"}]
FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "http://evil.example"},
    {"Origin": "{base}.evil.example"},
    {"Origin": "http://evil.example?{base}"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Origin": "file://"},
    {"Origin": "chrome-extension://{host}"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "none"},
    {"Referer": "{base}/"},
]


def browser(house: House, headers: dict[str, str]) -> Client:
    token = house.ana.headers["Authorization"].removeprefix("Bearer ")
    host = house.base.removeprefix("http://")
    sent = {name: value.format(base=house.base, host=host) for name, value in headers.items()}
    return house.client(Cookie=f"tagline_access_token={token}", **sent)


@pytest.mark.parametrize("headers", OWN, ids=str)
async def test_our_own_pages_may_change_things(house: House, headers: dict[str, str]) -> None:
    assert (await browser(house, headers).patch("/api/auth/profile", {"name": "Ana"})).status == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_other_pages_may_not_change_anything(house: House, headers: dict[str, str]) -> None:
    answer = await browser(house, headers).patch("/api/auth/profile", {"name": "Eve"})
    assert answer.status == 403
    assert answer.json["code"] == "cross_site"
    assert (await house.ana.get("/api/auth/profile")).json["name"] == ""


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_reading_is_no_change_so_that_images_work_everywhere(house: House, headers: dict[str, str]) -> None:
    assert (await browser(house, headers).get("/photos")).status == 200


async def test_a_header_needs_no_origin_since_no_browser_sends_it_unasked(house: House) -> None:
    ana = house.client(**house.ana.headers, Origin="http://app.example")
    assert (await ana.patch("/api/auth/profile", {"name": "Ana"})).status == 200


async def test_the_cookie_of_a_stranger_opens_nothing(house: House) -> None:
    assert (await house.client(Cookie="tagline_access_token=x", Origin=house.base).get("/photos")).status == 401
    assert (await house.client(Cookie="tagline_access_token=").get("/photos")).status == 401
