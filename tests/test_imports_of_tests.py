"""A test file stands alone: what two of them share lies in tests/support."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import REPOSITORY

TESTS = REPOSITORY / "tests"


def imported_by(tree: ast.AST) -> Iterator[str]:
    """Full names, also those that programs in strings import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "tests." in node.value:
            yield from of_program(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from of_program("".join(str(getattr(part, "value", "0")) for part in node.values))


def of_program(text: str) -> Iterator[str]:
    """Of each line that is an import, whatever stands around it."""
    for line in text.splitlines():
        try:
            yield from imported_by(ast.parse(line.strip())) if "tests." in line else ()
        except SyntaxError:
            continue


def is_shared(name: str, room: str) -> bool:
    """Whether a file of `room` may import it: from tests/support, or from a plain module of its own room."""
    _, *parts = name.split(".")
    return parts[0] == "support" or (
        parts[0] == room and not any(part == "conftest" or part.startswith("test_") for part in parts)
    )


def wrong_imports(path: Path) -> list[str]:
    room = path.relative_to(TESTS).parts[0]
    names = (name for name in imported_by(ast.parse(path.read_text())) if name.split(".")[0] == "tests")
    return [name for name in names if not is_shared(name, room)]


def test_nothing_is_imported_from_another_test_file() -> None:
    others = (path for path in TESTS.rglob("*.py") if path != Path(__file__))

    assert {str(path.relative_to(TESTS)): wrong for path in others if (wrong := wrong_imports(path))} == {}


def test_imports_of_programs_in_strings_are_seen() -> None:
    program = 'run(f"""\nfrom tests.gpu.test_on_gpu import {name}, config_of\nimport tests.conftest\n""")'

    assert "tests.conftest" in set(imported_by(ast.parse(program)))
    assert list(imported_by(ast.parse('"""\nfrom tests.a.test_b import c\n"""'))) == ["tests.a.test_b.c"]
    assert not is_shared("tests.a.test_b.c", "a")
    assert not is_shared("tests.b.harness", "a")
