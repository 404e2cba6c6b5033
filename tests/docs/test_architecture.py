"""ARCHITECTURE.md names every room, and only functions that are there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "ARCHITECTURE.md").read_text()
PACKAGE = REPOSITORY / "jetstream"
PLACES = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), PLACES, ids=lambda part: part)
def test_function_of_a_walk_is_there(file: str, name: str) -> None:
    (module,) = (path for path in PACKAGE.rglob("*.py") if path.match(file))

    assert name in set(names_in(module)), f"{module.relative_to(PACKAGE)} has no {name}"


def names_in(module: Path) -> Iterator[str]:
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef))


def test_there_are_three_walks() -> None:
    assert re.findall(r"^\*\*(.*?)\*\*", PAGE[PAGE.index("## Three walks") :], re.MULTILINE)[:3] == [
        "A frame",
        "A vote",
        "A photo in faces/",
    ]
    assert len(PLACES) > 30


def test_code_map_has_a_line_for_every_room() -> None:
    section = PAGE[PAGE.index("## Code map") : PAGE.index("## Three walks")]
    rooms = [path for path in PACKAGE.iterdir() if path.name not in ("__init__.py", "__pycache__")]

    assert [room.name for room in rooms if f"`{room.name}{'/' if room.is_dir() else ''}`" not in section] == []
