"""CORS: pages of other origins may use the API, if they are named (WHATWG Fetch §3.2). Off otherwise."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from tagline.config import CONFIG, Config

ALLOWED_HEADERS = (
    "Authorization, Content-Type, x-api-key, X-Retry-Attempt, X-Request-ID, If-Match, If-None-Match, Range, Prefer, "
    "Content-Disposition, Content-Digest, Repr-Digest, Tus-Resumable, Upload-Length, Upload-Metadata, Upload-Offset, "
    "Upload-Checksum, Upload-Defer-Length, X-HTTP-Method-Override"
)
EXPOSED_HEADERS = (
    "ETag, Location, Link, X-Total-Count, X-Request-ID, Retry-After, "
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    "Content-Disposition, Content-Range, Accept-Ranges, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, "
    "Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Tagline-Photo, "
    "Tagline-Duplicate"
)
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _allowed(request):
        headers = {
            "Access-Control-Allow-Methods": ALLOWED_METHODS, "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": "600",
        }  # fmt: skip
        return web.Response(status=204, headers=headers)
    return await handler(request)


async def _allow(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.add("Vary", "Origin")
    if _allowed(request):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def _allowed(request: web.Request) -> bool:
    return request.headers.get("Origin", "").rstrip("/") in request.app[CONFIG].cors_allowed_origins


def setup(app: web.Application, config: Config) -> None:
    """Nothing at all, unless origins are configured."""
    if config.cors_allowed_origins:
        app.middlewares.append(_preflight)
        app.on_response_prepare.append(_allow)
