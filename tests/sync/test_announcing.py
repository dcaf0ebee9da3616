"""The announcement, heard by zeroconf's own browser over this machine's loopback."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from tagline import __version__
from tagline.app import create_app
from tagline.sync import announcing
from tagline.sync.announcing import ANNOUNCER, SERVICE, Announcer
from tests.house import House, config, until
from tests.robustness.service import start

pytestmark = pytest.mark.slow


class Browser:
    """What is heard in the network."""

    def __init__(self, zeroconf: AsyncZeroconf) -> None:
        self._zeroconf = zeroconf
        self.heard: asyncio.Queue[tuple[str, ServiceStateChange]] = asyncio.Queue()

    def note(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        self.heard.put_nowait((name, state_change))

    async def here(self, port: int, installation: str | None = None) -> AsyncServiceInfo:
        """Wait until the server at a port is there, the one with this id. Others may come and go meanwhile."""
        async with asyncio.timeout(20):
            while True:
                name, change = await self.heard.get()
                if change is ServiceStateChange.Removed:
                    continue
                info = AsyncServiceInfo(SERVICE, name)
                await info.async_request(self._zeroconf.zeroconf, 5000)
                if info.port == port and installation in (None, info.decoded_properties.get("id")):
                    return info

    async def gone(self, name: str) -> None:
        """Wait until a server has left."""
        async with asyncio.timeout(20):
            while await self.heard.get() != (name, ServiceStateChange.Removed):
                pass


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    zeroconf = AsyncZeroconf(interfaces=["127.0.0.1"])
    browser = Browser(zeroconf)
    searching = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[browser.note])
    try:
        yield browser
    finally:
        await searching.async_cancel()
        await zeroconf.async_close()


@pytest.fixture
async def announcer(house: House) -> AsyncIterator[Announcer]:
    announcer = Announcer(house.db, "127.0.0.1")
    yield announcer
    await announcer.end()


async def test_a_phone_finds_the_server_and_hears_it_leave(house: House, announcer: Announcer) -> None:
    installation = await announcing.installation_id(house.db)
    async with browsing() as browser:
        announcer.begin(8123)
        info = await browser.here(8123, installation)
        assert info.parsed_addresses() == ["127.0.0.1"]
        assert info.decoded_properties == {"version": __version__, "path": "/", "id": installation, "tls": "0"}
        assert re.fullmatch(r"Tagline on .+\._tagline\._tcp\.local\.", info.name)
        assert info.server == f"tagline-{installation[:8]}.local."
        await announcer.end()
        await browser.gone(info.name)


async def test_the_installation_keeps_its_id(house: House) -> None:
    known = await asyncio.gather(*(announcing.installation_id(house.db) for _ in range(3)))
    assert len(set(known)) == 1
    assert await announcing.installation_id(house.db) == known[0]


async def test_two_servers_on_a_machine_have_two_names(house: House, announcer: Announcer, tmp_path: Path) -> None:
    installation = await announcing.installation_id(house.db)
    second = Announcer(house.db, "127.0.0.1")
    async with browsing() as browser:
        announcer.begin(8123)
        first = await browser.here(8123, installation)
        second.begin(8124)
        try:
            other = await browser.here(8124, installation)
        finally:
            await second.end()
        assert first.name != other.name


async def test_addresses_are_followed(house: House, announcer: Announcer, monkeypatch: pytest.MonkeyPatch) -> None:
    here = ["127.0.0.1"]
    monkeypatch.setattr(announcing, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(announcing, "addresses", lambda host: list(here))
    installation = await announcing.installation_id(house.db)
    async with browsing() as browser:
        announcer.begin(8123)
        info = await browser.here(8123, installation)
        here[:] = ["127.0.0.1", "192.0.2.77"]

        async def followed() -> bool:
            await info.async_request(browser._zeroconf.zeroconf, 3000)
            return sorted(info.parsed_addresses()) == here

        await until(followed)


async def test_without_a_network_it_is_said_once_and_tried_again(
    house: House, announcer: Announcer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = 0

    def nowhere(host: str) -> list[str]:
        nonlocal tried
        tried += 1
        return ["127.0.0.1"] if tried > 5 else []

    monkeypatch.setattr(announcing, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(announcing, "addresses", nowhere)
    installation = await announcing.installation_id(house.db)
    async with browsing() as browser:
        announcer.begin(8123)
        await browser.here(8123, installation)
    said = [record.getMessage() for record in caplog.records if record.name == "tagline.sync.announcing"]
    assert [line for line in said if "cannot be announced" in line] == [
        "the server cannot be announced by mDNS now: this machine has no address in a network"
    ]


@pytest.mark.parametrize(
    ("environ", "announced"),
    [
        ({"HOST": "0.0.0.0"}, True), ({"HOST": "::"}, True), ({"HOST": "192.0.2.7"}, True),
        ({"HOST": "127.0.0.1"}, False), ({"HOST": "::1"}, False), ({"HOST": "localhost"}, False),
        ({"HOST": "0.0.0.0", "TAGLINE_ANNOUNCE": "off"}, False),
        ({"HOST": "0.0.0.0", "TAGLINE_MODULES": "accounts,photos,operations"}, False),
    ],
    ids=range(8),
)  # fmt: skip
async def test_only_what_others_can_reach_is_announced(
    tmp_path: Path, environ: dict[str, str], announced: bool
) -> None:
    app = create_app(config(tmp_path, **{"TAGLINE_ANNOUNCE": "on", **environ}))
    assert (announcing._announcer in app.cleanup_ctx) == announced
    announcing.begin(app, 8000)
    assert ANNOUNCER not in app


def test_this_machine_has_no_loopback_address_for_others() -> None:
    for host in ("0.0.0.0", "::", ""):
        assert not {"127.0.0.1", "::1"} & set(announcing.addresses(host))
    assert announcing.addresses("192.0.2.7") == ["192.0.2.7"]


async def test_the_service_announces_the_port_that_it_got(tmp_path: Path) -> None:
    async with browsing() as browser:
        service = await start(tmp_path, HOST="0.0.0.0", TAGLINE_ANNOUNCE="on")
        try:
            host, _, port = service.address.removeprefix("http://").rpartition(":")
            found = await browser.here(int(port))
            assert host in found.parsed_addresses()
            assert await service.stop() == 0
            await browser.gone(found.name)
        finally:
            await service.kill()
