"""Connections: how many, how long, and what is no HTTP. All of it against the real command."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tagline import connections
from tagline.app import create_app
from tagline.commands import serve
from tagline.migrations import migrate
from tests.house import config


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a service as the command makes it, with a doorkeeper who loses patience sooner."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "MOST_EACH", 20)
    settings = config(tmp_path / "data")
    settings.storage_path.mkdir(parents=True)
    migrate(settings.database)
    runner = web.AppRunner(create_app(settings), access_log=None)
    await runner.setup()
    listening = await serve._listen(settings, runner)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    await runner.cleanup()


async def answer(port: int, request: bytes) -> bytes:
    """What comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /photos?q=\xe6\x9d\xb1\xe4\xba\xac HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what TLS looks like\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_told_so_in_the_one_form(port: int, request_: bytes) -> None:
    head, _, body = (await answer(port, request_)).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head
    assert b"Server: tagline" in head
    problem = json.loads(body)
    assert problem["code"] == "bad_request"
    assert problem["request_id"].encode() in head


async def test_a_connection_without_a_request_is_closed(port: int) -> None:
    assert await answer(port, b"GET / HT") == b""


async def test_one_address_cannot_take_all_connections_and_the_service_goes_on(port: int) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
    # All but twenty are closed at once, and the twenty when they have said nothing for a while.
    async with asyncio.timeout(10):
        assert [await reader.read() for reader, _ in idle] == [b""] * 60
    for _, writer in idle:
        writer.close()
    assert b" 200 " in await answer(port, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
