"""The pages in a real browser that has no other network than this server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Request, async_playwright

from tagline.accounts.firstrun import FIRST_RUN
from tests.house import House, running

pytestmark = pytest.mark.slow

NEW = "a long household password"


class Seen:
    """What a page said on its console, and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"fault: {error}"))
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.asked.append(request.url)

    def outside(self, house: House) -> list[str]:
        """Addresses that are neither this server's nor in the page itself."""
        return [url for url in self.asked if not url.startswith((f"{house.base}/", "data:", "blob:"))]

    def faults(self) -> list[str]:
        return [line for line in self.said if line.startswith(("error", "warning", "fault"))]


@asynccontextmanager
async def page(**options: Any) -> AsyncIterator[tuple[Page, Seen]]:
    """A new browser with one page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            opened = await browser.new_page(**options)
            yield opened, Seen(opened)
        finally:
            await browser.close()


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[House]:
    """A house in which no password has been chosen yet."""
    async with running(tmp_path, BACKEND_PASSWORD="") as house:
        yield house


async def test_the_api_can_be_read_and_tried_without_the_internet(house: House) -> None:
    async with page() as (browser, seen):
        await browser.goto(f"{house.base}/api/docs")
        await browser.wait_for_selector(".opblock")
        assert await browser.locator(".opblock").count() > 30
        assert "Tagline" in await browser.locator(".info .title").inner_text()
        # Tried out for real: this server answers.
        operation = browser.locator("#operations-health-get_live")
        await operation.locator(".opblock-summary-control").click()
        await operation.locator(".try-out__btn").click()
        await operation.locator(".execute").click()
        status = operation.locator(".live-responses-table tbody .response-col_status")
        await status.wait_for()
        assert "200" in await status.inner_text()
        assert seen.faults() == []
        assert seen.outside(house) == []


async def test_the_first_page_is_quiet_and_stays_at_home(house: House) -> None:
    async with page() as (browser, seen):
        await browser.goto(f"{house.base}/")
        assert await browser.title()
        assert seen.faults() == []
        assert seen.outside(house) == []


async def test_the_set_up_link_leads_to_a_password_and_into_the_house(bare: House) -> None:
    token = bare.app[FIRST_RUN].token
    async with page() as (browser, seen):
        await browser.goto(f"{bare.base}/setup#token={token}")
        assert not await browser.locator("#token-field").is_visible()
        await browser.fill("#password", "short")
        await browser.fill("#repeat", "short")
        await browser.click("#send")
        assert "8 characters" in await browser.locator("#problem").inner_text()
        await browser.fill("#password", NEW)
        await browser.fill("#repeat", "something else")
        await browser.click("#send")
        assert "not the same" in await browser.locator("#problem").inner_text()
        await browser.fill("#repeat", NEW)
        await browser.click("#send")
        await browser.locator("#done").wait_for()
        # The token is gone from the address, and from where `back` leads.
        assert browser.url == f"{bare.base}/setup"
        # Signed in by the cookies, which no script can read.
        names = {cookie["name"]: cookie for cookie in await browser.context.cookies()}
        assert set(names) == {"tagline_access_token", "tagline_refresh_token"}
        assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in names.values())
        assert await browser.evaluate("document.cookie") == ""
        statuses = await browser.evaluate(
            """async () => [
                (await fetch("/api/auth/profile")).status,
                (await fetch("/api/auth/profile", {method: "PATCH", headers: {"Content-Type": "application/json"},
                    body: '{"name": "Ana"}'})).status,
                (await fetch("/refresh", {method: "POST"})).status,
                (await fetch("/logout", {method: "POST"})).status,
            ]"""
        )
        assert statuses == [200, 200, 200, 200]
        assert await browser.context.cookies() == []
        assert seen.faults() == []
        assert seen.outside(bare) == []
        # None of what was asked for carried the token in its address.
        assert not [url for url in seen.asked if token and "#" not in url and token in url]
    assert (await bare.eve.post("/login", {"password": NEW})).status == 200


async def test_a_link_that_is_used_up_says_so(bare: House) -> None:
    token = bare.app[FIRST_RUN].token
    assert (await bare.eve.post("/setup", {"token": token, "password": NEW})).status == 200
    async with page() as (browser, _):
        await browser.goto(f"{bare.base}/setup#token={token}")
        await browser.fill("#password", NEW)
        await browser.fill("#repeat", NEW)
        await browser.click("#send")
        await browser.locator("#problem", has_text="set up already").wait_for()
