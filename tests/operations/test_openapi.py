"""The API's document: valid, complete, true to the routes, with examples that are what they claim to be."""

import functools
import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tagline.api import OPERATION
from tagline.app import create_app
from tagline.operations.openapi import document
from tests.house import House
from tests.house import config as configured


@pytest.fixture(scope="module")
def doc(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document as `tagline openapi` writes it."""
    return document(create_app(configured(tmp_path_factory.mktemp("data"))))


def operations(doc: Any) -> list[tuple[str, str, Any]]:
    return [(method, path, operation) for path, item in doc["paths"].items() for method, operation in item.items()]


def resolved(doc: Any, node: Any) -> Any:
    """What a node refers to, or itself."""
    while "$ref" in node:
        where = node["$ref"].removeprefix("#/").split("/")
        node = functools.reduce(lambda found, part: found[part], where, doc)
    return node


def check(doc: Any, schema: Any, value: Any) -> None:
    """Validate against a schema that may refer to the document's components, as OpenAPI 3.1 means it (2020-12)."""
    whole = {**schema, "components": doc["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


def test_the_document_is_valid_openapi(doc: Any) -> None:
    OpenAPIV31SpecValidator(doc).validate()
    assert doc["openapi"] == "3.1.0"


async def test_the_service_and_the_command_give_the_same_document(house: House, doc: Any) -> None:
    for path in ("/api/openapi.json", "/api/v1/openapi.json"):
        answer = await house.eve.get(path)
        assert answer.status == 200
        assert answer.json == doc


async def test_every_route_is_described_once(house: House, doc: Any) -> None:
    """Under /api; the same at the root and under /api/v1 is said in the introduction, and so is WebDAV, whose methods
    OpenAPI does not know."""
    described = {(method.upper(), path) for method, path, _ in operations(doc)}
    served = {
        (route.method, re.sub(r"^(/api/v1|/api|)(?=/)", "/api", route.resource.canonical))
        for route in house.app.router.routes()
        if route.resource and hasattr(route.handler, OPERATION) and route.method != "HEAD"
        if not route.resource.canonical.startswith("/dav")
    }
    assert "`/dav/`" in doc["info"]["description"]
    assert described == served


def test_every_operation_has_a_name_of_its_own(doc: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(doc)]
    assert len(names) == len(set(names))


def test_every_operation_is_summarised_in_a_sentence_and_tagged(doc: Any) -> None:
    for method, path, operation in operations(doc):
        assert re.match(r"[A-Z].{7,}[^.]$", operation["summary"]), (method, path)
        assert all(operation["tags"]), (method, path)
        assert len(operation["tags"]) == 1, (method, path)


def test_every_schema_and_field_that_is_sent_says_what_it_is(doc: Any) -> None:
    for name, schema in doc["components"]["schemas"].items():
        assert schema.get("description"), name


def test_every_answer_that_is_json_has_an_example_that_is_valid(doc: Any) -> None:
    for method, path, operation in operations(doc):
        for status, answer in operation["responses"].items():
            content = resolved(doc, answer).get("content", {}).get("application/json")
            if content:
                assert "example" in content, (method, path, status)
                check(doc, content["schema"], content["example"])


def test_no_example_leaves_out_what_the_answer_has(doc: Any) -> None:
    """Not only what a schema requires: a field with a default is always there as well."""

    def whole(schema: Any, value: Any, where: str) -> None:
        schema = resolved(doc, schema)
        for kind in schema.get("anyOf", []):
            if value is not None and resolved(doc, kind).get("type") != "null":
                whole(kind, value, where)
        if isinstance(value, list) and "items" in schema:
            for each in value:
                whole(schema["items"], each, where)
        if isinstance(value, dict) and "properties" in schema:
            # What is told to everybody of their health is the status alone.
            if schema["title"] not in ("Health", "BatchItem"):
                assert set(value) == set(schema["properties"]), where
            for name, each in value.items():
                whole(schema["properties"][name], each, f"{where}.{name}")

    for method, path, operation in operations(doc):
        good = min(operation["responses"])
        content = operation["responses"][good].get("content", {}).get("application/json")
        if content and "$ref" in content["schema"]:
            whole(content["schema"], content["example"], f"{method} {path}")


def test_every_body_has_an_example_that_is_valid(doc: Any) -> None:
    bodies = 0
    for method, path, operation in operations(doc):
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            content = operation["requestBody"]["content"]["application/json"]
            assert "example" in content, (method, path)
            check(doc, content["schema"], content["example"])
            bodies += 1
    assert bodies >= 8


def test_every_parameter_in_a_path_has_an_example_that_is_valid(doc: Any) -> None:
    for method, path, operation in operations(doc):
        there = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert there == set(re.findall(r"\{(\w+)\}", path)), (method, path)
        for parameter in operation["parameters"]:
            assert parameter["in"] != "path" or "example" in parameter, (method, path)
            if "example" in parameter:
                check(doc, parameter["schema"], parameter["example"])


def test_every_error_that_a_client_may_meet_is_listed_in_the_one_form(doc: Any) -> None:
    for method, path, operation in operations(doc):
        statuses = set(operation["responses"])
        is_open = operation.get("security") == []
        assert ({"401", "403"} <= statuses) or is_open, (method, path)
        assert "429" in statuses, (method, path)
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= statuses, (method, path)
        for status in statuses:
            if status >= "400" and (path, status) != ("/api/health", "503"):
                assert operation["responses"][status] == {"$ref": "#/components/responses/Problem"}


def test_what_is_open_and_what_scope_the_rest_needs_is_told(doc: Any) -> None:
    for method, path, operation in operations(doc):
        if operation.get("security") == []:
            assert "x-scope" not in operation
        else:
            assert operation["x-scope"] in ("read", "upload", "write", "admin"), (method, path)
    assert set(doc["components"]["securitySchemes"]) == {"bearer", "apiKey", "cookie"}


READABLE = [
    "/photos", "/photos/timeline", "/photos/untold", "/albums", "/keywords", "/jobs", "/health", "/health/live",
    "/health/ready", "/auth/profile", "/auth/sessions", "/auth/keys",
]  # fmt: skip


async def test_real_answers_are_what_the_document_says(house: House, doc: Any) -> None:
    for path in READABLE:
        answer = await house.ana.get(f"/api{path}")
        content = doc["paths"][f"/api{path}"]["get"]["responses"]["200"]["content"]["application/json"]
        check(doc, content["schema"], answer.json)
    problem = doc["components"]["responses"]["Problem"]["content"]["application/problem+json"]["schema"]
    for path in ("/nothing", "/photos?limit=0", "/photos/x"):
        check(doc, problem, (await house.ana.get(f"/api{path}")).json)
