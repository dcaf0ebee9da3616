"""The standing cast: ana owns the house, ben lives there, eve is a stranger. And the house itself, really running."""

import asyncio
import sqlite3
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict
from PIL import Image

from tagline.accounts import keys, sessions
from tagline.accounts.sessions import Device
from tagline.api import LINE_LIMIT, Role
from tagline.app import create_app
from tagline.changes import SERVICE
from tagline.config import Config
from tagline.db import DB, Database, Tx
from tagline.jobs import JOBS
from tagline.migrations import migrate
from tagline.storage.memory import MemoryStorage
from tagline.storage.provider import STORAGE

PASSWORD = "the house by the lake"


class Answer(msgspec.Struct):
    """What the service answered."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which has to be JSON."""
        return msgspec.json.decode(self.body)


class Client:
    """Somebody who uses the service over a real socket, with the same headers each time."""

    def __init__(self, session: ClientSession, base: str, headers: Mapping[str, str]) -> None:
        self._session = session
        self.base = base
        self.headers = dict(headers)

    async def ask(self, method: str, path: str, json: Any = None, **options: Any) -> Answer:
        """One request; `json` is its body."""
        headers = {**self.headers, **options.pop("headers", {})}
        if json is not None:
            options["data"] = msgspec.json.encode(json)
            headers.setdefault("Content-Type", "application/json")
        async with self._session.request(
            method, self.base + path, headers=headers, allow_redirects=False, **options
        ) as got:
            return Answer(got.status, got.headers.copy(), await got.read())

    async def get(self, path: str, **options: Any) -> Answer:
        """GET."""
        return await self.ask("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Answer:
        """POST."""
        return await self.ask("POST", path, json, **options)

    async def patch(self, path: str, json: Any = None, **options: Any) -> Answer:
        """PATCH."""
        return await self.ask("PATCH", path, json, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        """DELETE."""
        return await self.ask("DELETE", path, **options)


class House:
    """A running service with its library, and those who use it."""

    def __init__(self, app: web.Application, config: Config, session: ClientSession, base: str) -> None:
        self.app = app
        self.config = config
        self.library = config.storage_path
        self.base = base
        self._session = session
        self.eve = Client(session, base, {})
        self.ana = self.eve
        self.ben = self.eve

    @property
    def db(self) -> Database:
        """The house's database."""
        return self.app[DB]

    @property
    def memory(self) -> MemoryStorage:
        """The storage, where it is one in memory."""
        storage = self.app[STORAGE]
        assert isinstance(storage, MemoryStorage)
        return storage

    def client(self, **headers: str) -> Client:
        """Somebody with other headers."""
        return Client(self._session, self.base, headers)

    def bearer(self, token: str) -> Client:
        """Somebody with this access token or API key."""
        return self.client(Authorization=f"Bearer {token}")

    async def key(self, scope: str, who: str = "owner") -> Client:
        """Somebody with a new API key of a scope."""
        row = await self.db.row("accounts.owner")
        assert row is not None
        made = await self.db.write(keys.add, SERVICE, row["id"], f"{scope} key", scope, None)  # type: ignore[arg-type]
        return self.bearer(made.key)

    async def add_user(self, name: str) -> Client:
        """A further member of the household, signed in."""

        def add(tx: Tx) -> str:
            user_id = str(uuid.uuid4())
            tx.run("accounts.add_user", id=user_id, name=name, role="user", password_hash=None, at=tx.at)
            return user_id

        return await self.sign_in(await self.db.write(add), "user", f"{name}'s phone")

    async def sign_in(self, user_id: str, role: Role, device: str) -> Client:
        """A device of an account, which has no password of its own yet."""
        granted = await self.db.write(sessions.start, user_id, role, Device(device, "", ""))
        pair = await self.eve.post("/refresh", {"refresh_token": granted.refresh_token})
        return self.bearer(pair.json["access_token"])

    async def scan(self, **options: Any) -> Any:
        """Scan the library and wait until the background has read all of it; gives the scan's result."""
        answer = await self.ana.post("/rescan", **options)
        assert answer.status == 200, answer
        await self.settled()
        return answer.json

    async def settled(self) -> None:
        """Wait until the background has read every new photo."""
        while job := await self.db.value("jobs.open", kind="digest"):
            await self.app[JOBS].ended(job)

    async def photos(self, query: str = "") -> list[Any]:
        """The photos of a list."""
        answer = await self.ana.get(f"/photos?{query}")
        assert answer.status == 200, answer
        items: list[Any] = answer.json["items"]
        return items

    async def photo(self, name: str) -> Any:
        """The one photo whose path ends so."""
        [found] = [photo for photo in await self.photos("limit=500") if photo["object_key"].endswith(name)]
        return found


def config(data_dir: Path, **environ: str) -> Config:
    """A configuration for tests: no watcher, no scan at the start, and limits that tests do not meet by accident."""
    return Config.from_env(
        {
            "HOST": "127.0.0.1", "PORT": "0", "TAGLINE_DATA_DIR": str(data_dir), "BACKEND_PASSWORD": PASSWORD,
            "TAGLINE_WATCH": "off", "TAGLINE_SCAN_AT_START": "off", "TAGLINE_ANONYMOUS_LIMIT": "100000",
            "TAGLINE_ANNOUNCE": "off", "LOG_LEVEL": "warning", **environ,
        }
    )  # fmt: skip


@cache
def migrated() -> bytes:
    """A database as the migrations make it: made once for all houses, since it takes as long as opening one."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tagline.db"
        migrate(path)
        return path.read_bytes()


@asynccontextmanager
async def running(
    data_dir: Path, furnish: Callable[[web.Application], None] | None = None, **environ: str
) -> AsyncIterator[House]:
    """A house over `data_dir`, which may have been lived in before. `furnish` adds to it before it opens."""
    settings = config(data_dir, **environ)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if settings.storage_path == settings.data_dir / "photos":
        settings.storage_path.mkdir(exist_ok=True)
    if settings.database.exists():
        migrate(settings.database)
    else:
        settings.database.write_bytes(migrated())
    app = create_app(settings)
    if furnish:
        furnish(app)
    server = TestServer(app)
    async with ClientSession() as session:
        await server.start_server(max_line_size=LINE_LIMIT)
        try:
            house = House(app, settings, session, str(server.make_url("")).rstrip("/"))
            signed_in = await house.eve.post("/login", {"password": PASSWORD, "device_name": "Ana's phone"})
            if signed_in.status == 200:
                house.ana = house.bearer(signed_in.json["access_token"])
                session.cookie_jar.clear()
            yield house
        finally:
            await server.close()


def make_photo(
    path: Path, colour: tuple[int, int, int] | str = "navy", size: tuple[int, int] = (320, 240), **exif: Any
) -> Path:
    """A JPEG of one colour, unlike any of another colour or size.

    `taken`: EXIF's local time; `offset`: its offset; `caption`: its description.
    """
    tags = Image.Exif()
    if exif.get("caption"):
        tags[0x010E] = exif["caption"]
    if exif.get("orientation"):
        tags[0x0112] = exif["orientation"]
    if exif.get("camera"):
        tags[0x0110] = exif["camera"]
    if exif.get("taken"):
        tags.get_ifd(0x8769)[0x9003] = exif["taken"]
        tags.get_ifd(0x8769)[0x9011] = exif.get("offset", "+02:00")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, "JPEG", exif=tags)
    return path


def behind_its_back(house: House, statement: str, *parameters: Any) -> list[Any]:
    """Do something to the database without the service, as the passing of time or another program would."""
    with closing(sqlite3.connect(house.config.database, isolation_level=None)) as connection:
        connection.execute("pragma busy_timeout = 10000")
        return connection.execute(statement, parameters).fetchall()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait until something has become true; fails when it takes longer than `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes as well
            await asyncio.sleep(0.02)
