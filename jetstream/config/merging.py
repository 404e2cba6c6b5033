"""What a config file holds with `--set` and other options on top, and where each key came from. Knows no key."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from jetstream.errors import UserError
from jetstream.visible import trimmed, visible_tree

DEEPEST: Final = 8
"""largest number of keys in one `--set`"""
FILE: Final = "file"
SET: Final = "--set"
OPTION: Final = "command line"
STARTED: Final = "decided at the start"
"""the origin of a key that start-up completed, such as the backend of `auto`"""
_VARIABLE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def merged(data: Mapping[str, Any], sets: Sequence[str], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """`data` (nested maps, as TOML gives them), changed by `sets`, each `table.key=value`, and by `overrides`, keys by
    table. Raises UserError for one of `sets`."""
    tree: dict[str, Any] = visible_tree(msgspec.to_builtins(dict(data)))
    for setting in sets:
        _set(tree, trimmed(setting))
    for table, keys in (overrides or {}).items():
        if isinstance(keys, Mapping):
            _table(tree, table, f"--set {table}").update(keys)
        else:
            tree[table] = keys
    return tree


def origins(data: Mapping[str, Any], sets: Sequence[str], overrides: Mapping[str, Any] | None) -> dict[str, str]:
    """Where `merged` has each key from, by `table.key` or `cameras.NAME.key`: `file`, `--set` or `command line`, and
    the variables of the environment in its value. A key that is missing has its default."""
    found: dict[str, str] = {}
    before: dict[str, Any] = {}
    for origin, some_sets, some_overrides in ((FILE, (), None), (SET, sets, None), (OPTION, sets, overrides)):
        after = dict(_leaves(merged(data, some_sets, some_overrides)))
        for key, value in after.items():
            if key not in before or before[key] != value:
                names = _VARIABLE.findall(value) if isinstance(value, str) else []
                found[key] = ", ".join([origin, *names])
        before = after
    return found


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for table, keys in tree.items():
        if isinstance(keys, Mapping):
            yield from ((f"{table}.{key}", value) for key, value in keys.items())
        for index, item in enumerate(tables(keys)):
            yield from ((f"{table}.{item.get('name', index)}.{key}", value) for key, value in item.items())


def tables(items: Any) -> list[dict[str, Any]]:
    """Those in a list; none where it is no list."""
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _set(tree: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not 2 <= len(keys) <= DEEPEST or not all(keys):
        raise UserError(f"--set {setting}: expected table.key=value, such as detect.min_face_px=60")
    target: Any = tree
    for key in keys[:-1]:
        is_list = isinstance(target, list)
        target = _item(target, key, setting) if is_list else _table(target, key, f"--set {setting}")
    if not isinstance(target, dict):
        raise UserError(f"--set {setting}: {'.'.join(keys[:-1])} is not a table")
    target[keys[-1]] = _value(text.strip())


def _table(tree: dict[str, Any], key: str, where: str) -> Any:
    child = tree.setdefault(key, {})
    if not isinstance(child, dict | list):
        raise UserError(f"{where}: {key} is not a table")
    return child


def _item(items: list[Any], key: str, setting: str) -> Any:
    """The table in a list that `key` names by its index or by its `name`: `cameras.0.fps`, `cameras.door.fps`."""
    named = [item for item in items if isinstance(item, dict) and item.get("name") == key]
    if named:
        return named[0]
    if key.isascii() and key.isdecimal() and len(key) < 6 and int(key) < len(items):
        return items[int(key)]
    raise UserError(f"--set {setting}: there is no entry {key}")


def _value(text: str) -> Any:
    """`text` as a TOML value. A bare word is a string, so that a shell command needs no quotes."""
    try:
        return msgspec.toml.decode(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
