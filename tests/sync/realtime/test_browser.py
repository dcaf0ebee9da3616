"""A real browser's EventSource and WebSocket, from our own page and from another site's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.house import PASSWORD, House, running
from tests.operations.test_browser import page
from tests.photos.library import add_photos
from tests.sync.realtime.listening import token_of

pytestmark = pytest.mark.slow

LISTEN = """() => {
  window.told = [];
  const source = new EventSource("/api/sync/events");
  for (const name of ["ready", "reset", "photo_updated"]) {
    source.addEventListener(name, (event) => told.push(["stream", name, event.lastEventId, JSON.parse(event.data)]));
  }
  const socket = new WebSocket(`ws://${location.host}/ws/sync`);
  socket.addEventListener("message", (event) => told.push(["socket", JSON.parse(event.data).type]));
  socket.addEventListener("close", () => told.push(["socket", "closed"]));
  source.addEventListener("error", () => told.push(["stream", "error", source.readyState]));
}"""
# From another origin: no cookie counts, a token does.
FROM_ELSEWHERE = """([base, token]) => new Promise((resolve) => {
  const socket = new WebSocket(`${base.replace("http", "ws")}/ws/sync`);
  socket.onopen = () => token && socket.send(JSON.stringify({type: "auth", token}));
  socket.onmessage = (event) => resolve(JSON.parse(event.data).type);
  socket.onerror = () => resolve("refused");
})"""


async def test_a_page_hears_by_its_cookie_until_it_is_signed_out(house: House) -> None:
    [photo] = await add_photos(house, ["a/1.jpg"])
    async with page() as (browser, _):
        await browser.goto(f"{house.base}/")
        await browser.evaluate(
            """(password) => fetch("/login", {method: "POST", headers: {"Content-Type": "application/json"},
                body: JSON.stringify({password, device_name: "browser"})})""",
            PASSWORD,
        )
        await browser.evaluate(LISTEN)

        async def told(*beginning: Any) -> Any:
            while True:
                for each in await browser.evaluate("told"):
                    if tuple(each[: len(beginning)]) == beginning:
                        return each
                await asyncio.sleep(0.02)

        async with asyncio.timeout(20):
            await told("stream", "ready")
            await told("socket", "ready")
            await house.ana.patch(f"/photos/{photo}/metadata", {"description": "one"})
            assert (await told("socket", "photo_updated"))[1] == "photo_updated"
            heard = await told("stream", "photo_updated")
            assert heard[3]["description"] == "one"
            devices = (await house.ana.get("/api/auth/sessions")).json["items"]
            [mine] = [each["id"] for each in devices if each["device_name"] == "browser"]
            assert (await house.ana.delete(f"/api/auth/sessions/{mine}")).status == 204
            await told("socket", "closed")
            # It asks once more, is refused, and gives up: 2 is CLOSED.
            await told("stream", "error", 2)


async def test_a_page_of_another_site_gets_nowhere_with_the_cookie(house: House, tmp_path: Path) -> None:
    """Same host, another port: the same site for cookies, another origin for us. And its policy lets it try."""
    token = token_of(house.ana)

    def furnish(app: web.Application) -> None:
        async def blank(request: web.Request) -> web.Response:
            return web.Response(text="a page", headers={"Content-Security-Policy": "default-src *"})

        app.router.add_get("/elsewhere", blank)

    async with running(tmp_path / "other", furnish) as other, page() as (browser, _), asyncio.timeout(30):
        cookie: Any = {"name": "tagline_access_token", "value": token, "url": house.base, "sameSite": "Lax"}
        await browser.context.add_cookies([cookie])
        await browser.goto(f"{other.base}/elsewhere")
        assert await browser.evaluate(FROM_ELSEWHERE, [house.base, token]) == "refused"
        await browser.context.clear_cookies()
        assert await browser.evaluate(FROM_ELSEWHERE, [house.base, token]) == "ready"
        assert await browser.evaluate(FROM_ELSEWHERE, [house.base, "wrong"]) == "error"
