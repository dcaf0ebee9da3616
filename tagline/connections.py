"""Connections: how many there may be, how long one may dally, and an answer for what is no HTTP at all."""

import asyncio
import logging
import resource
import secrets
from collections import Counter

import msgspec
from aiohttp import web

from tagline import errors
from tagline.answers import SECURITY_HEADERS
from tagline.api import LINE_LIMIT

log = logging.getLogger(__name__)

# Of one address; a browser opens six, a proxy with a house behind it more.
MOST_EACH = 256
# Descriptors that are kept for files and the database.
KEPT_FREE = 400
WANTED_DESCRIPTORS = 4096
# Within so long (s) the first request's head has to be there; an idle connection is closed after the longer time.
HEAD_SECONDS = 20
IDLE_SECONDS = 75


class Doorkeeper:
    """Makes the protocol of each connection, and counts them."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._open: Counter[str] = Counter()
        self._most = raised_descriptors() - KEPT_FREE
        self._full = False

    def __call__(self) -> "Connection":
        """A connection's protocol, as `loop.create_server` asks for it."""
        return Connection(
            self, self._server, loop=self._loop, access_log=None, keepalive_timeout=IDLE_SECONDS,
            max_line_size=LINE_LIMIT, max_field_size=LINE_LIMIT,
        )  # fmt: skip

    def enters(self, address: str) -> bool:
        """Count a connection, unless there are too many."""
        if self._open[address] >= MOST_EACH or self._open.total() >= self._most:
            if not self._full:
                log.warning("too many connections (%d of %s); new ones are closed", self._open.total(), address)
            self._full = True
            return False
        self._full = False
        self._open[address] += 1
        return True

    def leaves(self, address: str) -> None:
        """A connection that was counted has ended."""
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]


class Connection(web.RequestHandler):
    """aiohttp's protocol, with the doorkeeper's rules and our form of error."""

    __slots__ = ("_address", "_doorkeeper", "_head_timer")

    def __init__(self, doorkeeper: Doorkeeper, manager: web.Server, **options: object) -> None:
        super().__init__(manager, **options)  # type: ignore[arg-type]
        self._doorkeeper = doorkeeper
        self._address: str | None = None
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or close it before it costs anything."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else "local"
        if not self._doorkeeper.enters(address):
            self.force_close()
            return
        self._address = address
        self._head_timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._check_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another."""
        if self._head_timer:
            self._head_timer.cancel()
        if self._address is not None:
            self._doorkeeper.leaves(self._address)
            self._address = None
        super().connection_lost(exc)

    def _check_head(self) -> None:
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What never came as far as a handler: bytes that are no HTTP, a head that is too long."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        request_id = secrets.token_hex(8)
        log.info("request %s from %s is not HTTP: %s", request_id, request.remote, type(exc).__name__)
        problem = errors.BadRequest(
            "This cannot be read as an HTTP request. Other than letters, digits and a few signs have to be "
            f"percent-encoded in addresses, and a line of the head may have at most {LINE_LIMIT} bytes."
        )
        problem.status = status
        headers = {**SECURITY_HEADERS, "Server": "tagline", "X-Request-ID": request_id}
        body = msgspec.json.encode(problem.body(request_id))
        response = web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)
        response.force_close()
        return response


def raised_descriptors() -> int:
    """How many descriptors this process may have, after asking for as many as are wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(WANTED_DESCRIPTORS, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
