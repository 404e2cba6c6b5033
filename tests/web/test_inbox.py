"""The Inbox in a real browser, worked with the keyboard, with real faces and the real networks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.sightings import database, grouper, stranger_merges
from tests.support.pages import PageSite, browser, console, page_site, waited
from tests.support.sightings import IDS, Portraits, stored

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"
ITEMS = "return [...document.querySelectorAll('.item')].map(one => one.getAttribute('aria-label'))"
FIRST = "const one = document.querySelector('.item'); one?.focus(); return document.activeElement === one"
KEY = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))"


@pytest.fixture
def page(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Iterator[PageSite]:
    """Two strangers; and Grace Hopper, who was taken for Eileen Collins, but not surely."""
    folder = tmp_path / "faces" / COLLINS
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.jpg"), portraits[COLLINS])
    with page_site(tmp_path, models=own_models, recognize={"faces": str(tmp_path / "faces")}) as page:
        seen = Portraits(page.config, portraits)
        seen.seen(page.config, (COLLINS, IDS[0], None), (HOPPER, IDS[1], None), (HOPPER, IDS[2], COLLINS))
        with database.opened(Path(page.config.sightings.dir), write=True) as connection:
            connection.execute("UPDATE sightings SET confidence = 0.6 WHERE name IS NOT NULL")
        grouper.group(page.config, idle_s=0.0)
        yield page


def opened(driver: Any, page: PageSite, path: str) -> list[str]:
    driver.get(f"http://127.0.0.1:{page.port}{path}")
    waited(driver, FIRST)
    found: list[str] = driver.execute_script(ITEMS)
    return found


def says(driver: Any, text: str) -> None:
    waited(driver, f"return document.body.innerText.includes({text!r})")


def test_doubtful_name_is_denied_with_one_key_and_comes_back_with_another(page: PageSite) -> None:
    with browser() as driver:
        assert opened(driver, page, "/inbox/doubtful") == [f"{COLLINS}?, 60 % sure · a"]

        driver.execute_script(KEY, "x")
        says(driver, f"It is not {COLLINS}")
        says(driver, "No doubtful name")
        assert [one.name for one in stored(page.config)] == [None, None, None]

        waited(driver, "const undo = document.querySelector('.decision button'); undo?.click(); return Boolean(undo)")
        waited(driver, FIRST)
        assert [one.name for one in stored(page.config)] == [None, None, COLLINS]

        driver.execute_script(KEY, "y")
        says(driver, f"It is {COLLINS}")
        assert stored(page.config)[2].correction == "name"
        assert console(driver) == []


def test_strangers_that_are_selected_are_made_one(page: PageSite) -> None:
    with browser() as driver:
        assert len(opened(driver, page, "/inbox")) == 2
        for key in (" ", "ArrowRight", " ", "m"):
            driver.execute_script(KEY, key)
            driver.execute_script("return new Promise(requestAnimationFrame)")
        says(driver, "get one number within seconds")
        with database.opened(Path(page.config.sightings.dir)) as connection:
            assert [sorted(pair) for _, *pair in stranger_merges.pending(connection)] == [[1, 2]]
        assert console(driver) == []


def test_many_are_ignored_at_once(page: PageSite) -> None:
    with browser() as driver:
        opened(driver, page, "/inbox")
        for key in (" ", "ArrowRight", " ", "i"):
            driver.execute_script(KEY, key)
            driver.execute_script("return new Promise(requestAnimationFrame)")
        says(driver, "Ignored 2 of them")
        says(driver, "No stranger")
        assert [one.correction for one in stored(page.config)] == ["ignore", "ignore", ""]
        assert len(list((Path(page.config.recognize.faces) / "_unknown").iterdir())) == 2
        assert console(driver) == []


def test_who_may_only_look_decides_nothing(page: PageSite) -> None:
    page.add_user("eve", "correct horse", "look")
    cookie = page.logged_in("eve", "correct horse").partition("=")
    with browser() as driver:
        driver.get(f"http://127.0.0.1:{page.port}/icon.svg")
        driver.add_cookie({"name": cookie[0], "value": cookie[2]})
        opened(driver, page, "/inbox")
        driver.execute_script(KEY, "i")
        says(driver, "you may not: it needs sort")
    assert [one.correction for one in stored(page.config)] == ["", "", ""]
