"""The view for programs: what it says can be done."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jetstream.web.routes import table
from tests.support.pages import browser, console, page_site
from tests.support.waiting import wait_until

CURL = shutil.which("curl")


def opened(driver: Any, path: str) -> str:
    """The line of curl of a route, whose details are opened."""
    script = """
        const rows = [...document.querySelectorAll(".route")];
        const row = rows.find((one) => one.querySelector("code").textContent === arguments[0]);
        if (row) row.open = true;
        return row?.querySelector("pre")?.textContent;
    """
    wait_until(lambda: driver.execute_script(script, path), 20, lambda: driver.page_source[:2000])
    return str(driver.execute_script(script, path))


def test_every_route_has_its_line_of_curl_and_the_line_works(tmp_path: Path) -> None:
    if CURL is None:
        pytest.skip("needs the program curl")
    with page_site(tmp_path) as page, browser(390, 844) as driver:
        driver.get(f"http://127.0.0.1:{page.port}/api")
        read, write = opened(driver, "GET /api/cameras"), opened(driver, "POST /api/tokens/add")
        shown = driver.execute_script("return document.querySelectorAll('.route').length")
        assert shown == len(table())
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert console(driver) == []
        with page.site.access() as access:
            access.add_user("ada", "correct horse", "rule")
            token = access.add_token("test", "rule")

        def run(line: str) -> Any:
            told = subprocess.run(
                ["sh", "-c", line], env={**os.environ, "TOKEN": token}, capture_output=True, text=True
            )
            return json.loads(told.stdout)

        assert [camera["name"] for camera in run(read)] == ["a"]
        assert run(write)["token"].startswith("jst_")
