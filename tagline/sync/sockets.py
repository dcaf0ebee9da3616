"""Socket.IO (protocol 5, Engine.IO 4) by python-socketio: events, and edits on the way back.

Nothing else imports this: it is loaded at the first request to `/socket.io/`, since it costs 0.1 s and 14 MB.
"""

import asyncio
import logging
from functools import partial
from typing import Any

import engineio
import msgspec
import socketio
import socketio.exceptions
import socketio.packet
from aiohttp import web
from engineio import packet as engine
from engineio.async_drivers import aiohttp as driver
from engineio.exceptions import EngineIOError

from tagline.accounts.credentials import CREDENTIALS
from tagline.answers import REQUEST_ID
from tagline.api import Identity, whole_body
from tagline.errors import BadRequest, Problem, Unavailable
from tagline.sync.events import EVENTS, Event, Listener
from tagline.sync.lasting import (
    HEARTBEAT_SECONDS,
    INTRODUCED_WITHIN,
    MOST_MESSAGE,
    SLOW_SECONDS,
    bounded,
    take_edits,
)

log = logging.getLogger(__name__)

NAMESPACES = ("/ws/sync", "/", "/api")
# Clients that poll hold no connection that the doorkeeper could count: so many sessions, of one address and of all.
MOST_EACH = 256
MOST_SESSIONS = 2048
# Packets that wait for one client: of ours, and with the library's own answers.
FEW_PACKETS, MOST_PACKETS = 16, 256

# What the library logs are its clients' faults, with what they sent: tokens as well.
_silence = logging.Logger("socketio", logging.CRITICAL + 1)


class _Json:
    """JSON as everywhere in Tagline, in the form that the library asks for."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return msgspec.json.encode(value).decode()

    @staticmethod
    def loads(text: str, **_: Any) -> Any:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise ValueError("this is no JSON") from error


class _TextPacket(socketio.packet.Packet):  # type: ignore[misc]  # without types
    """A packet without attachments, which nothing here has, and which a client could pile up."""

    uses_binary_events = False

    def decode(self, encoded_packet: Any) -> int:
        super().decode(encoded_packet)
        if not isinstance(encoded_packet, str) or self.packet_type > socketio.packet.CONNECT_ERROR:
            raise ValueError("binary packets are not taken")
        return 0


class _Body:
    """A body that has arrived whole: the library reads what is there at the moment, and takes it for all."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, length: int) -> bytes:
        return self._body[:length]


class _Engine(engineio.AsyncServer):  # type: ignore[misc]  # without types
    """Engine.IO that keeps little for a client, and never waits for one to fetch the rest."""

    def create_queue(self, *_: Any, **__: Any) -> asyncio.Queue[Any]:
        return asyncio.Queue(MOST_PACKETS)

    async def disconnect(self, sid: str | None = None) -> None:
        socket = self.sockets.pop(sid, None)
        if socket:
            await socket.close(wait=False, abort=True)
            while not socket.queue.empty():
                socket.queue.get_nowait()
                socket.queue.task_done()
            # Wakes the poll or the writer that waits for something to send.
            socket.queue.put_nowait(None)


class _Server(socketio.AsyncServer):  # type: ignore[misc]  # without types
    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine


class _Client:
    """Somebody in a namespace: who it is, over which session."""

    def __init__(self, who: Identity, session: str, token: str) -> None:
        self.who = who
        self.session = session
        self.token = token
        self.telling: asyncio.Task[None] | None = None


class Sockets:
    """All Socket.IO clients of an app."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._clients: dict[str, _Client] = {}
        self._websockets: dict[str, web.Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._forms = {namespace: partial(as_packet, namespace) for namespace in NAMESPACES}
        self._server = _Server(
            async_mode="aiohttp", serializer=_TextPacket, json=_Json, namespaces=list(NAMESPACES), logger=_silence,
            engineio_logger=_silence, async_handlers=False, max_http_buffer_size=MOST_MESSAGE, http_compression=False,
            # cors.py sees to it, for all answers.
            cors_allowed_origins=[],
        )  # fmt: skip
        self._engine = self._server.eio
        self._engine._async = {
            **driver._async, "translate_request": _translated, "websocket": partial(_WebSocket, self)
        }  # fmt: skip
        self._begun = self._engine.handlers["connect"]
        self._ended = self._engine.handlers["disconnect"]
        self._engine.on("connect", self._begin)
        self._engine.on("disconnect", self._end)
        for namespace in NAMESPACES:
            self._server.on("connect", partial(self._connect, namespace), namespace)
            self._server.on("disconnect", self._disconnect, namespace)
            self._server.on("edits", self._edits, namespace)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of Engine.IO: a poll, a post, or a WebSocket that lasts."""
        if "j" in request.query:
            raise BadRequest("JSONP is not offered.")
        if "sid" not in request.query:
            self._make_room(request)
        try:
            response: web.StreamResponse = await self._engine.handle_request(request)
        except (Problem, web.HTTPException):
            raise
        except Exception as error:
            # The library trips over what it does not expect.
            log.info("request %s to Socket.IO failed: %r", request[REQUEST_ID], error)
            raise BadRequest("This is no request of Socket.IO.") from error
        if response.prepared:
            return response
        if response.status >= 400:
            raise BadRequest("This is no request of Socket.IO 5 (Engine.IO 4), or its session has ended: begin anew.")
        response.headers["Cache-Control"] = "no-store"
        return response

    async def close(self) -> None:
        """End all sessions."""
        await asyncio.gather(*(self._cut(session) for session in list(self._engine.sockets)))
        await self._server.shutdown()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _make_room(self, request: web.Request) -> None:
        if self._app[EVENTS].closed:
            raise Unavailable("The service ends.")
        others = [environ["aiohttp.request"].remote for environ in self._server.environ.values()]
        if len(others) >= MOST_SESSIONS or others.count(request.remote) >= MOST_EACH:
            raise Unavailable("There are too many connections.", code="too_many_connections")

    async def _begin(self, session: str, environ: dict[str, Any]) -> None:
        """A session, of somebody unknown yet."""
        await self._begun(session, environ)
        asyncio.get_running_loop().call_later(INTRODUCED_WITHIN, self._check_introduced, session)

    async def _end(self, session: str, reason: str) -> None:
        """A session that its client has ended: the library would let the poll that waits go on waiting."""
        await self._ended(session, reason)
        socket = self._engine.sockets.get(session)
        if socket and not socket.queue.full():
            socket.queue.put_nowait(None)

    def _check_introduced(self, session: str) -> None:
        if session in self._engine.sockets and not any(each.session == session for each in self._clients.values()):
            self._cut_later(session)

    async def _connect(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Somebody enters a namespace, `auth` being `{"token", "cursor"?}`."""
        token, cursor = (auth.get("token"), auth.get("cursor")) if isinstance(auth, dict) else (None, None)
        credentials = self._app[CREDENTIALS]
        who = await credentials.identify(token) if isinstance(token, str) and token else None
        if who is None:
            self._refuse_again(environ, self._server.manager.eio_sid_from_sid(sid, namespace))
            # A text and something beside it: a dict alone would arrive as its repr.
            raise socketio.exceptions.ConnectionRefusedError(
                "Authentication error", {"status": 401, "code": "unauthenticated"}
            )
        try:
            credentials.signed_in.take(who.user_id)
            listener = await self._app[EVENTS].listener(cursor if isinstance(cursor, str) else None)
        except Problem as problem:
            raise socketio.exceptions.ConnectionRefusedError(
                problem.detail, {"status": problem.status, "code": problem.code}
            ) from problem
        session = self._server.manager.eio_sid_from_sid(sid, namespace)
        if session not in self._engine.sockets:
            return  # gone meanwhile
        client = _Client(who, session, str(token))
        self._clients[sid] = client
        # It begins behind the answer to this, which is sent without waiting for anything.
        client.telling = self._later(self._tell(client, listener, self._forms[namespace]))

    def _refuse_again(self, environ: dict[str, Any], session: str | None) -> None:
        """Count a wrong token for its address; a session that tries too many is cut."""
        try:
            self._app[CREDENTIALS].anonymous.take(environ["aiohttp.request"].remote or "")
        except Problem:
            if session:
                self._cut_later(session)

    async def _disconnect(self, sid: str, _reason: Any = None) -> None:
        client = self._clients.pop(sid, None)
        if client and client.telling:
            client.telling.cancel()

    async def _edits(self, sid: str, sent: Any = None, *_: Any) -> dict[str, Any]:
        """The event `edits`, acknowledged with what `POST /sync/edits` answers."""
        client = self._clients.get(sid)
        if client is None:
            return {}
        try:
            # Who does not hear the answers is asked no more.
            await _drained(self._engine.sockets.get(client.session), FEW_PACKETS)
        except TimeoutError:
            self._cut_later(client.session)
        environ = self._server.environ.get(client.session)
        request_id = environ["aiohttp.request"][REQUEST_ID] if environ else ""
        return await take_edits(self._app, client.who, sent, request_id)

    async def _tell(self, client: _Client, listener: Listener, form: partial[engine.Packet]) -> None:
        """Send a client its events, each page when the one before has gone out."""
        socket = self._engine.sockets.get(client.session)
        credentials = self._app[CREDENTIALS]
        try:
            with credentials.lasting(client.who, partial(self._cut_later, client.session)):
                if await credentials.identify(client.token) is None:
                    return self._cut_later(client.session)
                await socket.send(form(listener.first))
                while not listener.closed:
                    for batch in await listener.next(HEARTBEAT_SECONDS):
                        for packet in batch.formed(form):
                            await _drained(socket, FEW_PACKETS)
                            await socket.send(packet)
                    await _drained(socket, 1)
        except (TimeoutError, Problem):
            # It takes nothing, or the feed cannot be read now: who comes back with a cursor misses nothing.
            self._cut_later(client.session)
        except EngineIOError:
            pass  # it has gone
        except Exception as error:
            log.error("telling a client of Socket.IO failed", exc_info=error)
            self._cut_later(client.session)

    async def _cut(self, session: str) -> None:
        """End a session at once, whatever it is waiting for."""
        await self._engine.disconnect(session)
        request = self._websockets.get(session)
        if request and request.transport:
            request.transport.abort()

    def _cut_later(self, session: str) -> None:
        self._later(self._cut(session))

    def _later(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def over_websocket(self, session: str, request: web.Request, work: Any) -> None:
        """Do the library's work on a WebSocket; what it trips over ends the session."""
        bounded(request)
        self._websockets[session] = request
        try:
            await work
        except Exception as error:
            log.info("request %s to Socket.IO failed: %r", request[REQUEST_ID], error)
            await self._cut(session)
        finally:
            del self._websockets[session]


class _WebSocket(driver.WebSocket):  # type: ignore[misc]  # without types
    """The library's WebSocket, without compression: that costs 300 KB for each client."""

    def __init__(self, sockets: Sockets, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._sockets = sockets

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        request = environ["aiohttp.request"]
        self._sock = web.WebSocketResponse(timeout=1.0, max_msg_size=MOST_MESSAGE, compress=False)
        await self._sock.prepare(request)
        self.environ = environ
        await self._sockets.over_websocket(self.handler.__self__.sid, request, self.handler(self))
        return self._sock


async def _drained(socket: Any, few: int) -> None:
    """Wait until a client has taken what waits for it, if that is so much; TimeoutError for one that takes nothing."""
    if socket and socket.queue.qsize() >= few:
        async with asyncio.timeout(SLOW_SECONDS):
            await socket.queue.join()


async def _translated(request: web.Request) -> dict[str, Any]:
    """A request as the library wants it, its body having arrived."""
    environ: dict[str, Any] = driver.translate_request(request)
    if request.method == "POST":
        body = await whole_body(request, MOST_MESSAGE)
        environ |= {"wsgi.input": _Body(body), "CONTENT_LENGTH": str(len(body))}
    return environ


def as_packet(namespace: str, event: Event) -> engine.Packet:
    """An event as it goes to a namespace: its name, the thing, and the cursor behind it."""
    place = "" if namespace == "/" else f"{namespace},"
    told = b'["%s",%s,%s]' % (event.name.encode(), event.data, msgspec.json.encode({"cursor": event.cursor}))
    return engine.Packet(engine.MESSAGE, data=f"{socketio.packet.EVENT}{place}{told.decode()}")
