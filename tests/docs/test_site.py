"""The site has every page and asks no other server for anything."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.repository import REPOSITORY

REQUEST = re.compile(r"<(?:script|img|link|iframe|video|source)\b[^>]*?\b(?:src|href)=\"?(https?:[^\"\s>]+)")


def test_every_page_is_in_the_navigation() -> None:
    with (REPOSITORY / "zensical.toml").open("rb") as file:
        navigation = msgspec.toml.decode(file.read())["project"]["nav"]

    assert sorted(pages_in(navigation)) == sorted(
        str(page.relative_to(REPOSITORY / "docs")) for page in (REPOSITORY / "docs").rglob("*.md")
    )


def pages_in(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    inner = entry.values() if isinstance(entry, dict) else entry
    return [page for one in inner for page in pages_in(one)]


def test_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="`make docs` installs the site's generator")
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    shutil.copy(REPOSITORY / "zensical.toml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    pages = list((tmp_path / "site").rglob("*.html"))

    assert len(pages) > 15
    assert [link for page in pages for link in REQUEST.findall(page.read_text())] == []

    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[there](cameras.md#nowhere)\n")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False).returncode != 0
