"""The table of routes as OpenAPI 3.1 (spec.openapis.org/oas/v3.1.1), for programs and for the page's list of them."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from jetstream import __version__
from jetstream.meanings import meanings
from jetstream.web.access import Caller
from jetstream.web.routes import FileAnswer, Nothing, Route, table
from jetstream.web.site import Site

PLACE: Final = "#/components/schemas/{name}"
ABOUT: Final = (
    "What the page asks of jetstream, and what programs may ask. Answers are JSON. An error has a status from 400 on "
    "and one sentence. Each request needs a right, told as a role of its security scheme: look, sort or rule, each "
    "with those before it. Live pictures come over a WebSocket at /api/live, which needs look."
)


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Why a request was refused, or can't be answered."""

    error: str
    """one sentence"""


def openapi(site: Site, _: Nothing, __: Caller) -> dict[str, Any]:
    """This description, as OpenAPI 3.1."""
    return description(site.cookie)


@functools.cache
def description(cookie: str) -> dict[str, Any]:
    """The whole table. `cookie`: the name of that with the session."""
    rows, paths = table(), dict[str, dict[str, Any]]()
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    bodies = [row.takes for row in rows if row.method != "GET" and not row.most_bytes and not _in_path(row)]
    kinds = [ErrorAnswer, *bodies, *(row.gives for row in rows if row.gives is not FileAnswer)]
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "jetstream",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(kinds),
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
                "bearer": {"type": "http", "scheme": "bearer", "description": "a token of `jetstream tokens new`"},
            },
        },
    }


def summary(row: Route) -> str:
    """What a row does: the first line of its function's docstring, without the point. Empty: it has none."""
    return (row.does.__doc__ or "").strip().partition("\n")[0].removesuffix(".")


def _operation(row: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": summary(row), "tags": [subject(row)]}
    asked = [_parameter(row, name) for name in _in_path(row)]
    fields = _fields(row.takes)
    rest = {name: schema for name, schema in fields.items() if name not in _in_path(row)}
    if row.most_bytes:
        del rest["body"]
        found["requestBody"] = {"content": {"image/*": {}}, "required": True}
    if row.method == "GET" or row.most_bytes:
        asked += [_parameter(row, name) for name in rest]
    elif not _in_path(row):
        found["requestBody"] = _content(_schema(row.takes), required=True)
    else:
        needed = [name for name in _required(row.takes) if name in rest]
        body = {"type": "object", "properties": rest, "required": needed, "additionalProperties": False}
        found["requestBody"] = _content(body, required=True)
    if asked:
        found["parameters"] = asked
    found["responses"] = {
        "200": {"description": "done", "content": {"*/*": {}}}
        if row.gives is FileAnswer
        else {"description": "done", **_content(_schema(row.gives))},
        "default": {"description": "refused or failed", **_content(_schema(ErrorAnswer))},
    }
    found["security"] = [] if row.right is None else [{"cookie": [row.right]}, {"bearer": [row.right]}]
    return found


def subject(row: Route) -> str:
    """What a row is about: the first word of its path after `api`."""
    return row.path.removeprefix("/api").split("/")[1]


def _in_path(row: Route) -> list[str]:
    return [part[1:-1] for part in row.path.split("/") if part.startswith("{")]


def _parameter(row: Route, name: str) -> dict[str, Any]:
    is_path = name in _in_path(row)
    schema = dict(_fields(row.takes)[name])
    told = schema.pop("description", "")
    return {
        "name": name,
        "in": "path" if is_path else "query",
        "required": is_path or name in _required(row.takes),
        **({"description": told} if told else {}),
        "schema": schema,
    }


def _content(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}, **more}


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=PLACE)
    return schema


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of each field."""
    found: dict[str, Any] = _schemas([kind])[kind.__name__]["properties"]
    return found


def _required(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind) if field.required]


def _schemas(kinds: Sequence[Any]) -> dict[str, Any]:
    """Those of all structs in `kinds`, by name, with what their fields mean."""
    _, found = msgspec.json.schema_components(kinds, ref_template=PLACE)
    for kind in {one for hint in kinds for one in _structs(hint)}:
        for name, meaning in meanings(kind).items():
            if name in found[kind.__name__]["properties"]:
                found[kind.__name__]["properties"][name]["description"] = meaning
    return found


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and get_origin(hint) is None and issubclass(hint, msgspec.Struct):
        yield hint
        for inner in get_type_hints(hint, include_extras=True).values():
            yield from _structs(inner)
    for part in get_args(hint):
        yield from _structs(part)


ROUTES: tuple[Route, ...] = (Route("GET", "/openapi.json", "look", openapi, gives=dict[str, Any]),)
