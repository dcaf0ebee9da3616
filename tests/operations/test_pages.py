"""The pages that come with the service, and the files that they are made of."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from yarl import URL

from tagline.operations.routes import PAGE_POLICY, WEB
from tests.house import Answer, House

FILES = sorted(
    str(path.relative_to(Path(str(WEB)))) for path in Path(str(WEB)).rglob("*") if path.is_file() and path.suffix
)


@pytest.mark.parametrize(
    ("path", "text"),
    [("/", "Tagline"), ("/setup", "Choose the household"), ("/pair", "Pair this device"), ("/api/docs", "swagger")],
)
async def test_a_page_is_html_that_runs_only_our_own_scripts(house: House, path: str, text: str) -> None:
    answer = await house.eve.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
    assert answer.headers["Cache-Control"] == "no-cache"
    assert text in answer.body.decode()
    assert (await house.eve.get(f"{path}?token=x")).status == 200
    assert "unsafe" not in PAGE_POLICY


@pytest.mark.parametrize("name", FILES)
async def test_every_file_of_the_web_app_is_served_as_what_it_is(house: House, name: str) -> None:
    answer = await house.eve.get(f"/static/{name}")
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(kinds.get(Path(name).suffix, "text/plain"))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body == (Path(str(WEB)) / name).read_bytes()


async def test_a_file_that_the_browser_has_is_not_sent_again(house: House) -> None:
    etag = (await house.eve.get("/static/site.css")).headers["ETag"]
    again = await house.eve.get("/static/site.css", headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == etag
    assert (await house.eve.get("/static/site.css", headers={"If-None-Match": '"other"'})).status == 200
    assert (await house.eve.get("/static/docs.css")).headers["ETag"] != etag


async def test_the_icon_is_where_browsers_have_always_looked(house: House) -> None:
    answer = await house.eve.get("/favicon.ico")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml")


OUTSIDE = [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/%2e%2e%2fdb.py",
    "/static/..%5capp.py",
    "/static/vendor/../../app.py", "/static/vendor/..%2f..%2fapp.py", "/static//etc/passwd",
    "/static/%2fetc%2fpasswd.txt",
    "/static/./site.css", "/static/vendor//x.js", "/static/site.css%00", "/static/site.css%00.js", "/static/%00.css",
    "/static/site.css/", "/static/site.css/x.css", "/static/vendor", "/static/vendor/", "/static/", "/static",
    "/static/none.css", "/static/SITE.CSS", "/static/" + "a" * 300 + ".css", "/static/" + "a/" * 500 + "b.css",
    "/static/vendor/swagger-ui/VERSION", "/static/%ff.css", "/static/..;/app.py", "/static/....//app.py",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:40])
async def test_nothing_else_is_served(house: House, path: str) -> None:
    """The address goes out as it stands here: a client that tidies it up would hide what a hostile one sends."""
    answer = await raw(house, path)
    assert answer.status == 404
    assert answer.json["code"] == "not_found"


async def raw(house: House, path: str) -> Answer:
    async with ClientSession() as session, session.get(URL(house.base + path, encoded=True)) as got:
        return Answer(got.status, got.headers.copy(), await got.read())


async def test_pages_are_for_reading(house: House) -> None:
    for path in ("/", "/api/docs", "/static/site.css"):
        answer = await house.eve.post(path, {})
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"


async def test_the_documents_page_shows_the_document_of_this_server(house: House) -> None:
    page = (await house.eve.get("/api/docs")).body.decode()
    addresses: list[Any] = re.findall(r'(?:src|href)="([^"]+)"', page)
    for address in addresses:
        assert (await house.eve.get(address)).status == 200, address
