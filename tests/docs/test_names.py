"""Config keys, files and tests that a page names are there."""

import re
import typing
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from jetstream.config.schema import Config, ConfigTable
from tests.support.repository import REPOSITORY
from tools.pages import all_pages

TABLES = {
    field.name: {key.name for key in msgspec.structs.fields(table)}
    for field in msgspec.structs.fields(Config)
    for table in (field.type, *typing.get_args(field.type))
    if isinstance(table, type) and issubclass(table, ConfigTable)
}
KEY = re.compile(r"`([a-z]+)\.([a-z_]+)(?: = [^`]*)?`")
FILE = re.compile(r"`([\w/]+/\w+\.(?:py|toml|cu))\b")
FOLDERS = ("benchmarks", "configs", "docs", "jetstream", "tests", "tools")
OF_A_RECIPE = "detect.detector"
"""a key of CONTRIBUTING that a second detector would add"""
PAGES = [page for page in all_pages() if page.name != "CHANGELOG.md"]  # which also tells of what was


def strange_keys(text: str) -> Iterator[str]:
    for table, key in KEY.findall(text):
        if table in TABLES and key not in TABLES[table] and key != "py":
            yield f"{table}.{key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_config_keys_of_a_page_are_keys(page: Path) -> None:
    assert [key for key in strange_keys(page.read_text()) if key != OF_A_RECIPE] == []


def test_key_of_another_version_is_found() -> None:
    assert list(strange_keys("`detect.min_face_px = 40`, `detect.pyramid`, `pipeline.py`")) == ["detect.pyramid"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_of_a_page_are_there(page: Path) -> None:
    files = {name for name in FILE.findall(page.read_text()) if "NAME" not in name}
    there = [f"/{path.relative_to(REPOSITORY)}" for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.*")]

    assert {name for name in files if not any(path.endswith(f"/{name}") for path in there)} == set()


def test_every_fault_of_the_page_has_its_test() -> None:
    named = set(re.findall(r"\| (test_\w+)::(test_\w+) \|", (REPOSITORY / "docs" / "faults.md").read_text()))
    texts: defaultdict[str, str] = defaultdict(str)
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        texts[path.stem] += path.read_text()

    assert len(named) > 20
    assert {(file, test) for file, test in named if f"def {test}(" not in texts[file]} == set()
