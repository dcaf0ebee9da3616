"""The floor: bare aiohttp with aiosqlite, no token, no session, one plain table.

`python -m tests.benchmarks.bare PORT DATABASE`.

The pragmas are Tagline's own: WAL, and `synchronous=full` for what is written.
"""

import asyncio
import hashlib
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import msgspec
from aiohttp import web

READERS = 3
PAGE = """
select json_object('items', json_group_array(json_object('id', id, 'object_key', object_key, 'description', description,
    'last_modified', last_modified, 'version', version)))
from (select * from photos where taken_rank < ? order by taken_rank desc limit 50)
"""
ONE = """
select json_object('id', id, 'object_key', object_key, 'description', description,
    'last_modified', last_modified, 'version', version)
from photos
where id = ?
"""
EDIT = """
update photos
set description = ?, version = version + 1
where id = ?
returning json_object('id', id, 'object_key', object_key, 'description', description,
    'last_modified', last_modified, 'version', version)
"""

READING = web.AppKey("reading", list[aiosqlite.Connection])
WRITING = web.AppKey("writing", aiosqlite.Connection)


class Edit(msgspec.Struct):
    """What is edited."""

    description: str


_edit = msgspec.json.Decoder(Edit).decode


async def page(request: web.Request) -> web.Response:
    """A page of 50, built in SQL."""
    before = int(request.query.get("before", 2**63 - 1))
    return await _answer(_reader(request), PAGE, before)


async def one(request: web.Request) -> web.Response:
    """One row by its key."""
    return await _answer(_reader(request), ONE, request.match_info["id"])


async def edit(request: web.Request) -> web.Response:
    """One update by key, committed by itself."""
    body = _edit(await request.read())
    return await _answer(request.app[WRITING], EDIT, body.description, request.match_info["id"])


async def _answer(connection: aiosqlite.Connection, query: str, *parameters: str | int) -> web.Response:
    [row] = await connection.execute_fetchall(query, parameters)
    return web.Response(text=row[0], content_type="application/json")


def _reader(request: web.Request) -> aiosqlite.Connection:
    connections = request.app[READING]
    connections.append(connections.pop(0))
    return connections[0]


async def file(request: web.Request) -> web.StreamResponse:
    """A file by aiohttp's own means."""
    return web.FileResponse(request.query["path"])


async def read_and_send(request: web.Request) -> web.Response:
    """A small file, read in one go and sent as a body."""
    with open(request.query["path"], "rb") as opened:  # noqa: ASYNC230 - as fast as it can be, that is what it is for
        return web.Response(body=opened.read(), content_type="image/webp")


async def body(request: web.Request) -> web.Response:
    """Store a body in the obvious way; hashed and flushed to the disk where that is asked for, this in a thread."""
    digest = hashlib.sha256()
    name = Path(sys.argv[2]).with_name(f"body-{uuid.uuid4()}")
    with open(name, "wb") as opened:  # noqa: ASYNC230 - what a program does that only stores
        async for chunk in request.content.iter_any():
            opened.write(chunk)
            if "hashed" in request.query:
                digest.update(chunk)
        if "flushed" in request.query:
            opened.flush()
            await asyncio.to_thread(os.fsync, opened.fileno())
    return web.Response(status=201)


async def not_modified(request: web.Request) -> web.Response:
    """Nothing new."""
    return web.Response(status=304, headers={"ETag": request.headers.get("If-None-Match", "")})


async def alive(request: web.Request) -> web.Response:
    """Where the start is waited for, as at Tagline."""
    return web.Response(text="{}")


async def _connections(app: web.Application) -> AsyncIterator[None]:
    async def connect() -> aiosqlite.Connection:
        connection = await aiosqlite.connect(sys.argv[2], isolation_level=None)
        for pragma in ("busy_timeout = 10000", "journal_mode = wal", "synchronous = full"):
            await connection.execute_fetchall(f"pragma {pragma}")
        return connection

    app[READING] = [await connect() for _ in range(READERS)]
    app[WRITING] = await connect()
    yield
    for connection in (*app[READING], app[WRITING]):
        await connection.close()


async def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.cleanup_ctx.append(_connections)
    app.add_routes(
        [
            web.get("/photos", page),
            web.get("/photos/{id}", one),
            web.patch("/photos/{id}", edit),
            web.get("/file", file),
            web.get("/read", read_and_send),
            web.get("/304", not_modified),
            web.post("/bodies", body),
            web.get("/health", alive),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
