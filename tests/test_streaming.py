"""Sending files: a real server on a real socket, real files that change under way, and slow readers."""

# Each test has its loop for itself, and may block it.
# ruff: noqa: ASYNC240

import asyncio
import email
import email.policy
import logging
import os
import re
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, TCPConnector, web
from aiohttp.test_utils import BaseTestServer, TestServer
from aiohttp.typedefs import Handler
from hypothesis import given
from hypothesis import strategies as st

from tagline.errors import Problem
from tagline.storage.local import LocalStorage
from tagline.storage.memory import MemoryStorage
from tagline.storage.provider import Entry, OpenFile, Storage
from tagline.streaming import SMALL, attachment, send_file

SMALL_FILE = bytes(range(256)) * 4
LARGE_FILE = os.urandom(1024) * 300 + b"the end"
MODIFIED = 1_700_000_000.25
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
LATER = "Tue, 14 Nov 2023 22:13:21 GMT"

Get = Callable[..., Awaitable[tuple[int, Any, bytes]]]


class Served:
    """What the server under test sends, and how."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.options: dict[str, Any] = {}
        self.prefetch = 0
        self.change: Callable[[OpenFile], None] | None = None
        self.opened: list[OpenFile] = []
        self.over = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        opened = await self.storage.open(request.match_info["key"], prefetch=self.prefetch)
        self.opened.append(opened)
        self.task = asyncio.current_task()
        if self.change:
            self.change(opened)
        given: dict[str, Any] = {"content_type": "image/jpeg", "headers": {"Cache-Control": "private"}}
        given |= {"etag": "hash", "last_modified": MODIFIED} | self.options
        try:
            return await send_file(request, opened, **given)
        finally:
            self.over.set()


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The least that the real middleware does."""
    try:
        return await handler(request)
    except Problem as problem:
        return web.json_response(problem.body("1"), status=problem.status, headers=problem.headers)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "small").write_bytes(SMALL_FILE)
    (tmp_path / "large").write_bytes(LARGE_FILE)
    (tmp_path / "empty").touch()
    return tmp_path


@pytest.fixture
def served(library: Path) -> Served:
    return Served(LocalStorage(library))


@pytest.fixture
async def server(served: Served) -> AsyncIterator[BaseTestServer]:
    app = web.Application(middlewares=[answer_problems])
    app.router.add_get("/{key:.+}", served.handle)
    async with TestServer(app) as running:
        yield running
    if isinstance(served.storage, LocalStorage):
        # Closing is left to a thread; whatever is to be closed has been handed to it by now.
        served.storage._threads.shutdown()
    assert all(opened.file.closed for opened in served.opened)


@pytest.fixture
async def get(server: BaseTestServer) -> AsyncIterator[Get]:
    async with ClientSession(auto_decompress=False) as session:

        async def get(path: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.request(method, server.make_url(path), headers=named) as answer:
                return answer.status, answer.headers, await answer.read()

        yield get


# Whole files


@pytest.mark.parametrize(("key", "content"), [("small", SMALL_FILE), ("large", LARGE_FILE), ("empty", b"")])
@pytest.mark.parametrize("prefetch", [0, SMALL])
async def test_a_file_arrives_whole(served: Served, get: Get, key: str, content: bytes, prefetch: int) -> None:
    served.prefetch = prefetch
    status, headers, body = await get(f"/{key}")
    assert (status, body) == (200, content)
    assert headers["Content-Length"] == str(len(content))
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"] == '"hash"'
    assert headers["Last-Modified"] == DATE
    assert headers["Cache-Control"] == "private"
    assert "Content-Disposition" not in headers


@pytest.mark.parametrize("key", ["small", "large"])
async def test_head_tells_the_same_without_a_body(get: Get, key: str) -> None:
    _, wanted, _ = await get(f"/{key}")
    status, headers, body = await get(f"/{key}", "HEAD")
    assert (status, body) == (200, b"")
    assert {**headers, "Date": ""} == {**wanted, "Date": ""}
    status, headers, _ = await get(f"/{key}", "HEAD", Range="bytes=0-1")
    assert (status, headers["Content-Length"]) == (200, wanted["Content-Length"])


async def test_a_file_in_memory_is_sent_as_well(served: Served, get: Get) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield LARGE_FILE

    served.storage = MemoryStorage()
    await served.storage.store("a", chunks())
    assert (await get("/a"))[2] == LARGE_FILE
    assert (await get("/a", Range="bytes=-7"))[2] == b"the end"


async def test_connections_are_kept_and_many_clients_are_served_at_once(get: Get) -> None:
    answers = await asyncio.gather(*(get("/large") for _ in range(40)), *(get("/small") for _ in range(40)))
    assert all(body in (SMALL_FILE, LARGE_FILE) for _, _, body in answers)


async def test_a_file_that_has_gone_is_told(get: Get) -> None:
    assert (await get("/nothing"))[0] == 410


# Ranges


@pytest.mark.parametrize(("key", "content"), [("small", SMALL_FILE), ("large", LARGE_FILE)])
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, None),
        ("bytes=-10", -10, None),
        ("bytes=0-", 0, None),
        ("bytes=5-99999999", 5, None),
        ("bytes=-99999999", 0, None),
        ("bytes=0-9,10-19", 0, 20),
    ],
)
async def test_a_range_arrives_as_asked(
    get: Get, key: str, content: bytes, header: str, start: int, stop: int | None
) -> None:
    wanted = content[start:stop]
    first = start % len(content)
    status, headers, body = await get(f"/{key}", Range=header)
    assert (status, body) == (206, wanted)
    assert headers["Content-Range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(content)}"
    assert headers["Content-Length"] == str(len(wanted))
    assert headers["ETag"] == '"hash"'


@pytest.mark.parametrize(
    "wanted",
    [
        [(0, 10), (20, 30), (500, 1024)],
        [(600, 610), (0, 5)],
        [(0, 100_000), (150_000, 300_000)],
        [(0, 200_000), (250_000, 250_001)],
        [(0, 1), (250_000, 307_000)],
    ],
)
async def test_several_ranges_arrive_as_parts_in_the_order_asked_for(get: Get, wanted: list[tuple[int, int]]) -> None:
    header = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in wanted)
    status, headers, body = await get("/large", Range=header)
    assert status == 206
    assert headers["Content-Length"] == str(len(body))
    assert "Content-Range" not in headers
    boundary = headers["Content-Type"].removeprefix("multipart/byteranges; boundary=")
    assert re.fullmatch("[0-9a-f]{32}", boundary)
    opening, *parts, closing = body.split(f"\r\n--{boundary}".encode())
    assert (opening, closing) == (b"", b"--\r\n")
    for part, (start, stop) in zip(parts, wanted, strict=True):
        head, content = part.split(b"\r\n\r\n", 1)
        told = email.message_from_bytes(head.lstrip(), policy=email.policy.HTTP)
        assert told["Content-Type"] == "image/jpeg"
        assert told["Content-Range"] == f"bytes {start}-{stop - 1}/{len(LARGE_FILE)}"
        assert content == LARGE_FILE[start:stop]
    assert headers["Content-Type"] != (await get("/large", Range=header))[1]["Content-Type"]


@pytest.mark.parametrize("header", ["bytes=abc", "lines=1-2", "bytes=5-1", "bytes=" + ",".join(["1-9"] * 101)])
async def test_a_range_header_that_makes_no_sense_is_ignored(get: Get, header: str) -> None:
    assert (await get("/small", Range=header))[0] == 200


async def test_a_range_behind_the_end_is_416_with_the_size(get: Get) -> None:
    status, headers, _ = await get("/small", Range="bytes=1024-")
    assert (status, headers["Content-Range"]) == (416, "bytes */1024")
    assert (await get("/empty", Range="bytes=0-"))[0] == 416
    assert (await get("/empty", Range="bytes=-1"))[0] == 200


# Conditions


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (304, {"If_None_Match": '"hash"'}),
        (304, {"If_None_Match": 'W/"hash"'}),
        (304, {"If_None_Match": '"other", W/"a,b" ,, "hash"'}),
        (304, {"If_None_Match": "*"}),
        (200, {"If_None_Match": '"other"'}),
        (200, {"If_None_Match": "hash"}),
        (200, {"If_None_Match": '"has", nonsense, "hash"'}),
        (200, {"If_None_Match": '"HASH"'}),
        (304, {"If_Modified_Since": DATE}),
        (304, {"If_Modified_Since": LATER}),
        (304, {"If_Modified_Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}),
        (304, {"If_Modified_Since": "Tue Nov 14 22:13:20 2023"}),
        (200, {"If_Modified_Since": EARLIER}),
        (200, {"If_Modified_Since": "yesterday"}),
        (200, {"If_Modified_Since": "Tue, 99 Nov 99999999999999999999 99:99:99 GMT"}),
        (200, {"If_None_Match": '"other"', "If_Modified_Since": LATER}),
        (304, {"If_None_Match": '"hash"', "If_Modified_Since": EARLIER}),
        (200, {"If_Match": '"hash"'}),
        (200, {"If_Match": "*"}),
        (200, {"If_Match": '"x", "hash"'}),
        (412, {"If_Match": '"other"'}),
        (412, {"If_Match": 'W/"hash"'}),
        (412, {"If_Match": "hash"}),
        (200, {"If_Unmodified_Since": DATE}),
        (200, {"If_Unmodified_Since": "nonsense"}),
        (412, {"If_Unmodified_Since": EARLIER}),
        (200, {"If_Match": '"hash"', "If_Unmodified_Since": EARLIER}),
        (412, {"If_Match": '"other"', "If_None_Match": '"hash"'}),
        (304, {"If_Match": '"hash"', "If_None_Match": '"hash"'}),
        (206, {"Range": "bytes=0-1", "If_Range": '"hash"'}),
        (206, {"Range": "bytes=0-1", "If_Range": DATE}),
        (200, {"Range": "bytes=0-1", "If_Range": 'W/"hash"'}),
        (200, {"Range": "bytes=0-1", "If_Range": '"other"'}),
        (200, {"Range": "bytes=0-1", "If_Range": EARLIER}),
        (200, {"Range": "bytes=0-1", "If_Range": LATER}),
        (200, {"Range": "bytes=0-1", "If_Range": "nonsense"}),
        (200, {"Range": "bytes=9999-", "If_Range": '"other"'}),
        (304, {"Range": "bytes=0-1", "If_None_Match": '"hash"'}),
        (412, {"Range": "bytes=9999-", "If_Match": '"other"'}),
        (200, {"If_Range": '"other"'}),
    ],
)
@pytest.mark.parametrize("key", ["small", "large"])
async def test_conditions_are_met_as_http_has_them(get: Get, key: str, status: int, headers: dict[str, str]) -> None:
    found, told, body = await get(f"/{key}", **headers)
    assert found == status
    assert told["ETag"] == '"hash"'
    if status == 304:
        assert body == b""
        assert told["Last-Modified"] == DATE
        assert told["Cache-Control"] == "private"
        assert "Content-Length" not in told
        assert "Content-Type" not in told
    if "Range" not in headers:
        assert (await get(f"/{key}", "HEAD", **headers))[0] == status


async def test_without_a_date_only_tags_count(served: Served, get: Get) -> None:
    served.options = {"last_modified": None}
    assert "Last-Modified" not in (await get("/small"))[1]
    assert (await get("/small", If_Modified_Since=LATER))[0] == 200
    assert (await get("/small", If_Unmodified_Since=EARLIER))[0] == 200
    assert (await get("/small", Range="bytes=0-1", If_Range=DATE))[0] == 200


async def test_a_date_in_the_future_is_told_as_now(served: Served, get: Get) -> None:
    served.options = {"last_modified": 9e9}
    _, headers, _ = await get("/small")
    assert headers["Last-Modified"] == headers["Date"]
    # It may have changed twice within this second.
    assert (await get("/small", Range="bytes=0-1", If_Range=headers["Last-Modified"]))[0] == 200


async def test_another_file_than_expected_never_bears_the_tag_of_the_expected_one(served: Served, get: Get) -> None:
    entry = await served.storage.stat("large")
    assert entry is not None
    served.options = {"expected": entry}
    assert (await get("/large"))[1]["ETag"] == '"hash"'
    served.options = {"expected": Entry(entry.key, entry.size, entry.mtime_ns - 1, entry.inode)}
    status, headers, body = await get("/large", If_None_Match='"hash"')
    assert (status, body) == (200, LARGE_FILE)
    assert headers["ETag"] != '"hash"'
    assert headers["Cache-Control"] == "no-cache"
    assert (await get("/large", If_None_Match=headers["ETag"]))[0] == 304


# Names


async def test_a_download_is_named(served: Served, get: Get) -> None:
    served.options = {"download_name": 'Ana "am" See\r\nX-Evil: 1 ☀.jpg'}
    status, headers, _ = await get("/small")
    assert status == 200
    assert "X-Evil" not in headers
    assert headers["Content-Disposition"] == (
        'attachment; filename="Ana _am_ See__X-Evil: 1 _.jpg"; '
        "filename*=UTF-8''Ana%20%22am%22%20See__X-Evil%3A%201%20%E2%98%80.jpg"
    )
    assert "Content-Disposition" in (await get("/large", "HEAD"))[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMG_1.jpg", 'attachment; filename="IMG_1.jpg"'),
        ("été.jpg", "attachment; filename=\"ete.jpg\"; filename*=UTF-8''%C3%A9t%C3%A9.jpg"),
        ("100%.jpg", "attachment; filename=\"100_.jpg\"; filename*=UTF-8''100%25.jpg"),
        ("../../etc/passwd", 'attachment; filename=".._.._etc_passwd"'),
        ("exe\u202egpj.exe", 'attachment; filename="exegpj.exe"'),
        ("", 'attachment; filename="download"'),
        ("\udcff.jpg", 'attachment; filename="_.jpg"'),
    ],
)
def test_names_are_told_to_old_and_new_browsers(name: str, value: str) -> None:
    assert attachment(name) == value


@given(st.text(st.characters(codec=None) | st.sampled_from("\"\\\r\n;%'/\0"), max_size=60))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    value = attachment(name)
    assert re.fullmatch(
        r"attachment; filename=\"[\x20-\x21\x23-\x24\x26-\x5b\x5d-\x7e]+\""
        r"(; filename\*=UTF-8''[A-Za-z0-9%!#$&+.^_`|~-]+)?",
        value,
    )


# Files that change while they are being sent


class SlowClient:
    """A client on a bare socket that reads only when told to, with little room in between."""

    def __init__(self, server: BaseTestServer, path: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.setblocking(False)
        self.address = (str(server.host), int(server.port or 0))
        self.path = path
        self.received = bytearray()

    async def __aenter__(self) -> "SlowClient":
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, self.address)
        await loop.sock_sendall(self.socket, f"GET {self.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await self.read(1000)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.socket.close()

    async def read(self, count: int) -> bool:
        """Read so many bytes; false if the connection ended before."""
        loop = asyncio.get_running_loop()
        wanted = len(self.received) + count
        while len(self.received) < wanted:
            try:
                got = await loop.sock_recv(self.socket, min(1_000_000, wanted - len(self.received)))
            except ConnectionResetError:
                return False
            if not got:
                return False
            self.received += got
        return True

    async def read_all(self) -> bool:
        """Read what is left of the answer; false if it is incomplete."""
        return await self.read(self.length() - len(self.body()))

    def length(self) -> int:
        """How long the body is to be, by its header."""
        found = re.search(rb"Content-Length: (\d+)", self.received)
        assert found
        return int(found[1])

    def body(self) -> bytes:
        return bytes(self.received.partition(b"\r\n\r\n")[2])


HUGE = 40_000_000


@pytest.fixture
def huge(library: Path) -> Path:
    path = library / "huge"
    path.write_bytes(b"old." * (HUGE // 4))
    return path


async def test_a_file_replaced_by_renaming_is_sent_as_it_was(server: BaseTestServer, huge: Path) -> None:
    async with SlowClient(server, "/huge") as client:
        new = huge.with_name("new")
        new.write_bytes(b"new!" * (HUGE // 4))
        new.rename(huge)
        assert await client.read_all()
        assert client.body() == b"old." * (HUGE // 4)


async def test_a_deleted_file_is_sent_to_its_end(server: BaseTestServer, huge: Path) -> None:
    async with SlowClient(server, "/huge") as client:
        huge.unlink()
        assert await client.read_all()
        assert client.body() == b"old." * (HUGE // 4)


def truncate(path: Path) -> None:
    os.truncate(path, 10_000_000)


def empty_and_refill(path: Path) -> None:
    path.write_bytes(b"new!" * (HUGE // 4))


def overwrite_the_start(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"new!")


def overwrite_the_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"new!")


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"new!")


def overwrite_and_hide_it(path: Path) -> None:
    times = path.stat()
    overwrite_the_end(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [truncate, empty_and_refill, overwrite_the_start, overwrite_the_end, append, overwrite_and_hide_it],
)
async def test_a_file_changed_in_place_never_arrives_complete(
    server: BaseTestServer, huge: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    async with SlowClient(server, "/huge") as client:
        await client.read(1_000_000)
        change(huge)
        assert not await client.read_all()
    assert "huge was changed while it was being sent" in caplog.text


async def test_a_change_does_not_reach_what_still_waits_in_the_socket(server: BaseTestServer, library: Path) -> None:
    async with SlowClient(server, "/large") as client:
        # The socket has taken all that the server gives it; the kernel has not sent it yet.
        for _ in range(100):
            await asyncio.sleep(0)
        with (library / "large").open("r+b") as file:
            file.seek(220_000)
            file.write(b"new!" * 1000)
        assert not await client.read_all()


async def test_a_changed_file_breaks_off_several_ranges_as_well(
    server: BaseTestServer, huge: Path, get: Get, served: Served
) -> None:
    served.change = lambda opened: append(huge)
    with pytest.raises(ClientPayloadError):
        await get("/huge", Range="bytes=0-1000000,2000000-3000000")


async def test_the_connection_of_a_changed_file_serves_nobody_any_more(server: BaseTestServer, huge: Path) -> None:
    async with SlowClient(server, "/huge") as client:
        append(huge)
        assert not await client.read_all()
        assert not await client.read(1)


async def test_a_small_file_changed_while_it_is_read_is_read_again(served: Served, library: Path, get: Get) -> None:
    def change(opened: OpenFile) -> None:
        (library / "small").write_bytes(b"new")

    entry = await served.storage.stat("small")
    served.change = change
    served.options = {"expected": entry}
    status, headers, body = await get("/small")
    assert (status, body) == (200, b"new")
    assert headers["ETag"] != '"hash"'


async def test_a_small_file_that_changes_all_the_time_is_unavailable(served: Served, library: Path, get: Get) -> None:
    class Restless(OpenFile):
        def look(self) -> None:
            super().look()
            with (library / "small").open("ab") as file:
                file.write(b"x" * 20)

    threads = ThreadPoolExecutor(1)

    async def open_restless(key: str, *, prefetch: int = 0) -> OpenFile:
        return Restless.on_disk(os.open(library / key, os.O_RDONLY), key, threads)

    served.storage = type("Storage", (), {"open": staticmethod(open_restless)})()
    status, headers, _ = await get("/small")
    assert status == 503
    assert headers["Retry-After"] == "2"
    threads.shutdown()


# Clients and disks that go away


async def test_a_client_that_goes_away_is_no_error(
    server: BaseTestServer, served: Served, huge: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with SlowClient(server, "/huge"):
        pass
    await served.over.wait()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_a_cancelled_answer_ends_its_connection_and_closes_its_file(
    server: BaseTestServer, served: Served, huge: Path
) -> None:
    async with SlowClient(server, "/huge") as client:
        assert served.task is not None
        served.task.cancel()
        assert not await client.read_all()
        await served.over.wait()


async def test_a_disk_that_fails_while_sending_breaks_the_connection_off(
    served: Served, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    # Reading a process's memory at address 0 is a true EIO.
    served.storage = LocalStorage(Path("/proc/self"))

    def enlarge(opened: OpenFile) -> None:
        opened.entry = Entry("mem", 1_000_000, 0, 0)

    served.change = enlarge
    with pytest.raises(ClientPayloadError):
        await get("/mem")
    assert "mem could not be read to its end" in caplog.text
    served.change = None
    served.options = {}

    def shrink(opened: OpenFile) -> None:
        opened.entry = Entry("mem", 1000, 0, 0)

    served.change = shrink
    assert (await get("/mem"))[0] == 503


async def test_memory_stays_flat_for_a_file_of_500_megabytes(server: BaseTestServer, library: Path) -> None:
    with (library / "sparse").open("wb") as file:
        file.truncate(500_000_000)
    async with ClientSession(connector=TCPConnector()) as session:
        received = 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with session.get(server.make_url("/sparse")) as answer:
            async for chunk in answer.content.iter_any():
                received += len(chunk)
    assert received == 500_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


async def test_a_file_on_a_unix_socket_arrives_as_well(served: Served, tmp_path: Path) -> None:
    app = web.Application()
    app.router.add_get("/{key}", served.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "socket")).start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
    writer.write(b"GET /large HTTP/1.0\r\n\r\n")
    assert (await reader.read(-1)).endswith(LARGE_FILE)
    writer.close()
    await writer.wait_closed()
    await runner.cleanup()
