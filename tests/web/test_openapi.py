"""/openapi.json says what the table of routes says, in the form of OpenAPI 3.1."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetstream.web.openapi import description, summary
from jetstream.web.routes import FileAnswer, Route, table
from tests.support.pages import page_site
from tools.page_reference import words

ROUTES = table()
TOLD = description("jetstream")


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = TOLD["paths"][route.path][route.method.lower()]
    return found


def references(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [tree["$ref"]] if "$ref" in tree else [one for part in tree.values() for one in references(part)]
    return [one for part in tree for one in references(part)] if isinstance(tree, list) else []


def test_every_route_is_there_and_nothing_else() -> None:
    told = {(path, method) for path, methods in TOLD["paths"].items() for method in methods}

    assert told == {(route.path, route.method.lower()) for route in ROUTES}


@each()
def test_route_says_what_it_does(route: Route) -> None:
    assert len(summary(route)) > 5, f"{route.does.__qualname__}: its docstring becomes the summary"
    assert operation(route)["summary"] == summary(route)


@each()
def test_right_of_a_route_is_the_role_of_both_ways_to_be_known(route: Route) -> None:
    expected = [] if route.right is None else [{"cookie": [route.right]}, {"bearer": [route.right]}]

    assert operation(route)["security"] == expected


@each()
def test_every_field_that_a_route_takes_is_told_once(route: Route) -> None:
    told = operation(route)
    asked = {one["name"]: one["in"] for one in told.get("parameters", ())}
    content = told.get("requestBody", {"content": {}})["content"]
    schema = content.get("application/json", {"schema": {}})["schema"]
    if "$ref" in schema:
        schema = TOLD["components"]["schemas"][schema["$ref"].rpartition("/")[2]]

    sent = ["body"] if "image/*" in content else [*schema.get("properties", ())]
    assert sorted([*asked, *sent]) == sorted(field.encode_name for field in msgspec.structs.fields(route.takes))
    for name, place in asked.items():
        assert (place == "path") == (f"{{{name}}}" in route.path), name


@each()
def test_answers_of_a_route(route: Route) -> None:
    told = operation(route)["responses"]

    ((kind, content),) = told["200"]["content"].items()
    assert (kind, "schema" in content) == (("*/*", False) if route.gives is FileAnswer else ("application/json", True))
    assert told["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = {one.rpartition("/")[2] for one in references(TOLD)}

    assert used == set(TOLD["components"]["schemas"])


def test_meanings_of_fields_and_structs_are_told() -> None:
    who = TOLD["components"]["schemas"]["Who"]

    assert who["description"] == "The caller, as the page needs to know."
    assert who["properties"]["may"]["description"] == "null: has to log in first"


def test_page_gives_it_with_the_name_of_its_own_cookie(tmp_path: Path) -> None:
    with page_site(tmp_path, web={"behind_proxy": True}) as page:
        page.add_user("ada", "correct horse")
        assert page.ask("GET", "/openapi.json").status == 401
        answer = page.ask("GET", "/openapi.json", Cookie=page.logged_in("ada", "correct horse"))

    assert answer.json["components"]["securitySchemes"]["cookie"]["name"] == "__Host-jetstream"
    assert answer.json["paths"] == json.loads(json.dumps(TOLD["paths"]))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "array", "items": {"$ref": "#/components/schemas/User"}}, "list of [User](#user)"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null"),
        ({"enum": ["look", None]}, '`"look"` or null'),
        ({"$ref": "#/components/schemas/Nothing"}, "nothing"),
        ({}, "anything"),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], expected: str) -> None:
    assert words(schema) == expected
