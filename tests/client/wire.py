"""The way between a client and the service: it counts, listens along, and is cut where a test wants it to be."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from multidict import CIMultiDict

MOST_READ = 16 * 1024
NO_BODY = (204, 304)


class Exchange(msgspec.Struct):
    """A request as it came over the wire, and what was answered. `body` counts the bytes of its body that passed.

    `status` is 0 until the whole head of the answer has passed.
    """

    method: str
    path: str
    headers: CIMultiDict[str]
    body: int = 0
    status: int = 0
    answer: CIMultiDict[str] = msgspec.field(default_factory=CIMultiDict)


class Wire:
    """Stands between client and service.

    `lives` gives each new connection the bytes after which it is cut, or None. `pace` is the time that 16 KB take, s.
    """

    def __init__(self) -> None:
        self.address = ""
        self.target = ("", 0)
        self.lives: Callable[[], int | None] = lambda: None
        self.pace = 0.0
        self.exchanges: list[Exchange] = []
        self.cuts = 0
        self.faults: list[BaseException] = []
        self.heard = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    def leads_to(self, address: str) -> None:
        """New connections go to this address of the service."""
        host, _, port = address.removeprefix("http://").partition(":")
        self.target = (host, int(port))

    def asked(self, method: str) -> list[Exchange]:
        """All requests of a method, in order."""
        return [exchange for exchange in self.exchanges if exchange.method == method]

    @property
    def sent(self) -> int:
        """Bytes of files that passed to the service."""
        return sum(exchange.body for exchange in self.asked("PATCH"))

    def cut(self) -> None:
        """Cut every connection, now."""
        for task in self._open:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        up: asyncio.StreamWriter | None = None
        try:
            down, up = await asyncio.open_connection(*self.target)
            talk = _Talk(self)
            left = [self.lives()]
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, up, talk.request, left, self.pace))
                group.create_task(_pass(down, writer, talk.answer, left, 0))
        except* (OSError, _Over, asyncio.CancelledError):
            self.cuts += left[0] == 0 if up else 0
        except* Exception as fault:
            self.faults.append(fault)
        finally:
            for each in (writer, up):
                if each:
                    each.transport.abort()


@asynccontextmanager
async def wire(address: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """A way to the service at an address; with `tls`, encrypted on the client's side."""
    way = Wire()
    way.leads_to(address)
    server = await asyncio.start_server(way._connected, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    way.address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
        way.cut()
        await asyncio.gather(*way._open, return_exceptions=True)
        # What was aborted closes its socket in the next round of the loop.
        await asyncio.sleep(0)
        await server.wait_closed()
        assert way.faults == []


class _Over(Exception):
    """One side has nothing more to say, or the connection has lived long enough."""


async def _pass(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    hear: Callable[[bytes], None],
    left: list[int | None],
    pace: float,
) -> None:
    while data := await source.read(MOST_READ):
        if left[0] is not None:
            data = data[: left[0]]
            left[0] -= len(data)
        # First, since what is passed on may be answered at once.
        hear(data)
        target.write(data)
        await target.drain()
        if pace:
            await asyncio.sleep(pace)
        if left[0] == 0:
            raise _Over
    # What was passed on arrives before the connection ends.
    if target.can_write_eof():
        with suppress(OSError):
            target.write_eof()
    raise _Over


class _Talk:
    """HTTP/1.1 on one connection, as far as tests need it: bodies have a Content-Length."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._asked = bytearray()
        self._answered = bytearray()
        self._body = 0
        self._rest = 0
        self._now: Exchange | None = None
        self._open: deque[Exchange] = deque()

    def request(self, data: bytes) -> None:
        """Bytes that passed to the service."""
        self._asked += data
        while self._asked:
            if self._body:
                assert self._now is not None
                taken = min(self._body, len(self._asked))
                self._now.body += taken
                self._body -= taken
                del self._asked[:taken]
            elif (head := _head(self._asked)) is not None:
                first, headers = head
                method, path, _ = first.split(" ")
                self._now = Exchange(method, path, headers)
                self._body = int(headers.get("Content-Length", 0))
                self._wire.exchanges.append(self._now)
                self._open.append(self._now)
            else:
                break
        self._wire.heard.set()

    def answer(self, data: bytes) -> None:
        """Bytes that passed to the client."""
        self._answered += data
        while self._answered:
            if self._rest:
                taken = min(self._rest, len(self._answered))
                self._rest -= taken
                del self._answered[:taken]
            elif (head := _head(self._answered)) is not None:
                first, headers = head
                status = int(first.split(" ")[1])
                if status != 100:
                    exchange = self._open.popleft()
                    exchange.answer, exchange.status = headers, status
                    bodiless = exchange.method == "HEAD" or status in NO_BODY
                    self._rest = 0 if bodiless else int(headers.get("Content-Length", 0))
            else:
                break
        self._wire.heard.set()


def _head(data: bytearray) -> tuple[str, CIMultiDict[str]] | None:
    """Take a whole head off the front, if there is one: its first line and its fields."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    del data[: end + 4]
    return first, CIMultiDict((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
