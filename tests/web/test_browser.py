"""The page in a real Chromium."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command, free_port
from tests.support.pages import browser, console, page_site, waited
from tests.support.repository import DEMO

PASSWORD = "correct horse"
COUNT_GREEN = """
const canvas = document.querySelector("canvas"), box = document.querySelector(".face[aria-label*='Collins']");
if (!box) return null;
const outer = canvas.getBoundingClientRect(), inner = box.getBoundingClientRect(), scale = canvas.width / outer.width;
const [x, y] = [(inner.left - outer.left) * scale, (inner.top - outer.top) * scale];
const row = canvas.getContext("2d").getImageData(x, Math.max(0, y - 3), inner.width * scale, 7).data;
let green = 0;
for (let i = 0; i < row.length; i += 4)
  green += Math.abs(row[i] - 47) + Math.abs(row[i + 1] - 208) + Math.abs(row[i + 2] - 122) < 30;
return green / (inner.width * scale);
"""


def frame(driver: Any) -> int:
    return int(waited(driver, "return document.querySelector('canvas')?.dataset.frame"))


@pytest.mark.pipeline
def test_live_picture_moves_has_its_boxes_on_the_faces_and_comes_back(jetstream: Command) -> None:
    seen = replace(jetstream, page_port=free_port())
    with browser() as driver, seen.running(DEMO) as process:
        driver.get(seen.page)
        first = frame(driver)
        waited(driver, f"return document.querySelector('canvas').dataset.frame > {first}")
        assert waited(driver, COUNT_GREEN, lambda share: share is not None and share > 0.5) <= 8, "its upper edge"
        assert driver.execute_script("return document.querySelector('.face').getAttribute('aria-label')")

        status = seen.wait(lambda one: any(p.process == "web" and p.state == "running" for p in one.processes), process)
        web = next(p for p in status.processes if p.process == "web")
        assert web.beat is not None
        assert console(driver) == []
        os.kill(web.beat.pid, signal.SIGKILL)
        before = frame(driver)
        waited(driver, f"return document.querySelector('canvas').dataset.frame > {before} + 5")
        waited(driver, "return !document.querySelector('.banner')")
        assert "web: ended by SIGKILL; starting it again" in seen.log()
        assert f"the page is at {seen.page}" in seen.log()
        assert "connection open" not in seen.log(), "the server says nothing of each viewer"


def test_login_is_asked_for_once_somebody_is_a_user(tmp_path: Path) -> None:
    with browser() as driver, page_site(tmp_path) as page:
        page.add_user("ada", PASSWORD)
        driver.get(f"http://127.0.0.1:{page.port}/live")
        fill = "document.querySelector('input[name={}]').value = arguments[0]"
        waited(driver, "return !!document.querySelector('form')")
        driver.execute_script(fill.format("name"), "ada")
        driver.execute_script(fill.format("password"), "wrong")
        driver.execute_script("document.querySelector('form button').click()")
        assert waited(driver, "return document.querySelector('[role=alert]')?.textContent") == "wrong name or password"

        driver.execute_script(fill.format("password"), PASSWORD)
        driver.execute_script("document.querySelector('form button').click()")
        waited(driver, "return document.querySelector('.top')?.textContent.includes('ada')")
        waited(driver, "return document.querySelector('canvas')")
        assert [line for line in console(driver) if "/api/login" not in line] == [], "but for the wrong password's 401"


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)], ids=["phone", "screen"])
def test_nothing_is_wider_than_the_window(tmp_path: Path, width: int, height: int) -> None:
    with browser(width, height) as driver, page_site(tmp_path) as page:
        driver.get(f"http://127.0.0.1:{page.port}/live")
        waited(driver, "return document.querySelector('canvas')")
        assert driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [width, width]
        page.add_user("ada", PASSWORD)
        key, _, token = page.logged_in("ada", PASSWORD).partition("=")
        driver.add_cookie({"name": key, "value": token, "path": "/"})
        for path in ("inbox", "timeline", "people", "search", "system", "api", "account"):
            driver.get(f"http://127.0.0.1:{page.port}/{path}")
            waited(driver, "return document.querySelector('main h1') && !document.querySelector('[aria-busy]')")
            time.sleep(0.2)
            assert driver.execute_script("return document.documentElement.scrollWidth") == width, path


def test_page_asks_no_other_machine(tmp_path: Path) -> None:
    with browser() as driver, page_site(tmp_path) as page:
        driver.get(f"http://127.0.0.1:{page.port}/")
        waited(driver, "return document.querySelector('canvas')")
        time.sleep(0.2)
        hosts = driver.execute_script(
            "return performance.getEntriesByType('resource').map(one => new URL(one.name).host)"
        )
        assert set(hosts) == {f"127.0.0.1:{page.port}"}
