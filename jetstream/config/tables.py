"""Whether nested maps, as TOML gives them, fit a table of structs. An error is one sentence: the key, what is wrong.

Knows no table and no file: `schema` has those of a config.
"""

import difflib
import math
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from jetstream.errors import UserError


def fields_of(table: type[msgspec.Struct]) -> dict[str, Any]:
    """The type of each key of a table."""
    return get_type_hints(table, include_extras=True)


def check_keys(tree: Any, kind: Any, path: str, where: str) -> None:
    """Raise UserError for an unknown key, with the nearest known one. msgspec's own error suggests none.

    `path` is that of `tree` in the whole, and `where` begins the error.
    """
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if not isinstance(tree, dict):
            return
        known = fields_of(kind)
        for key, value in tree.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
                raise UserError(f"{where}: {path}{key}: unknown key; {hint}")
            check_keys(value, known[key], f"{path}{key}.", where)
    elif get_origin(kind) is tuple and isinstance(tree, list):
        for index, item in enumerate(tree):
            check_keys(item, get_args(kind)[0], f"{path[:-1]}[{index}].", where)


FORMS = {
    "alerts": "up to 40 letters from a to z, digits, _ and -, the first a letter or a digit",
    "cameras": "up to 40 letters from a to z, digits, _ and -, the first a letter or a digit",
    "publish": "tcp://HOST:PORT, such as tcp://127.0.0.1:5570, or ipc:///PATH",
    "metrics": "http://HOST:PORT, such as http://127.0.0.1:5571",
    "mqtt.broker": "mqtt://HOST:PORT or mqtt://user@HOST:PORT, with mqtts for TLS",
    "mqtt": "words of letters from a to z, digits, _ and -, with / between them",
    "web": "http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:5572",
}
"""What a text must look like, by the table of its key."""
_RULES: tuple[tuple[str, str], ...] = (
    (r"Expected `(?:int|float)` (>=|>|<=|<) (\S+)$", r"expected a number \1 \2"),
    (r"Expected `int`, got `float`", "expected a whole number"),
    (r"Expected `(?:float|int)`, got `(\w+)`", r"expected a number, got a \1"),
    (r"Expected `str`, got `(\w+)`", r"expected text in quotes, got a \1"),
    (r"Expected `object`, got `(\w+)`", r"expected a table, got a \1"),
    (r"Object missing required field `(\w+)`", r"needs the key \1"),
    (r"Expected `str` matching regex .*", r"has characters or a form that is not allowed"),
    (r"Expected `array`, got `(\w+)`", "expected a list"),
    (r"Expected `str` of length >= 1", r"must not be empty"),
    (r"Invalid enum value .*", r"is not one of the allowed values"),
)


def readable(error: msgspec.ValidationError, tree: Any, table: type[msgspec.Struct], name: str) -> str:
    """msgspec's error and the value as one sentence: `detect.thresholds[1]: expected a number <= 1.0, got 6`."""
    text, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    value: Any = tree
    for part in re.findall(r"[^.\[\]]+", path):
        value = value[int(part)] if isinstance(value, list) else value.get(part) if isinstance(value, dict) else None
    wanted = ""
    if text.startswith("Expected `str` matching regex"):
        form = FORMS.get(path) or FORMS.get(path.rpartition(".")[0].partition("[")[0])
        wanted = f"; write {form}" if form else ""
    for pattern, better in _RULES:
        text = re.sub(pattern, better, text)
    if text == "expected a list":
        text += ", such as [[cameras]] before each camera" if path == "cameras" else " in square brackets"
    if isinstance(value, str | int | float) and "got" not in text:
        text += f", got {value!r}"
    allowed = _allowed(path, table)
    return f"{path or name}: {text}{f' ({allowed})' if allowed else wanted}"


def _allowed(path: str, table: type[msgspec.Struct]) -> str:
    """The values that a key allows, where they are a list; else empty."""
    kind: Any = table
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = fields_of(kind).get(part)
        elif get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    for choice in (kind, *get_args(kind)):
        if get_origin(choice) is Literal:
            return "allowed: " + ", ".join(str(value) or '""' for value in get_args(choice))
    return ""


def check_finite(tree: Any, path: str, where: str) -> None:
    """Raise UserError for a number that is infinite or NaN."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            check_finite(value, f"{path}.{key}" if path else str(key), where)
    elif isinstance(tree, float) and not math.isfinite(tree):
        raise UserError(f"{where}: {path}: expected a finite number, got {tree}")
