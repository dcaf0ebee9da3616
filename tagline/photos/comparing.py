"""What a walk found, held against what the library knows: in a temporary table on disk, so that memory stays flat."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite

from tagline.db import Row, queries, trouble
from tagline.storage.provider import Entry

# Behind every path: the upper end of "everything".
BEYOND = "\U0010ffff"


class Comparison:
    """A scan's own connection: reads the library, writes only its temporary table `seen`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def see(self, entries: list[Entry]) -> None:
        """Note files that the walk found."""
        rows = [{"path": e.key, "size": e.size, "mtime_ns": e.mtime_ns, "inode": e.inode} for e in entries]
        await self._connection.execute_fetchall("begin")
        await self._connection.executemany(queries()["scan.see"], rows)
        await self._connection.execute_fetchall("commit")

    async def rows(self, query: str, /, **parameters: Any) -> list[Row]:
        """All rows of a query of scan.sql."""
        rows = await self._connection.execute_fetchall(queries()[f"scan.{query}"], parameters)
        return rows  # type: ignore[return-value]  # a list, whatever aiosqlite declares

    async def number(self, query: str, /, **parameters: Any) -> int:
        """The number that a query of scan.sql counts."""
        return int((await self.rows(query, **parameters))[0][0])

    async def pages(self, query: str, take: int, /, **parameters: Any) -> AsyncIterator[list[Row]]:
        """The rows of a query that has `:after` and `:take`, page by page; what is written between two pages counts."""
        after = ""
        while rows := await self.rows(query, after=after, take=take, **parameters):
            yield rows
            after = rows[-1]["path"]


@asynccontextmanager
async def comparison(database: Path) -> AsyncIterator[Comparison]:
    """A comparison with the library as it is at each question."""
    connection = await aiosqlite.connect(f"file:{quote(str(database))}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.row_factory = Row
        for pragma in (
            "busy_timeout = 10000",
            "temp_store = file",
            "temp.journal_mode = off",
            "temp.synchronous = off",
        ):
            await connection.execute_fetchall(f"pragma {pragma}")
        await connection.execute_fetchall(queries()["scan.make_seen"])
        yield Comparison(connection)
    except sqlite3.Error as error:
        raise trouble(error) from error
    finally:
        await connection.close()
