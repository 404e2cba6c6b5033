"""Clips of a sighting in a real Chromium's player."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.clips.retention import erase
from jetstream.web import file_parts
from tests.support.numbered_films import number_of, shown_numbers
from tests.support.page_clips import FPS, LATER_S, clip_site, film_of, leave, play
from tests.support.pages import PageSite, browser, console, waited
from tests.support.played import PlayedCamera
from tests.support.sightings import IDS

READY = "const one = document.querySelector('video'); return one && one.readyState >= 2 && !one.seeking"
SHOWN = """
const video = document.querySelector("video"), canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
const context = canvas.getContext("2d");
context.drawImage(video, 0, 0);
const isThere = context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0] > 50;
return isThere && canvas.toDataURL("image/png").split(",")[1];
"""
TEXT = "return document.querySelector('[aria-labelledby=clips]')?.innerText ?? ''"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_of(tmp_path_factory.mktemp("film"))


@pytest.fixture
def site(tmp_path: Path, film: Path) -> Iterator[tuple[PageSite, PlayedCamera]]:
    """A clip that is open."""
    with clip_site(tmp_path) as (page, camera):
        play(camera, film)
        yield page, camera


def opened(driver: Any, page: PageSite, id_: str = IDS[0]) -> None:
    driver.get(f"http://127.0.0.1:{page.port}/timeline/{id_}")
    console(driver)
    waited(driver, READY)


def number_in(png: str) -> int:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return number_of(image)


def shown(driver: Any) -> int:
    """The number of the frame that the player shows first."""
    return number_in(waited(driver, SHOWN))


def shows(driver: Any, *expected: int, at: str) -> None:
    """Seek, and see this frame there, or one of these."""
    driver.execute_script(f"const one = document.querySelector('video'); one.currentTime = {at}")
    waited(driver, READY)
    waited(driver, SHOWN, lambda png: png and number_in(png) in expected)


def test_player_shows_the_clip_from_its_first_frame_to_its_last(
    driver: Any, site: tuple[PageSite, PlayedCamera]
) -> None:
    page, camera = site
    leave(camera)
    (clip,) = camera.stored()
    numbers = shown_numbers(clip.video)
    opened(driver, page)

    assert shown(driver) == numbers[0], "and not the key frame before it"
    length_s = driver.execute_script("return document.querySelector('video').duration")
    assert length_s == pytest.approx(len(numbers) / 10, abs=0.05)
    shows(driver, numbers[30], at="3.05")
    shows(driver, numbers[-1], at="one.duration")
    shows(driver, numbers[0], at="0")
    link = driver.execute_script("const one = document.querySelector('.clip a'); return [one.download, one.innerText]")
    assert link == ["hall-20260921T141330Z-Ada.mp4", f"Download\n{round(clip.n_bytes / 1000)} kB"]
    assert console(driver) == []


def test_open_clip_plays_what_is_there_then_what_came_since_then_the_whole(
    driver: Any, site: tuple[PageSite, PlayedCamera]
) -> None:
    page, camera = site
    source = {"source": "const real = setInterval; window.setInterval = (act, ms) => real(act, ms / 20);"}
    sped_up = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    opened(driver, page)
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", sped_up)
    assert "still being recorded" in driver.execute_script(TEXT)
    shows(driver, *shown_numbers(camera.stored()[0].video)[-5:], at="one.duration")  # which it doesn't know exactly
    length_s = driver.execute_script("return document.querySelector('video').duration")
    camera.play_on(camera.now_s + 3)
    waited(driver, TEXT, lambda text: "Show what came since" in text)
    assert driver.execute_script("return document.querySelector('video').duration") == length_s, "it isn't begun anew"
    driver.execute_script("document.querySelector('.clip button').click()")
    longer = f"const one = document.querySelector('video'); return one.duration > {length_s + 1}"
    waited(driver, longer)
    waited(driver, READY)
    assert driver.execute_script("return document.querySelector('video').currentTime") > length_s - 0.5
    leave(camera)
    waited(driver, TEXT, lambda text: "Show all of it" in text)
    driver.execute_script("document.querySelector('.clip button').click()")
    waited(driver, "return !document.querySelector('.clip button')")
    waited(driver, READY)
    shows(driver, shown_numbers(camera.stored()[0].video)[0], at="0")
    assert console(driver) == []


def test_later_sighting_of_a_clip_is_gone_to(driver: Any, film: Path, tmp_path: Path) -> None:
    with clip_site(tmp_path, pre_s=20) as (page, camera):
        play(camera, film)
        camera.enter(IDS[1], LATER_S)
        camera.leave(IDS[1], LATER_S + 3.0)
        leave(camera)
        opened(driver, page)
        assert "Begins late: the camera's first picture came 15.0 s before" in driver.execute_script(TEXT)
        assert driver.execute_script("return document.querySelector('.clip button')") is None
        opened(driver, page, IDS[1])
        assert "Begins late" not in driver.execute_script(TEXT), "which is so for the first one"
        assert driver.execute_script("return document.querySelector('.clip button').innerText") == "Go to 0:18"
        driver.execute_script("document.querySelector('.clip button').click()")
        waited(driver, SHOWN, lambda png: png and abs(number_in(png) / FPS - LATER_S) < 0.5)
        assert console(driver) == []


def test_clip_that_is_erased_while_it_plays_leaves_the_page(driver: Any, site: tuple[PageSite, PlayedCamera]) -> None:
    page, camera = site
    leave(camera)
    opened(driver, page)
    erase(camera.stored()[0])
    driver.execute_script("document.querySelector('video').src += '?part='")  # it has all of a small clip

    waited(driver, TEXT, lambda text: "There is none" in text)
    assert driver.execute_script("return document.querySelector('video')") is None


def test_player_that_gets_little_at_a_time_asks_for_the_rest(
    driver: Any, site: tuple[PageSite, PlayedCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, camera = site
    leave(camera)
    numbers = shown_numbers(camera.stored()[0].video)
    monkeypatch.setattr(file_parts, "PLAYER_BYTES", 1000)
    opened(driver, page)
    shows(driver, numbers[-1], at="one.duration")
    shows(driver, numbers[10], at="1.05")
    assert console(driver) == []


def test_video_that_the_browser_cant_play_is_said_so(driver: Any, site: tuple[PageSite, PlayedCamera]) -> None:
    page, camera = site
    leave(camera)
    (clip,) = camera.stored()
    clip.video.write_bytes(clip.video.read_bytes().replace(b"avc1", b"xxxx"))
    driver.get(f"http://127.0.0.1:{page.port}/timeline/{IDS[0]}")

    waited(driver, TEXT, lambda text: "This browser can't play the camera's video." in text)
    assert driver.execute_script("return !!document.querySelector('.clip a[download]')")


def test_long_sighting_has_a_player_for_each_part(driver: Any, film: Path, tmp_path: Path) -> None:
    with clip_site(tmp_path, part_s=10, pre_s=10, post_s=10) as (page, camera):
        play(camera, film)
        leave(camera)
        parts = camera.stored()
        assert len(parts) > 1
        opened(driver, page)
        labels = "return [...document.querySelectorAll('video')].map(one => one.ariaLabel.split(',')[0])"
        assert driver.execute_script(labels) == [f"Part {n + 1} of {len(parts)}" for n in range(len(parts))]
        ready = "return [...document.querySelectorAll('video')].every(one => one.readyState >= 2)"
        waited(driver, ready)
        assert console(driver) == []
