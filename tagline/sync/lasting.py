"""Lasting connections: what one may cost, who is dropped, and what clients may send over them."""

import logging
import socket
from typing import Any

import msgspec
from aiohttp import web

from tagline.accounts.credentials import CREDENTIALS, credentials_of
from tagline.answers import REQUEST_ID
from tagline.api import Identity, invalid
from tagline.db import DB
from tagline.errors import BadRequest, Denied, Problem
from tagline.sync import edits
from tagline.sync.edits import OfflineEdits

log = logging.getLogger(__name__)

# Whose connection takes nothing for so long is dropped, s.
SLOW_SECONDS = 20.0
# How often something goes over a connection on which nothing happens, s.
HEARTBEAT_SECONDS = 15.0
# Within so long a client has to say who it is, s.
INTRODUCED_WITHIN = 10.0
# What may wait in the system's memory for one listener, and what a client may send at once, bytes.
SEND_BUFFER = 128 * 1024
MOST_MESSAGE = 256 * 1024


def bounded(request: web.Request) -> None:
    """Bound what the system keeps for a connection, and let it find out by itself that the other end is gone."""
    sock = request.transport.get_extra_info("socket") if request.transport else None
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        # A phone that fell asleep says no good-bye; what is sent to it stays unanswered.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * HEARTBEAT_SECONDS * 1000))


def drop(request: web.Request) -> None:
    """End the connection of a client that takes nothing."""
    log.info("request %s from %s takes nothing for %.0f seconds", request[REQUEST_ID], request.remote, SLOW_SECONDS)
    if request.transport:
        request.transport.abort()


async def ended_meanwhile(request: web.Request) -> bool:
    """Whether the credentials of a request ended between their check and the moment from which on they are held."""
    token, _ = credentials_of(request)
    return token is None or await request.app[CREDENTIALS].identify(token) is None


async def take_edits(app: web.Application, who: Identity, sent: Any, request_id: str) -> dict[str, Any]:
    """Edits that came over a connection, `{"edits": […]}`, by the code of `POST /sync/edits`.

    Gives what that answers, or `{"problem": …}` with the body that an error has there.
    """
    try:
        app[CREDENTIALS].signed_in.take(who.user_id)
        if not who.may("write"):
            raise Denied(f"This needs the scope `write`; the credentials have `{who.scope}`.")
        try:
            batch = msgspec.convert(sent, OfflineEdits)
        except msgspec.ValidationError as error:
            raise invalid(error) from None
        return {"results": await edits.merge(app[DB], who, batch.edits)}
    except Problem as problem:
        return refusal(problem, request_id)
    except Exception as error:
        log.error("request %s failed", request_id, exc_info=error)
        return refusal(Problem("Something went wrong inside Tagline. The log has the details."), request_id)


def refusal(problem: Problem, request_id: str) -> dict[str, Any]:
    """A problem as it is told over a connection. A wrong value is 400 in sync, as the routes have it."""
    if problem.status == 422:
        problem.status = 400
    return {"problem": problem.body(request_id)}


def not_json(error: Exception) -> BadRequest:
    """The answer to a message that cannot be read at all."""
    why = "It is nested too deeply." if isinstance(error, RecursionError) else str(error)
    return BadRequest(f"The message is not valid JSON: {why}", code="malformed_json")
