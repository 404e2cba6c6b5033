"""A field's type in a user's words: `a number from 0 to 1`, `"fp16" or "fp32"`. Used by the generated references."""

import json
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

NAMES = {float: "number", int: "whole number", str: "text", bool: "true or false", Path: "path"}


def words(hint: Any) -> str:
    """The words for a type hint as `get_type_hints(..., include_extras=True)` gives it. Raises KeyError for a type
    that no page has shown yet."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return words(parts[0]) + "".join(span(meta) for meta in parts[1:] if isinstance(meta, msgspec.Meta))
    if origin is Literal:
        return either([f"`{json.dumps(value)}`" for value in parts])
    if origin in (Union, types.UnionType):
        return either([words(part) for part in parts if part is not type(None)])
    if origin is tuple:
        return sequence(parts)
    if origin is list:
        return f"list of {plural(words(parts[0]))}"
    if origin is dict:
        return f"map of {words(parts[0])} to {words(parts[1])}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "table"
    return NAMES[hint]


def sequence(parts: tuple[Any, ...]) -> str:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return f"list of {plural(words(parts[0]))}"
    (kind,) = {words(part) for part in parts}
    return f"pair of {plural(kind)}" if len(parts) == 2 else f"{len(parts)} {plural(kind)}"


def span(meta: msgspec.Meta) -> str:
    """The range of a number; nothing for a text, whose form its meaning says."""
    low = meta.ge if meta.ge is not None else meta.gt
    high = meta.le if meta.le is not None else meta.lt
    low_words = "" if low is None else f"{'over ' if meta.gt is not None else ''}{number(low)}"
    high_words = "" if high is None else f"{'under ' if meta.lt is not None else ''}{number(high)}"
    if low_words and high_words:
        return f", {low_words} to {high_words}"
    if low_words:
        return f", {low_words}" if meta.gt is not None else f", {low_words} or more"
    return f", at most {high_words}" if high_words else ""


def number(value: float) -> str:
    """Without an exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def plural(kind: str) -> str:
    first, comma, rest = kind.partition(",")
    if first.startswith(("`", "list")):
        return kind
    return f"pairs{first.removeprefix('pair')}" if first.startswith("pair ") else f"{first}s{comma}{rest}"


def either(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
