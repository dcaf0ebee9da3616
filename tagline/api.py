"""`@api`: decode, authorise, call, encode. What a handler's signature says is what the API document says.

    @routes.patch("/photos/{photo_id}/metadata")
    @api(scope="write", errors=(404, 409, 412))
    async def edit_line(request: web.Request, photo_id: PhotoId, body: LineEdit) -> Photo: ...

`request` is passed on; a name in the path is a path parameter; `query` and `body` are msgspec structs.
"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from tagline.changes import Actor
from tagline.errors import BadRequest, Denied, Invalid, TooLarge, UnsupportedMedia
from tagline.limits import Left

Scope = Literal["read", "upload", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "upload", "write", "admin")
_REACH = {scope: reach for reach, scope in enumerate(SCOPES)}
Role = Literal["user", "admin", "team_admin", "owner"]

JSON_LIMIT = 1024 * 1024
# A body has so long to arrive, s.
BODY_SECONDS = 30
# A request line or header: the longest search, of 1,000 characters of 4 bytes, takes 12 KB in an address.
LINE_LIMIT = 32 * 1024

T = TypeVar("T")


class Identity(msgspec.Struct, frozen=True):
    """Who is asking, with what they may do at most. `session_id` is None for an API key, `key_id` for a session.

    `ends` is when an API key expires, µs.
    """

    user_id: str
    role: Role
    scope: Scope
    device: str
    session_id: str | None = None
    key_id: str | None = None
    ends: int | None = None

    @property
    def actor(self) -> Actor:
        """Who is written into the change feed."""
        return Actor(self.user_id, self.device)

    def may(self, scope: Scope) -> bool:
        """Whether this identity's scope covers another one."""
        return _REACH[self.scope] >= _REACH[scope]


Resolver = Callable[[web.Request], Awaitable[Identity]]

# Set by accounts: turns a request's credentials into an identity, or raises Unauthenticated.
RESOLVER: web.AppKey[Resolver] = web.AppKey("resolver")
IDENTITY = web.RequestKey("identity", Identity)
LEFT = web.RequestKey("rate_limit_left", Left)
# Whether a value of the wrong type is answered 422 (photos, root routes of accounts) or 400 (elsewhere).
_INVALID_STATUS: dict[Any, int] = {}


class Json(Generic[T]):
    """A body that is JSON already, as SQLite built it; the parameter is its schema."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes | str, headers: dict[str, str] | None = None, status: int | None = None) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = headers
        self.status = status


UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_uuid = re.compile(UUID_PATTERN[:-1] + r"\Z")

Uuid = Annotated[str, msgspec.Meta(pattern=UUID_PATTERN, extra_json_schema={"format": "uuid"})]
# RFC 3339; what reads it is times.from_text.
Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
PhotoId = NewType("PhotoId", str)


class Example(msgspec.Struct, frozen=True):
    """What one call looks like, for the API document: parameters, body, and the answer's body."""

    path: dict[str, Any] = {}
    query: dict[str, Any] = {}
    body: Any = None
    answer: Any = None


class Operation(msgspec.Struct, frozen=True):
    """All that `@api` knows of a handler; the API document is written from it."""

    handler: Any
    name: str
    summary: str
    description: str
    scope: Scope | None
    status: int
    errors: tuple[int, ...]
    example: Example
    path: dict[str, Any]
    query: Any
    body: Any
    body_optional: bool
    answer: Any
    media: str
    headers: dict[str, str]
    also: dict[int, str]
    takes: dict[str, dict[str, Any]]


OPERATION = "__operation__"


def api(
    *,
    scope: Scope | None = "read",
    status: int = 200,
    errors: Iterable[int] = (),
    example: Example | None = None,
    media: str = "application/json",
    headers: dict[str, str] | None = None,
    also: dict[int, str] | None = None,
    takes: dict[str, dict[str, Any]] | None = None,
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[[web.Request], Awaitable[web.StreamResponse]]]:
    """Declare a handler. `scope=None` needs no credentials; `media` is the type of an answer that is no JSON.

    `headers` of the request that the handler listens to, each with what it is for. `also` are further good answers.
    `takes` are the media types of a body that the handler reads itself, as a stream, each with its JSON schema.
    """

    def decorate(
        handler: Callable[..., Awaitable[Any]],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        hints = get_type_hints(handler, include_extras=True)
        doc = inspect.getdoc(handler) or ""
        summary, _, description = doc.partition("\n")
        body, optional = _without_none(hints.get("body"))
        query = hints.get("query")
        path = {name: hint for name, hint in hints.items() if name not in ("request", "query", "body", "return")}
        operation = Operation(
            handler, handler.__name__, summary.rstrip("."), description.strip(), scope, status, tuple(errors),
            example or Example(), path, query, body, optional, hints.get("return"), media,
            headers or {}, also or {}, takes or {},
        )  # fmt: skip
        decode_body = partial(_decode, decoder=msgspec.json.Decoder(body)) if body else None
        decode_query = lru_cache(maxsize=256)(partial(_query, kind=query))

        async def handle(request: web.Request) -> web.StreamResponse:
            if scope is not None:
                identity = await request.app[RESOLVER](request)
                if not identity.may(scope):
                    raise Denied(f"This needs the scope `{scope}`; the credentials have `{identity.scope}`.")
            arguments: dict[str, Any] = {}
            try:
                for name, hint in path.items():
                    arguments[name] = _path_value(name, request.match_info[name], hint)
                if query:
                    arguments["query"] = decode_query(request.rel_url.raw_query_string)
                if decode_body:
                    arguments["body"] = await _body(request, decode_body, optional)
                result = await handler(request, **arguments)
            except Invalid as problem:
                here = methods_here(request)
                if here and request.method not in here:
                    # `/photos/batch` is an address of its own, and not a photo whose id is malformed.
                    raise web.HTTPMethodNotAllowed(request.method, here) from None
                problem.status = _invalid_status(request)
                raise
            return _respond(result, status)

        handle.__name__ = handler.__name__
        handle.__doc__ = doc
        setattr(handle, OPERATION, operation)
        return handle

    return decorate


def identity(request: web.Request) -> Identity:
    """Who is asking, in a handler with a scope."""
    return request[IDENTITY]


def mount(app: web.Application, routes: web.RouteTableDef, prefixes: Sequence[str], invalid: int = 422) -> None:
    """Add a route table under each prefix. `invalid` is the status of well-formed but wrong values there."""
    for prefix in prefixes:
        for route in routes:
            assert isinstance(route, web.RouteDef)
            web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs).register(app.router)
            _INVALID_STATUS[route.handler] = invalid


def methods_here(request: web.Request) -> list[str]:
    """The methods of the routes at exactly this address; none where only patterns fit it."""
    routes = request.app.router.routes()
    return sorted(route.method for route in routes if route.resource and route.resource.canonical == request.path)


def is_uuid(text: str) -> bool:
    """Whether a text is an id as they are here."""
    return bool(_uuid.match(text))


def _invalid_status(request: web.Request) -> int:
    return _INVALID_STATUS.get(request.match_info.handler, 422)


def _without_none(hint: Any) -> tuple[Any, bool]:
    kept = [part for part in get_args(hint) if part is not type(None)]
    return (
        (kept[0], True)
        if len(kept) == 1 and len(get_args(hint)) == 2 and get_origin(hint) is not Annotated
        else (hint, False)
    )


def _path_value(name: str, text: str, hint: Any) -> Any:
    if hint is PhotoId or hint is Uuid:
        if not is_uuid(text):
            raise Invalid(name, "is not a UUID")
        return text.lower()
    if hint is str:
        return text
    return _convert({name: text}, {name: hint})[name]


def _convert(values: dict[str, str], hints: dict[str, Any]) -> dict[str, Any]:
    kind = msgspec.defstruct("Path", list(hints.items()))
    return msgspec.structs.asdict(convert(values, kind))


def _query(raw: str, kind: Any) -> Any:
    values = dict(parse_qsl(raw, keep_blank_values=True, errors="replace"))
    return convert(values, kind)


def convert(values: Any, kind: type[T]) -> T:
    """Texts into a struct; raises Invalid naming the field."""
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error, kind) from None


async def _body(request: web.Request, decode: Callable[[bytes], Any], optional: bool) -> Any:
    if optional and not request.can_read_body:
        return None
    content_type = request.content_type
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise UnsupportedMedia("Send the body as JSON, with Content-Type: application/json.")
    raw = await whole_body(request)
    if optional and not raw.strip():
        return None
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}", code="malformed_json") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.", code="malformed_json") from None


async def whole_body(request: web.Request, most: int = JSON_LIMIT) -> bytes:
    """A body of at most `most` bytes; raises TooLarge, and BadRequest for one that does not arrive as it should."""
    if (request.content_length or 0) > most:
        raise TooLarge(f"The request's body is larger than {most >> 10} KiB.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise BadRequest("The body did not arrive in time; send it again.", code="body_too_slow") from None
    except RequestPayloadError as error:
        raise BadRequest("The body is not what its Content-Encoding or Transfer-Encoding says.") from error


def _decode(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    # 5.0 is an integer for JSON Schema (2020-12, validation §6.1.1), and for some clients; not for msgspec.
    return msgspec.convert(_whole_numbers(msgspec.json.decode(raw)), decoder.type)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_FIELD = re.compile(r"(?:field|unknown field) `(\w+)`")


def invalid(error: msgspec.ValidationError, kind: Any = None) -> Invalid:
    """msgspec's message as our error: the field apart from what is wrong with it, and what is accepted instead.

    `kind` is the struct that was to be made, whose hints tell the words that a field may be.
    """
    message, found, place = str(error).rpartition(" - at `$")
    if not found:
        message, place = place, ""
    field = place.rstrip("`").removeprefix(".")
    named = _FIELD.search(message)
    if message.startswith("Invalid enum value"):
        hint = get_type_hints(kind).get(field) if kind else None
        accepted = [word for part in (hint, *get_args(hint)) for word in get_args(part) if isinstance(word, str)]
        message = f"is not one of {', '.join(dict.fromkeys(accepted))}" if accepted else message
    elif message.startswith("Expected `bool"):
        message = "is neither true nor false"
    elif UUID_PATTERN in message:
        message = "is not a UUID"
    if named:
        field = f"{field}.{named[1]}" if field else named[1]
        message = "is missing" if "missing" in message else "is not known here"
    return Invalid(field, message)


def _respond(result: Any, status: int) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    if isinstance(result, Json):
        return web.Response(
            body=result.body,
            status=result.status or status,
            content_type="application/json",
            charset="utf-8",
            headers=result.headers,
        )
    if result is None:
        return web.Response(status=204)
    return web.Response(
        body=msgspec.json.encode(result), status=status, content_type="application/json", charset="utf-8"
    )
