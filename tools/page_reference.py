"""The reference page of what programs may ask of the page: its description as OpenAPI, in tables."""

import json
from collections.abc import Iterator
from typing import Any

from jetstream.web.openapi import description

INTRODUCTION = """<!-- background -->
```sh
jetstream run configs/demo.toml --headless
```

```sh
curl -s http://127.0.0.1:5572/openapi.json
```

That is all of this page, as OpenAPI 3.1. [The page](../page.md) says how a program gets a token. What GET takes is in
its path or query, what POST takes is the JSON body. An error has a status from 400 on and one sentence,
`{"error": "..."}`. Structs may get new fields at any time, so a program ignores what it doesn't know."""
WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "map",
}


def parts(notice: str) -> Iterator[str]:
    """The page's paragraphs."""
    told = description("jetstream")
    yield from (notice, "# Every address of the page", INTRODUCTION)
    yield table(("address", "right", "what it does", "takes", "gives"), list(_rows(told)))
    for name, schema in sorted(told["components"]["schemas"].items()):
        if schema["properties"]:
            yield f"## {name}"
            yield from filter(None, (schema.get("description", ""),))
            yield table(("field", "type", "meaning"), list(_fields(schema)))


def _rows(told: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for path, methods in told["paths"].items():
        for method, row in methods.items():
            right = next((roles[0] for way in row["security"] for roles in way.values()), "none")
            body = row.get("requestBody", {"content": {}})["content"].get("application/json", {}).get("schema")
            asked = [f"`{one['name']}` {words(one['schema'])}" for one in row.get("parameters", ())]
            takes = ", ".join([*asked, *([words(body)] if body else [])])
            ((_, given),) = row["responses"]["200"]["content"].items()
            gives = words(given["schema"]) if "schema" in given else "a file"
            yield f"`{method.upper()} {path}`", right, row["summary"], takes, gives


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, field in schema["properties"].items():
        default = f"; else `{json.dumps(field['default'])}`" if "default" in field else ""
        yield f"`{name}`", words(field) + default, field.get("description", "")


def words(schema: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "nothing" if name == "Nothing" else f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join("null" if value is None else f"`{json.dumps(value)}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(words(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        inner = schema.get("items") or next(iter(schema.get("prefixItems", ())), {})
        return f"list of {words(inner)}" if inner else "list"
    if schema.get("type") == "object" and schema.get("properties"):
        return ", ".join(f"`{name}` {words(field)}" for name, field in schema["properties"].items())
    return WORDS[schema["type"]] if "type" in schema else "anything"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in line) + " |" for line in lines
    )
