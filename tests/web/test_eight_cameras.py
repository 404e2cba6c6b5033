"""Eight cameras on one page in a real Chromium: all move, one out of sight costs nothing, a slow viewer gets less."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.pages import PageSite, browser, console, page_site, waited
from tests.support.sightings import face

# B, G, R of each camera's picture, as far from each other as JPEG needs to tell them apart
COLOURS = {
    "door": (200, 40, 40),
    "hall": (40, 200, 40),
    "yard": (40, 40, 200),
    "gate": (200, 200, 40),
    "desk": (200, 40, 200),
    "shop": (40, 200, 200),
    "roof": (220, 220, 220),
    "dock": (90, 90, 90),
}
FPS = 6.0
SHOWN = "return [...document.querySelectorAll('canvas')].map((one) => Number(one.dataset.frame ?? 0))"
CORNER = """
const colours = {};
for (const canvas of document.querySelectorAll("canvas")) {
  const [r, g, b] = canvas.getContext("2d").getImageData(canvas.width - 8, canvas.height - 8, 1, 1).data;
  colours[canvas.getAttribute("aria-label").split(" ").at(-1)] = [b, g, r];
}
return colours;
"""
COUNT = """
const done = arguments[arguments.length - 1];
import("/live_socket.js").then(({ live }) => {
  window.pictures = {};
  live.onHeader(({ camera }) => (window.pictures[camera] = (window.pictures[camera] ?? 0) + 1));
  done(true);
});
"""
SLOW = """
const quick = window.createImageBitmap;
window.createImageBitmap = async (...given) => {
  await new Promise((done) => setTimeout(done, 500));
  return quick(...given);
};
"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageSite]:
    """All cameras show their colour, each with a face."""
    with page_site(tmp_path, cameras=list(COLOURS)) as page:
        is_over = threading.Event()

        def show() -> None:
            while not is_over.wait(1 / FPS):
                for camera, colour in COLOURS.items():
                    image = np.full((180, 320, 3), colour, np.uint8)
                    page.show(image, face("0" * 26, "Ada"), camera=camera)

        thread = threading.Thread(target=show)
        thread.start()
        try:
            yield page
        finally:
            is_over.set()
            thread.join()


def pictures_in(driver: Any, seconds: float) -> dict[str, int]:
    """How many pictures of each camera come in this time."""
    driver.execute_script("window.pictures = {}")
    time.sleep(seconds)
    return dict(driver.execute_script("return window.pictures"))


def moves(driver: Any, tiles: int) -> None:
    """Wait until so many tiles show a newer frame than now."""
    before = driver.execute_script(SHOWN)
    waited(driver, SHOWN, lambda now: sum(new > old for new, old in zip(now, before, strict=True)) >= tiles)


def test_all_eight_move_each_with_its_own_picture_and_a_slow_viewer_gets_fewer(page: PageSite) -> None:
    with browser(1700, 1000) as driver:
        driver.get(f"http://127.0.0.1:{page.port}/live")
        waited(driver, SHOWN, lambda frames: len(frames) == 8)
        moves(driver, 8)
        assert driver.execute_script("return document.documentElement.scrollHeight <= innerHeight"), "all are in sight"
        for camera, colour in driver.execute_script(CORNER).items():
            assert np.abs(np.subtract(colour, COLOURS[camera])).max() < 12, camera

        driver.execute_async_script(COUNT)
        quick = pictures_in(driver, 1.5)
        driver.execute_script(SLOW)
        slow = pictures_in(driver, 1.5)
        assert quick.keys() == COLOURS.keys()
        assert 0 < sum(slow.values()) < sum(quick.values()) / 2
        moves(driver, 8)
        ages = driver.execute_script("return [...document.querySelectorAll('canvas')].map((one) => one.dataset.ageMs)")
        assert max(map(float, ages)) < 1000, "the newest pictures, not old ones one after the other"
        assert console(driver) == []


def test_tile_out_of_sight_is_sent_nothing(page: PageSite) -> None:
    with browser(390, 844) as driver:
        driver.get(f"http://127.0.0.1:{page.port}/live")
        waited(driver, SHOWN, lambda frames: len(frames) == 8 and frames[0] > 0)
        driver.execute_async_script(COUNT)
        top = pictures_in(driver, 1.0)
        assert {"door", "hall"} <= top.keys()
        assert not {"roof", "dock"} & top.keys()

        driver.execute_script("scrollTo(0, document.documentElement.scrollHeight)")
        waited(driver, "return window.pictures.dock")
        bottom = pictures_in(driver, 1.0)
        assert {"roof", "dock"} <= bottom.keys()
        assert not {"door", "hall"} & bottom.keys()
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        assert console(driver) == []


def test_page_in_the_background_is_sent_nothing(page: PageSite) -> None:
    with browser(1700, 1000) as driver:
        driver.get(f"http://127.0.0.1:{page.port}/live")
        waited(driver, SHOWN, lambda frames: len(frames) == 8)
        moves(driver, 8)
        driver.execute_async_script(COUNT)
        driver.execute_script(
            "Object.defineProperty(document, 'hidden', {get: () => true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        time.sleep(0.3)  # what was on its way
        assert pictures_in(driver, 0.7) == {}
