"""The announcement: `_tagline._tcp` by mDNS and DNS-SD (RFC 6762, RFC 6763), so that phones find the server at home."""

import asyncio
import importlib
import ipaddress
import logging
import socket
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from aiohttp import web

from tagline import __version__
from tagline.config import CONFIG, Config
from tagline.db import DB, Database, Tx
from tagline.errors import Problem

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

log = logging.getLogger(__name__)

SERVICE = "_tagline._tcp.local."
# How often to look whether this machine's addresses have changed, or whether it works by now, s.
LOOK_EVERY = 60.0
INSTALLATION = "installation"
# Of the 63 bytes that a name may have.
MOST_NAME = 40


class Announcer:
    """Tells the local network where the service is, from `begin` until `end`. Nothing waits for it."""

    def __init__(self, db: Database, host: str) -> None:
        self._db = db
        self._host = host
        self._task: asyncio.Task[None] | None = None
        self._zeroconf: AsyncZeroconf | None = None
        self._told: AsyncServiceInfo | None = None

    def begin(self, port: int) -> None:
        """Announce the port that is listened on, in the background."""
        self._task = asyncio.create_task(self._announce(port))

    async def end(self) -> None:
        """Take the announcement back."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._close()

    async def _announce(self, port: int) -> None:
        await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        # 10 ms of import, in a thread, and where nothing is announced not at all.
        from zeroconf import Error

        failing = False
        while True:
            try:
                await self._refresh(port)
                failing = False
            except (OSError, Error, Problem) as error:
                if not failing:
                    log.warning("the server cannot be announced by mDNS now: %s", str(error) or type(error).__name__)
                failing = True
                await self._close()
            await asyncio.sleep(LOOK_EVERY)

    async def _refresh(self, port: int) -> None:
        """Announce what has changed since the last look, at first everything."""
        here = await asyncio.to_thread(addresses, self._host)
        if not here:
            raise OSError("this machine has no address in a network")
        if self._told is None:
            self._told = await self._first(port, here)
            log.info("announced as %s", self._told.name.removesuffix(f".{SERVICE}"))
        elif sorted(self._told.parsed_addresses()) != here:
            assert self._zeroconf is not None
            await self._zeroconf.async_update_interfaces()
            self._told.addresses = [socket.inet_pton(family(each), each) for each in here]
            await (await self._zeroconf.async_update_service(self._told))

    async def _first(self, port: int, here: list[str]) -> "AsyncServiceInfo":
        installation = await installation_id(self._db)
        # It logs every packet that cannot be sent; we say once what that means.
        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)
        # Loaded already, by `_announce`.
        from zeroconf import IPVersion
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

        versions = {family(each) for each in here}
        version = IPVersion.All if len(versions) > 1 else IPVersion.V4Only
        if versions == {socket.AF_INET6}:
            version = IPVersion.V6Only
        if everywhere(self._host):
            self._zeroconf = AsyncZeroconf(ip_version=version)
        else:
            self._zeroconf = AsyncZeroconf(interfaces=here, ip_version=version)
        machine = socket.gethostname().partition(".")[0].encode()[:MOST_NAME].decode(errors="ignore")
        told = AsyncServiceInfo(
            SERVICE,
            f"Tagline on {machine}.{SERVICE}",
            port=port,
            # A name of our own: the machine's belongs to its own announcer (avahi), which would see a conflict.
            server=f"tagline-{installation[:8]}.local.",
            properties={"version": __version__, "path": "/", "id": installation, "tls": "0"},
            parsed_addresses=here,
        )
        await (await self._zeroconf.async_register_service(told, allow_name_change=True))
        return told

    async def _close(self) -> None:
        zeroconf, self._zeroconf, self._told = self._zeroconf, None, None
        if zeroconf:
            # Good-bye once is enough (RFC 6762 §10.1): the three times of `async_close` take a quarter of a second.
            good_bye = zeroconf.zeroconf.generate_unregister_all_services()
            if good_bye:
                zeroconf.zeroconf.async_send(good_bye)
            await zeroconf.async_close()


async def installation_id(db: Database) -> str:
    """The id of this installation, made when it is first asked for. It stays when the address changes."""
    known = await db.value("library.setting", name=INSTALLATION)
    return str(known or await db.write(_name_installation))


def _name_installation(tx: Tx) -> str:
    known = tx.value("library.setting", name=INSTALLATION)
    if known is None:
        known = str(uuid.uuid4())
        tx.run("library.set", name=INSTALLATION, value=known)
    return str(known)


def addresses(host: str) -> list[str]:
    """The addresses at which others reach a service that listens on `host`, sorted; none of this machine alone."""
    if not everywhere(host):
        return [host]
    # Comes with zeroconf, and is needed when that is.
    import ifaddr

    found = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text)
            served = address.version == (6 if host == "::" else 4) or host == ""
            # Link-local ones of IPv6 mean nothing without an interface.
            if served and not address.is_loopback and not (address.version == 6 and address.is_link_local):
                found.add(text)
    return sorted(found)


def family(address: str) -> socket.AddressFamily:
    """AF_INET or AF_INET6."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def everywhere(host: str) -> bool:
    """Whether that is every address of this machine."""
    return host in ("0.0.0.0", "::", "")


def wanted(config: Config) -> bool:
    """Whether there is anybody to announce it to. A name other than localhost may be any address, and is not told."""
    if not config.announce:
        return False
    try:
        return everywhere(config.host) or not ipaddress.ip_address(config.host).is_loopback
    except ValueError:
        return False


def begin(app: web.Application, port: int) -> None:
    """Announce the service, if that is wanted, now that it listens on `port`."""
    if ANNOUNCER in app:
        app[ANNOUNCER].begin(port)


async def _announcer(app: web.Application) -> AsyncIterator[None]:
    app[ANNOUNCER] = Announcer(app[DB], app[CONFIG].host)
    yield
    await app[ANNOUNCER].end()


def setup(app: web.Application) -> None:
    """Nothing at all where nothing is to be announced."""
    if wanted(app[CONFIG]):
        app.cleanup_ctx.append(_announcer)


ANNOUNCER = web.AppKey("announcer", Announcer)
