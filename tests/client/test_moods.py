"""`tagline sync` with a server that is busy, unwell or forgetful.

It is a small one of its own, that speaks the protocol and has the moods that a test gives it.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.client.phone import Phone, digest, picture

pytestmark = pytest.mark.slow

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Mood = tuple[str, int, dict[str, str]]


class Moody:
    """Answers as Tagline does, but for its `moods`: the next request of that kind gets that status and headers.

    Kinds are KNOWN, CREATE, and the methods that go to an upload.

    `pending` is how often it cannot say yet what it has.
    """

    def __init__(self, *moods: Mood, pending: int = 0) -> None:
        self.moods = list(moods)
        self.pending = pending
        self.address = ""
        self.parts: dict[str, bytearray] = {}
        self.lengths: dict[str, int] = {}
        self.asked: list[str] = []

    @property
    def whole(self) -> set[str]:
        """Hashes of the files that it got."""
        return {
            hashlib.sha256(part).hexdigest() for name, part in self.parts.items() if len(part) == self.lengths[name]
        }

    @web.middleware
    async def mood(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What comes before the answer."""
        kind = {"/photos/known": "KNOWN", "/api/uploads": "CREATE"}.get(request.path, request.method)
        self.asked.append(kind)
        if self.moods and kind == self.moods[0][0]:
            _, status, headers = self.moods.pop(0)
            detail = {"detail": "Not in the mood.", "code": "mood"}
            await request.read()
            return web.json_response(detail, status=status, headers=headers)
        return await handler(request)

    async def health(self, request: web.Request) -> web.Response:
        """GET /health."""
        return web.json_response({"status": "healthy"})

    async def known(self, request: web.Request) -> web.Response:
        """POST /photos/known."""
        sums = set((await request.json())["sha256"])
        here = self.whole & sums
        self.pending -= 1
        if self.pending >= 0:
            return web.json_response({"known": {}, "deleted": [], "unknown": [], "pending": list(sums - here)})
        return web.json_response(
            {"known": dict.fromkeys(here, "id"), "deleted": [], "unknown": list(sums - here), "pending": []}
        )

    async def create(self, request: web.Request) -> web.Response:
        """POST /api/uploads."""
        metadata = dict(pair.split(" ") for pair in request.headers["Upload-Metadata"].split(","))
        name = base64.b64decode(metadata["filename"]).decode()
        self.parts[name], self.lengths[name] = bytearray(), int(request.headers["Upload-Length"])
        # Behind a proxy, it takes itself for another one.
        return web.Response(status=201, headers={"Location": f"http://inside:1/api/uploads/{name}"})

    async def head(self, request: web.Request) -> web.Response:
        """HEAD /api/uploads/{id}."""
        part = self.parts.get(request.match_info["name"])
        return web.Response(status=404) if part is None else web.Response(headers={"Upload-Offset": str(len(part))})

    async def patch(self, request: web.Request) -> web.Response:
        """PATCH /api/uploads/{id}."""
        part = self.parts[request.match_info["name"]]
        assert int(request.headers["Upload-Offset"]) == len(part)
        part += await request.read()
        return web.Response(status=204, headers={"Upload-Offset": str(len(part))})

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /api/uploads/{id}."""
        self.parts.pop(request.match_info["name"], None)
        return web.Response(status=204)


@asynccontextmanager
async def moody(*moods: Mood, pending: int = 0) -> AsyncIterator[Moody]:
    """Such a server, running."""
    it = Moody(*moods, pending=pending)
    app = web.Application(middlewares=[it.mood], client_max_size=1 << 24)
    app.router.add_get("/health", it.health)
    app.router.add_post("/photos/known", it.known)
    app.router.add_post("/api/uploads", it.create)
    one = app.router.add_resource("/api/uploads/{name}")
    for method, handler in (("HEAD", it.head), ("PATCH", it.patch), ("DELETE", it.delete)):
        one.add_route(method, handler)
    async with TestServer(app) as server:
        it.address = str(server.make_url(""))
        yield it


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    """A computer with one photo."""
    phone = Phone(tmp_path / "pictures", tmp_path / "home", "tgl_key")
    picture(phone.folder / "first.jpg", 1, 5000)
    return phone


PASSING: list[list[Mood]] = [
    [("KNOWN", 503, {"Retry-After": "1"})],
    [("KNOWN", 429, {"Retry-After": "1"}), ("CREATE", 502, {})],
    [("PATCH", 500, {}), ("HEAD", 503, {"Retry-After": "soon"})],
    [("PATCH", 409, {}), ("PATCH", 423, {})],
    [("PATCH", 504, {}), ("HEAD", 410, {})],
    [("PATCH", 460, {})],
    [("PATCH", 408, {}), ("HEAD", 404, {})],
]


@pytest.mark.parametrize("moods", PASSING, ids=lambda moods: " ".join(f"{mood[0]} {mood[1]}" for mood in moods))
async def test_what_passes_is_waited_for(phone: Phone, moods: list[Mood]) -> None:
    async with moody(*moods) as server:
        ran = await phone.sync(server.address)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith("1 sent; ")
        assert server.moods == []
        assert server.whole == {digest(phone.folder / "first.jpg")}


async def test_what_arrives_wrong_twice_is_told_and_hashed_anew_next_time(phone: Phone) -> None:
    async with moody(("PATCH", 460, {}), ("PATCH", 460, {})) as server:
        ran = await phone.sync(server.address)
        assert ran.status == 1
        assert ran.err == "first.jpg: does not arrive as it was read; it will be read anew in the next run\n"
        assert (await phone.sync(server.address)).out.startswith("1 sent; ")


LASTING: list[tuple[Mood, str]] = [
    (("CREATE", 413, {}), "first.jpg: Not in the mood. (mood)"),
    (("KNOWN", 405, {}), "This server takes no uploads"),
    (("CREATE", 404, {}), "This server takes no uploads"),
    (("KNOWN", 400, {}), "The server refuses: Not in the mood."),
    (("PATCH", 415, {}), "first.jpg: Not in the mood. (mood)"),
    (("PATCH", 400, {}), "first.jpg: Not in the mood. (mood)"),
    (("PATCH", 507, {}), "first.jpg: Not in the mood. (mood)"),
    (("PATCH", 401, {}), "The server does not know this computer (any more): Not in the mood."),
    (("PATCH", 403, {}), "The server does not allow it: Not in the mood."),
]


@pytest.mark.parametrize(("mood", "said"), LASTING, ids=lambda mood: " ".join(map(str, mood[:2])))
async def test_what_lasts_is_told_and_not_repeated(phone: Phone, mood: Mood, said: str) -> None:
    async with moody(mood) as server:
        ran = await phone.sync(server.address)
        assert ran.status == 1
        assert ran.err.startswith(said)
        assert server.asked.count("PATCH") == (mood[0] == "PATCH")
        assert server.moods == []


async def test_a_server_that_never_gets_well_is_given_up(phone: Phone) -> None:
    async with moody(*[("PATCH", 500, {})] * 100) as server:
        ran = await phone.sync(server.address, "--patience", "1")
        assert ran.status == 1
        assert ran.out.startswith("1 failed; ")
        assert ran.err == "first.jpg: Not in the mood. (mood)\n"


async def test_what_the_server_cannot_say_yet_is_asked_again(phone: Phone) -> None:
    async with moody(pending=2) as server:
        ran = await phone.sync(server.address)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith("1 sent; ")
        assert server.pending == -1


async def test_what_the_server_cannot_say_for_long_is_not_sent(phone: Phone) -> None:
    async with moody(pending=1000) as server:
        ran = await phone.sync(server.address, "--patience", "1")
        assert ran.status == 1
        assert ran.out.startswith("1 waiting for the server; 0 B")
        assert "run the command again later" in ran.out
        assert server.parts == {}
