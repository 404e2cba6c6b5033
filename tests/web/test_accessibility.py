"""Each view, light and dark, beside the rules of WCAG that axe-core can check, in a real Chromium."""

import importlib.util
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jetstream.clips.retention import erase
from jetstream.web.page_files import FOLDER
from tests.support import timelines
from tests.support.page_clips import clip_site, film_of, leave, play
from tests.support.pages import PageSite, browser, page_site, waited
from tests.support.sightings import IDS

VIEWS = re.findall(r'path: "(/[^"]+)"', (FOLDER / "app.js").read_text())
OTHERS = (
    "/live/a",
    f"/timeline/{timelines.SEEN[0]}",
    f"/timeline/{timelines.SEEN[2]}",
    "/timeline?who=Nobody",
    "/timeline/ZZZZ",
    "/inbox/doubtful",
    "/people/Nobody",
    "/system/faces",
    "/system/config",
    "/system/log",
)
SETTLED_S = 0.5
RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(
  (found) => done([found.passes.length, found.violations.flatMap((one) =>
    one.nodes.map((node) => `${one.id}: ${node.failureSummary} ${node.html.slice(0, 200)}`))]));
"""


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, portraits: dict[str, np.ndarray]
) -> Iterator[PageSite]:
    cameras = [{"name": "a", "source": "demo", "area": "hall"}]
    with page_site(tmp_path_factory.mktemp("page"), cameras=cameras) as page:
        timelines.add_earlier(page, 5)
        timelines.fill(page, models_dir, portraits)
        yield page


@pytest.fixture(scope="module", params=["light", "dark", "light, phone", "dark, phone"])
def driver(request: pytest.FixtureRequest) -> Iterator[Any]:
    scheme, _, is_phone = request.param.partition(", ")
    with browser(*((390, 844) if is_phone else (1280, 800))) as driver:
        scheme = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver


def violations(driver: Any) -> list[str]:
    package = importlib.util.find_spec("axe_core_python")
    if package is None or package.origin is None:
        pytest.skip("needs the package axe-core-python, which is not installed here")
    driver.execute_script((Path(package.origin).parent / "axe.min.js").read_text())
    passes, found = driver.execute_async_script(RUN)
    assert passes > 10, "rules that found something to check"
    return list(found)


@pytest.mark.parametrize("path", [*VIEWS, *OTHERS])
def test_view_breaks_no_rule(driver: Any, page: PageSite, path: str) -> None:
    driver.get(f"http://127.0.0.1:{page.port}{path}")
    waited(driver, "return document.querySelector('main h1')")
    time.sleep(SETTLED_S)  # for what a view asks the server

    assert violations(driver) == []


def test_broken_rule_is_found(driver: Any, page: PageSite) -> None:
    driver.get(f"http://127.0.0.1:{page.port}/timeline")
    waited(driver, "return document.querySelector('.sighting img')")
    driver.execute_script(
        "document.querySelector('.sighting .quiet').style.color = '#777';"
        "document.querySelector('.sighting img').removeAttribute('alt')"
    )

    assert {line.partition(":")[0] for line in violations(driver)} == {"color-contrast", "image-alt"}


def test_clips_break_no_rule(driver: Any, tmp_path: Path) -> None:
    film = film_of(tmp_path)
    with clip_site(tmp_path, part_s=10, pre_s=20, post_s=10) as (page, camera):
        play(camera, film)
        driver.get(f"http://127.0.0.1:{page.port}/timeline/{IDS[0]}")
        text = "return document.querySelector('[aria-labelledby=clips]')?.innerText ?? ''"
        waited(driver, text, lambda said: "still being recorded" in said and "Begins late" in said)
        assert violations(driver) == []
        leave(camera)
        driver.refresh()
        waited(driver, text, lambda said: "Part 2" in said)
        assert violations(driver) == []
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        for clip in camera.stored():
            erase(clip)
        driver.refresh()
        waited(driver, text, lambda said: "There is none" in said)
        assert violations(driver) == []


def test_login_breaks_no_rule(driver: Any, tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        page.add_user("ada", "correct horse")
        driver.get(f"http://127.0.0.1:{page.port}/")
        waited(driver, "return document.querySelector('form')")

        assert violations(driver) == []
