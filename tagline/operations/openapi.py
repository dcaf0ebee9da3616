"""The OpenAPI 3.1 document, written from the routes: what `@api` knows of a handler, and its types' schemas."""

import re
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec
from aiohttp import hdrs, web

from tagline import __version__
from tagline.api import OPERATION, UUID_PATTERN, Json, Operation, PhotoId, Uuid

REF = "#/components/schemas/{name}"


class FieldError(msgspec.Struct):
    """A field of the request that is wrong, and how."""

    field: str
    message: str


class ProblemBody(msgspec.Struct, omit_defaults=True):
    """Every error (RFC 9457). `code` is stable; `detail`, `error` and `message` are the same sentence; `current` is
    the thing as it is now, after a conflict."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    success: bool
    error: str
    message: str
    request_id: str
    errors: list[FieldError] | None = None
    current: Any = None


def operations(app: web.Application) -> list[tuple[str, str, Operation]]:
    """All operations as (method, path, operation), each once: under `/api`, else where it is."""
    found: dict[tuple[str, str], tuple[str, Operation]] = {}
    for route in app.router.routes():
        operation = getattr(route.handler, OPERATION, None)
        if operation is None or route.resource is None or route.method == hdrs.METH_HEAD:
            continue
        path = route.resource.canonical
        if path.startswith("/dav"):
            # OpenAPI knows eight methods, and PROPFIND is none of them.
            continue
        key = (route.method, operation.name)
        if key not in found or (path.startswith("/api/") and not path.startswith("/api/v1/")):
            found[key] = path, operation
    return [(method, path, operation) for (method, _), (path, operation) in found.items()]


def document(app: web.Application) -> dict[str, Any]:
    """The whole document, ready for JSON."""
    listed = operations(app)
    types: list[Any] = [ProblemBody]
    for _, _, operation in listed:
        types += [kind for kind in (operation.query, operation.body, answer_type(operation)) if kind is not None]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation in sorted(listed, key=lambda each: each[1]):
        paths.setdefault(path, {})[method.lower()] = _operation(operation, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tagline", "version": __version__,
            "description": "A home server for photos and the words that go with them. The library's routes and sign-in "
            "also answer without `/api`; `/api/v1` names this version. Beside this API there is WebDAV (RFC 4918, "
            "classes 1 and 2) at `/dav/`, whose methods OpenAPI cannot describe: the library as folders, by Basic "
            "authentication with any user name and an API key as the password.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "an access token, or an API key"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "tagline_access_token"},
            },
            "responses": {
                "Problem": {
                    "description": "What went wrong, and what to do next",
                    "content": {"application/problem+json": {"schema": {"$ref": REF.format(name="ProblemBody")}}},
                }
            },
        },
    }  # fmt: skip


def answer_type(operation: Operation) -> Any:
    """The type of an answer that is JSON, else None."""
    answer = operation.answer
    kinds = [
        kind for kind in (get_args(answer) if not _is_generic(answer) else (answer,)) if kind is not type(None)
    ] or [answer]
    kind = kinds[0]
    if get_origin(kind) is Json:
        return get_args(kind)[0]
    return None if kind in (None, type(None), web.StreamResponse) else kind


def _is_generic(hint: Any) -> bool:
    return isinstance(get_origin(hint), type) and get_origin(hint) is Json


def _operation(operation: Operation, path: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [_tag(path)],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_headers(operation)],
        "responses": _responses(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.scope is None:
        described["security"] = []
    else:
        described["x-scope"] = operation.scope
    if operation.body is not None:
        content: dict[str, Any] = {"schema": {"$ref": REF.format(name=operation.body.__name__)}}
        if operation.example.body is not None:
            content["example"] = operation.example.body
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": content},
        }
    elif operation.takes:
        content = {media: {"schema": schema} for media, schema in operation.takes.items()}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _tag(path: str) -> str:
    first = re.sub(r"^/api", "", path).strip("/").partition("/")[0]
    return {
        "rescan": "photos",
        "login": "sign-in",
        "logout": "sign-in",
        "refresh": "sign-in",
        "setup": "sign-in",
        "openapi.json": "health",
    }.get(first, first)


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = []
    for name, hint in operation.path.items():
        if hint is PhotoId or hint is Uuid:
            schema: dict[str, Any] = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
        else:
            schema = msgspec.json.schema(hint)
        parameter = {"name": name, "in": "path", "required": True, "schema": schema}
        if name in operation.example.path:
            parameter["example"] = operation.example.path[name]
        parameters.append(parameter)
    return parameters


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    _, components = msgspec.json.schema_components([operation.query], ref_template=REF)
    schema = components[operation.query.__name__]
    parameters = []
    for name, described in schema["properties"].items():
        required = name in schema.get("required", ())
        parameter = {"name": name, "in": "query", "required": required, "schema": _without_null(described)}
        if name in operation.example.query:
            parameter["example"] = operation.example.query[name]
        parameters.append(parameter)
    return parameters


def _headers(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": purpose, "schema": {"type": "string"}}
        for name, purpose in operation.headers.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null."""
    kept = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kept) == 1:
        schema = {**kept[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
    if None in schema.get("enum", ()):
        schema = {**schema, "enum": [value for value in schema["enum"] if value is not None]}
    return {name: value for name, value in schema.items() if not (name == "default" and value is None)}


def _responses(operation: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    kind = answer_type(operation)
    if kind is not None:
        schema = msgspec.json.schema_components([kind], ref_template=REF)[0][0]
        good["content"] = {"application/json": {"schema": schema}}
        if operation.example.answer is not None:
            good["content"]["application/json"]["example"] = msgspec.to_builtins(operation.example.answer)
    elif operation.media != "application/json":
        good["content"] = {operation.media: {"schema": {"type": "string", "contentMediaType": operation.media}}}
    responses: dict[str, Any] = {str(operation.status): good}
    for status, description in operation.also.items():
        bodiless = status in (204, 304)
        responses[str(status)] = {"description": description} if bodiless else {**good, "description": description}
    if operation.name == "rescan":
        responses["202"] = {"description": "The scan runs; Location names its job", "content": _STARTED}
    always = {401, 403, 429, 503} if operation.scope is not None else {429, 503}
    if operation.scope not in ("read", None):
        always.add(507)
    with_body = {400, 413, 415} if operation.body is not None or operation.takes else set()
    for status in sorted({*operation.errors, *always, *with_body}):
        responses[str(status)] = {"$ref": "#/components/responses/Problem"}
    if operation.name == "get_health":
        responses["503"] = {"description": "Nothing works", "content": good["content"]}
    return responses


_JOB_LINK = "/api/jobs/b5d0f3a2-4e8b-4c57-9d0a-1f7c52e0a9b6"
# The one answer that depends on a header: `Prefer: respond-async`.
_STARTED: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["job", "links"],
            "properties": {
                "job": {"type": "string", "format": "uuid"},
                "links": {"type": "object", "required": ["job"], "properties": {"job": {"type": "string"}}},
            },
        },
        "example": {"job": _JOB_LINK.rpartition("/")[2], "links": {"job": _JOB_LINK}},
    }
}
