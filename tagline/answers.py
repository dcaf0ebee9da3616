"""What every answer has: a request id, security headers, one form of error, one line in the log."""

import asyncio
import itertools
import logging
import re
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from tagline import errors
from tagline.api import IDENTITY, LEFT, methods_here
from tagline.config import CONFIG
from tagline.db import trouble
from tagline.logs import REQUESTS, RequestLog

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID = web.RequestKey("request_id", str)
BEGUN = web.RequestKey("begun", bool)

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}

# Request ids are unguessable by the start's part and unique by the number.
_START = secrets.token_hex(6)
_numbers = itertools.count(1)

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")
_BY_STATUS: dict[int, type[errors.Problem]] = {
    problem.status: problem
    for problem in vars(errors).values()
    if isinstance(problem, type) and issubclass(problem, errors.Problem) and problem is not errors.Invalid
}


@web.middleware
async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: nothing leaves without passing here."""
    started = time.perf_counter()
    asked = request.headers.get("X-Request-ID")
    request_id = asked if asked and _SANE_ID.fullmatch(asked) else f"{_START}-{next(_numbers)}"
    request[REQUEST_ID] = request_id
    status = 499  # the client went away
    try:
        try:
            response = await handler(request)
        except web.HTTPRedirection as redirection:
            status = redirection.status
            raise
        except Exception as error:
            response = _error_response(request, error, request_id)
        status = response.status
        return response
    finally:
        identity = request.get(IDENTITY)
        resource = request.match_info.route.resource
        request.app[REQUESTS].add(
            request_id, request.method, resource.canonical if resource else "(unknown)", status, started,
            identity.user_id if identity else None, request.remote,
        )  # fmt: skip


def _error_response(request: web.Request, error: Exception, request_id: str) -> web.StreamResponse:
    problem = _as_problem(error)
    if problem.status == 405:
        # aiohttp counts in the methods of patterns that fit the address as well.
        problem.headers["Allow"] = ",".join(methods_here(request)) or problem.headers["Allow"]
    if problem.status == 500:
        log.error("request %s failed", request_id, exc_info=error)
    if request.get(BEGUN):
        # Headers and part of a body are out: all that is left to say is that it is not whole.
        if request.transport:
            request.transport.abort()
        raise asyncio.CancelledError from error
    body = b"" if request.method == "HEAD" else msgspec.json.encode(problem.body(request_id))
    headers = {**problem.headers, "Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    return web.Response(status=problem.status, body=body, headers=headers)


def _as_problem(error: Exception) -> errors.Problem:
    """Any exception as a domain error. A bug says nothing of itself to the client."""
    if isinstance(error, sqlite3.Error | OSError):
        known = trouble(error)
        if isinstance(known, errors.Problem):
            return known
    if isinstance(error, errors.Problem):
        return error
    if isinstance(error, web.HTTPException):
        kept = {
            name: value
            for name, value in error.headers.items()
            if name.lower() not in ("content-type", "content-length")
        }
        kind = _BY_STATUS.get(error.status, errors.Problem)
        problem = kind(_DETAILS.get(error.status, error.reason), headers=kept)
        problem.status = error.status
        return problem
    return errors.Problem("Something went wrong inside Tagline. The log has the details under this request's id.")


_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take that method; Allow lists those it takes.",
    413: "The request's body is larger than allowed here.",
}


async def finish(request: web.Request, response: web.StreamResponse) -> None:
    """`on_response_prepare`: the headers that every answer has, streamed ones as well."""
    request[BEGUN] = True
    headers = response.headers
    headers["Server"] = "tagline"
    headers.setdefault("Cache-Control", "private, no-cache")
    headers["X-Request-ID"] = request.get(REQUEST_ID, "")
    if "Content-Security-Policy" in headers:
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
    else:
        headers.extend(SECURITY_HEADERS)
    if request.secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    left = request.get(LEFT)
    if left:
        headers["RateLimit-Limit"] = str(left.limit)
        headers["RateLimit-Remaining"] = str(left.remaining)
        headers["RateLimit-Reset"] = str(left.reset)


def setup(app: web.Application) -> None:
    """Put the middleware outermost and the headers on everything."""
    requests = RequestLog(app[CONFIG].log_format == "json")
    app[REQUESTS] = requests
    app.middlewares.insert(0, answers)
    app.on_response_prepare.append(finish)

    async def flush(_: web.Application) -> None:
        requests.flush()

    app.on_cleanup.append(flush)
