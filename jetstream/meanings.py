"""What the fields of a struct mean: the string below each field, from the source.

For the generated reference pages, the description of the page's API and its list of config keys.
"""

import ast
import functools
import inspect
import sys
from collections.abc import Mapping
from types import MappingProxyType, ModuleType

import msgspec


@functools.cache
def meanings(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """By field, of the class and of those it inherits from. A field that has none is missing."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("jetstream."):
            continue
        node = _classes(sys.modules[base.__module__])[base.__name__]
        for field, below in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return MappingProxyType(found)


@functools.cache
def _classes(module: ModuleType) -> Mapping[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)}
