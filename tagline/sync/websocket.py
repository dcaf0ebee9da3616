"""The plain WebSocket (RFC 6455) at `/ws/sync`: events as JSON texts, and edits on the way back."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from tagline.accounts.credentials import CREDENTIALS, credentials_of, is_same_origin
from tagline.answers import REQUEST_ID
from tagline.api import IDENTITY, LEFT, Identity, invalid
from tagline.config import CONFIG
from tagline.errors import BadRequest, Denied, Problem, Unauthenticated
from tagline.sync.events import EVENTS, Event, Listener
from tagline.sync.lasting import (
    HEARTBEAT_SECONDS,
    INTRODUCED_WITHIN,
    MOST_MESSAGE,
    SLOW_SECONDS,
    bounded,
    drop,
    not_json,
    refusal,
    take_edits,
)

log = logging.getLogger(__name__)

# How long a close is waited for that the client does not answer, s.
CLOSE_SECONDS = 1.0


class Introduction(msgspec.Struct, tag_field="type", tag="auth", forbid_unknown_fields=True):
    """Who it is, from a client that could not say so in the request. `cursor` is where to go on from."""

    token: str
    cursor: str | None = None


class EditsMessage(msgspec.Struct, tag_field="type", tag="edits", forbid_unknown_fields=True):
    """Edits as `POST /sync/edits` takes them; `id` comes back with the results."""

    edits: Any
    id: str | int | None = None


_message: msgspec.json.Decoder[Introduction | EditsMessage] = msgspec.json.Decoder(Introduction | EditsMessage)


async def websocket(request: web.Request) -> web.StreamResponse:
    """Events and edits, over a WebSocket.

    Credentials as everywhere; a cookie counts only for our own pages. Without any, the first message has to be
    `{"type": "auth", "token": …}`.
    """
    who = await _known(request)
    ws = web.WebSocketResponse(
        timeout=CLOSE_SECONDS, heartbeat=2 * HEARTBEAT_SECONDS, max_msg_size=MOST_MESSAGE, compress=False
    )
    if not ws.can_prepare(request):
        raise BadRequest("Open this address as a WebSocket.")
    await ws.prepare(request)
    bounded(request)
    token, cursor = credentials_of(request)[0], request.query.get("cursor")
    with suppress(ConnectionError):
        if who is None:
            request.app[UNKNOWN].add(ws)
            try:
                introduction = await _introduction(request, ws)
            finally:
                request.app[UNKNOWN].discard(ws)
            if introduction is None:
                return ws
            token, cursor = introduction.token, introduction.cursor or cursor
        await _serve(request, ws, token, cursor)
    return ws


async def _known(request: web.Request) -> Identity | None:
    """Who is asking, if the request says so; raises Unauthenticated, or Denied for a cookie that another site sent."""
    token, from_cookie = credentials_of(request)
    if from_cookie and token and not is_same_origin(request):
        # Browsers always say the page's origin here; programs say none, and may have kept the cookie of their sign-in.
        origin = request.headers.get("Origin")
        if origin is not None and origin.rstrip("/") not in request.app[CONFIG].cors_allowed_origins:
            raise Denied("A cookie alone cannot open this, since another site's page might have.", code="cross_site")
        token = None
    credentials = request.app[CREDENTIALS]
    if token:
        return await credentials.resolve(request)
    request[LEFT] = credentials.anonymous.take(request.remote or "")
    return None


async def _introduction(request: web.Request, ws: web.WebSocketResponse) -> Introduction | None:
    """The first message, of somebody who is known by it; None for anybody else, who is told so and sent away."""
    try:
        async with asyncio.timeout(INTRODUCED_WITHIN):
            first = await ws.receive()
        message = _read(first)
        if isinstance(message, Introduction):
            return message
        problem: Problem = Unauthenticated('Sign in first: {"type": "auth", "token": …}')
    except TimeoutError:
        problem = Unauthenticated('Nobody said who this is: {"type": "auth", "token": …}')
    except Problem as error:
        problem = error
    if not ws.closed:
        await _send_away(request, ws, problem)
    return None


async def _serve(request: web.Request, ws: web.WebSocketResponse, token: str | None, cursor: str | None) -> None:
    """Tell events and take edits until one side has enough."""
    credentials = request.app[CREDENTIALS]
    found = await credentials.identify(token) if token else None
    if found is None:
        return await _send_away(request, ws, Unauthenticated("Invalid or expired token"))
    request[IDENTITY] = found
    with credentials.held(request):
        # Between the look above and this moment they may have ended.
        if await credentials.identify(token or "") is None:
            return await _send_away(request, ws, Unauthenticated("Invalid or expired token"))
        listener = await request.app[EVENTS].listener(cursor)
        telling = asyncio.create_task(_tell(request, ws, listener))
        try:
            async for message in ws:
                await _send(ws, await _answer(request, found, message))
        except TimeoutError:
            drop(request)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


async def _tell(request: web.Request, ws: web.WebSocketResponse, listener: Listener) -> None:
    try:
        await _send(ws, as_message(listener.first))
        while not listener.closed:
            for batch in await listener.next(HEARTBEAT_SECONDS):
                for text in batch.formed(as_message):
                    await _send(ws, text)
        await ws.close(code=WSCloseCode.GOING_AWAY, message=b"the service ends")
    except TimeoutError:
        drop(request)
    except Problem:
        # The feed cannot be read now: who comes back with the last cursor misses nothing.
        await ws.close(code=WSCloseCode.TRY_AGAIN_LATER)
    except ConnectionError:
        pass  # the client has gone, as the other side of this connection notices as well
    except Exception as error:
        log.error("request %s failed", request[REQUEST_ID], exc_info=error)
        await ws.close(code=WSCloseCode.INTERNAL_ERROR)


async def _answer(request: web.Request, who: Identity, message: WSMessage) -> str:
    """The answer to one message."""
    request_id, asked = request[REQUEST_ID], None
    try:
        sent = _read(message)
        if isinstance(sent, EditsMessage):
            asked = sent.id
            taken = await take_edits(request.app, who, {"edits": sent.edits}, request_id)
        else:
            taken = refusal(BadRequest("This connection is signed in already."), request_id)
    except Problem as problem:
        taken = refusal(problem, request_id)
    kind = "error" if "problem" in taken else "edits"
    return msgspec.json.encode({"type": kind, "id": asked, **taken}).decode()


def _read(message: WSMessage) -> Introduction | EditsMessage:
    """A message from a client; raises BadRequest or Invalid."""
    if message.type is not WSMsgType.TEXT:
        raise BadRequest("Messages are JSON, in text frames.")
    try:
        return _message.decode(message.data)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_json(error) from None


async def _send_away(request: web.Request, ws: web.WebSocketResponse, problem: Problem) -> None:
    told = {"type": "error", "id": None, **refusal(problem, request[REQUEST_ID])}
    await _send(ws, msgspec.json.encode(told).decode())
    await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=problem.code.encode())


async def _send(ws: web.WebSocketResponse, text: str) -> None:
    async with asyncio.timeout(SLOW_SECONDS):
        await ws.send_str(text)


def as_message(event: Event) -> str:
    """An event as the text of a message."""
    cursor = b"null" if event.cursor is None else b'"%s"' % event.cursor.encode()
    return (b'{"type":"%s","cursor":%s,"data":%s}' % (event.name.encode(), cursor, event.data)).decode()


async def send_unknown_away(app: web.Application) -> None:
    """The service ends: who has not said who it is need not do so any more."""
    await asyncio.gather(*(ws.close(code=WSCloseCode.GOING_AWAY) for ws in app[UNKNOWN]))


# Open connections of nobody known yet.
UNKNOWN = web.AppKey("unknown", set[web.WebSocketResponse])
