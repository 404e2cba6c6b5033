"""A config key's default stands in `config/schema.py` and nowhere else."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from jetstream.config import schema

PACKAGES = ("vision", "video", "capturing", "stages", "gallery", "enroll", "recording", "replay")
INNOCENT = {
    "jetstream.gallery.audit.add(name)": "a person's name, not a camera's",
    "jetstream.gallery.store.Manifest(detector)": "the detector that made it, not the one in use",
    "jetstream.gallery.store.read(name)": "a manifest's file name, not a camera's",
    "jetstream.video.file_kinds.FileKind(name)": "a format's name, not a camera's",
    "jetstream.gallery.store.read_manifest(name)": "a manifest's file name, not a camera's",
}


def keys() -> set[str]:
    tables = (kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct))
    return {key for table in tables for key in table.__struct_fields__}


def modules(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(f"jetstream.{package}")
    for found in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
        yield importlib.import_module(found.name)


def public_calls(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Each public function, class and method that `module` defines, by its full name."""
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(item):
            yield f"{module.__name__}.{name}", item
            for method, call in vars(item).items():
                if not method.startswith("_") and callable(call := getattr(call, "__func__", call)):
                    yield f"{module.__name__}.{name}.{method}", call
        elif callable(item):
            yield f"{module.__name__}.{name}", item


def repeated_defaults(module: ModuleType) -> set[str]:
    """`module.function(parameter)` of each parameter that is named like a config key and has a default."""
    found = set()
    for name, call in public_calls(module):
        try:
            parameters = inspect.signature(call).parameters
        except (TypeError, ValueError):  # such as a type alias
            continue
        found |= {
            f"{name}({key})" for key in keys() & parameters.keys() if parameters[key].default is not inspect._empty
        }
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_parameter_named_like_a_config_key_has_a_default(package: str) -> None:
    found = set().union(*map(repeated_defaults, modules(package)))

    assert found - INNOCENT.keys() == set(), (
        "callers pass the config's value; or say in INNOCENT why it is another thing"
    )


def test_every_exception_is_still_one() -> None:
    found = set().union(*(repeated_defaults(module) for package in PACKAGES for module in modules(package)))

    assert INNOCENT.keys() <= found


def test_walk_sees_functions_classes_and_methods(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sinner.py").write_text(
        "def door(*, hold_s=0.13, other=1): ...\n"
        "class Gate:\n"
        "    def __init__(self, min_iou=0.1): ...\n"
        "    def turn(self, *, mirror=False): ...\n"
        "    @classmethod\n"
        "    def of(cls, factor=0.7): ...\n"
        "def _own(*, hold_s=0.13): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    found = repeated_defaults(importlib.import_module("sinner"))

    assert found == {
        "sinner.door(hold_s)",
        "sinner.Gate(min_iou)",
        "sinner.Gate.turn(mirror)",
        "sinner.Gate.of(factor)",
    }
