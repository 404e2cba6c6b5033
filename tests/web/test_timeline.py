"""The timeline in a real Chromium, with real pictures of faces."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jetstream.messages import InUse
from jetstream.sightings import changes, database
from tests.support import timelines
from tests.support.pages import PageSite, browser, console, page_site, waited
from tests.support.sightings import IDS, at, face, record

ROWS = "return [...document.querySelectorAll('.sighting')].map(one => one.innerText.split('\\n')[0])"
SIZES = [(390, 844), (1280, 800), (2560, 1300)]


@pytest.fixture
def page(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Iterator[PageSite]:
    """Four sightings with pictures, and 120 before."""
    with page_site(tmp_path, cameras=[{"name": "a", "source": "demo", "area": "hall"}]) as page:
        timelines.add_earlier(page, 120)
        timelines.fill(page, own_models, portraits)
        yield page


def opened(driver: Any, page: PageSite, path: str = "") -> None:
    driver.get(f"http://127.0.0.1:{page.port}/timeline{path}")
    waited(driver, "return document.querySelector('.sighting, .sighting-page h1, .empty')")


def choose(driver: Any, field: str, value: str) -> None:
    driver.execute_script(
        "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
        "one.dispatchEvent(new Event('change', {bubbles: true}))",
        field,
        value,
    )


def test_list_shows_who_is_here_and_who_was_with_pictures(page: PageSite) -> None:
    with browser() as driver:
        opened(driver, page)
        assert waited(driver, ROWS, len)[:4] == ["Eileen Collins", "Stranger 1", "Ada", "Eileen Collins"]
        assert "Here now\nEileen Collins\nhall, since" in waited(
            driver, "return document.querySelector('.presence').innerText", lambda text: "Eileen" in text
        )
        assert driver.execute_script("return document.querySelector('.day').innerText").startswith("Today, ")
        assert "now" in driver.execute_script("return document.querySelector('.sighting.open').innerText")
        pictures = "return [...document.querySelectorAll('.sighting img')].slice(0, 4).map(one => one.naturalWidth)"
        assert min(waited(driver, pictures, lambda widths: len(widths) == 4 and all(widths))) > 50
        assert console(driver) == []


def test_scrolling_down_shows_all_of_them_once(page: PageSite) -> None:
    with browser() as driver:
        opened(driver, page)
        waited(
            driver,
            "scrollTo(0, document.body.scrollHeight);"
            "return document.querySelector('.end')?.innerText === 'That was the first one.'",
        )
        hrefs = driver.execute_script(
            "return [...document.querySelectorAll('.sighting a')].map(one => one.getAttribute('href'))"
        )
        assert len(hrefs) == len(set(hrefs)) == 124
        assert len(driver.find_elements("css selector", ".day")) in (3, 4), "60 hours"


def test_filters_are_in_the_address_and_can_be_taken_away(page: PageSite) -> None:
    with browser() as driver:
        opened(driver, page)
        choose(driver, "who", "stranger 1")
        assert waited(driver, ROWS, lambda rows: len(rows) == 1) == ["Stranger 1"]
        assert driver.execute_script("return location.search") == "?who=stranger+1"
        choose(driver, "who", "Strangers")
        assert set(waited(driver, ROWS, lambda rows: len(rows) > 1)) == {"Stranger 1", "Stranger"}
        choose(driver, "who", "Eileen Collins")
        waited(driver, ROWS, lambda rows: rows == ["Eileen Collins"] * 2)
        choose(driver, "zone", "porch")
        waited(driver, ROWS, lambda rows: rows == ["Eileen Collins"])
        choose(driver, "where", "area hall")
        driver.refresh()
        waited(driver, ROWS, lambda rows: rows == ["Eileen Collins"])
        waited(driver, "return document.getElementById('where').value === 'area hall'")
        choose(driver, "who", "Nobody")
        assert waited(driver, "return document.querySelector('.empty h2')?.innerText") == "No such sighting"
        driver.execute_script(
            "[...document.querySelectorAll('button')].find(one => one.innerText === 'Show all').click()"
        )
        waited(driver, ROWS, lambda rows: len(rows) >= 50)
        assert console(driver) == []


def test_day_shows_what_began_on_it_or_before(page: PageSite) -> None:
    with browser() as driver:
        opened(driver, page)
        driver.execute_script("document.querySelector('[aria-label=\"The day before\"]').click()")
        day = "return document.querySelector('.day')?.innerText"
        assert waited(driver, day, lambda text: text and not text.startswith("Today")).startswith("Yesterday, ")
        driver.execute_script("document.querySelector('[aria-label=\"The day after\"]').click()")
        waited(driver, day, lambda text: text and text.startswith("Today"))
        assert driver.execute_script("return location.search") == ""
        choose(driver, "day", "2019-02-03")
        assert waited(driver, "return document.querySelector('.empty h2')?.innerText") == "No such sighting"


def test_click_shows_why_and_back_comes_to_the_same_place(page: PageSite) -> None:
    with browser() as driver:
        opened(driver, page)
        waited(driver, "scrollTo(0, 500); return scrollY === 500")
        driver.execute_script(f"document.querySelector('a[href=\"/timeline/{timelines.SEEN[2]}\"]').click()")
        text = waited(
            driver, "return document.querySelector('.sighting-page')?.innerText", lambda text: text and "Why" in text
        )
        for said in (
            "Ada at a · hall",
            "Grace Hopper, 90 % sure",
            "Grace Hopper/1.jpg",
            "corrected to Ada",
            "It is Ada",
        ):
            assert said in text
        widths = "return [...document.querySelectorAll('.looks img')].map(one => one.naturalWidth)"
        assert min(waited(driver, widths, lambda found: found and all(found))) > 50
        assert driver.title == "Ada - jetstream"
        assert driver.execute_script("return document.querySelector('.actions')") is not None
        driver.back()
        waited(driver, "return document.querySelector('.sighting-page') ? 0 : scrollY", lambda y: y == 500, 5)
        assert driver.title == "Timeline - jetstream"
        opened(driver, page, "/ZZZZZZ")
        waited(driver, "return document.querySelector('.failure')?.innerText.includes('no such sighting')")
        assert [line for line in console(driver) if "ZZZZZZ" not in line] == []


def test_new_sighting_appears_within_two_seconds_and_nothing_jumps(page: PageSite) -> None:
    with browser(390, 844) as driver:
        opened(driver, page)
        waited(driver, "scrollTo(0, 1500); return scrollY === 1500")
        place = "return document.querySelectorAll('.sighting')[arguments[0]].getBoundingClientRect().top"
        before = driver.execute_script(place, 12)
        record(page.config, [at(10**5 + second, face(IDS[0], "Bob")) for second in range(3)], ended=False)
        with database.opened(Path(page.config.sightings.dir), write=True) as connection:
            connection.execute(
                "UPDATE sightings SET begin_ns = ?, end_ns = ? WHERE id = ?", (time.time_ns(), time.time_ns(), IDS[0])
            )
            changes.add(connection, "corrected", IDS[0])
        since_s = time.monotonic()
        assert waited(driver, ROWS, lambda rows: rows[0] == "Bob")[1] == "Eileen Collins"
        assert time.monotonic() - since_s < 2.0
        assert abs(driver.execute_script(place, 13) - before) < 2
        with database.opened(Path(page.config.sightings.dir), write=True) as connection:
            connection.execute("DELETE FROM sightings WHERE id = ?", (IDS[0],))
            changes.add(connection, "corrected", timelines.SEEN[0])
        waited(driver, ROWS, lambda rows: rows[0] == "Eileen Collins")
        assert console(driver) == []


def test_many_changes_make_few_requests(page: PageSite) -> None:
    asked = "return performance.getEntriesByType('resource').filter(one => one.name.includes('/api/sightings?')).length"
    with browser() as driver, database.opened(Path(page.config.sightings.dir), write=True) as connection:
        opened(driver, page)
        time.sleep(1.5)
        before, since_s = driver.execute_script(asked), time.monotonic()
        while time.monotonic() - since_s < 4.0:
            changes.add(connection, "corrected", timelines.SEEN[0])
            time.sleep(0.1)
        assert 2 <= driver.execute_script(asked) - before <= 6


def test_before_the_first_sighting_the_page_says_how_one_is_made(tmp_path: Path) -> None:
    with browser() as driver, page_site(tmp_path) as page:
        opened(driver, page)
        assert "No sighting yet" in driver.execute_script("return document.querySelector('.empty').innerText")
        assert console(driver) == []
        record(page.config, [at(second, face(IDS[0], "Ada")) for second in range(3)])
        assert waited(driver, ROWS, len) == ["Ada"]


def test_times_are_of_the_browsers_zone(tmp_path: Path) -> None:
    with browser() as driver, page_site(tmp_path) as page:
        record(page.config, [at(second, face(IDS[0], "Ada")) for second in range(3)])
        for place, day, begin in (
            ("Asia/Tokyo", "November 29, 2026", "6:06:39 AM"),
            ("America/Los_Angeles", "November 28, 2026", "1:06:39 PM"),
        ):
            driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": place})
            opened(driver, page)
            assert driver.execute_script("return document.querySelector('.day').innerText").endswith(day)
            row = driver.execute_script("return document.querySelector('.sighting').innerText")
            assert begin in row.replace("\u202f", " ")
            assert place in waited(driver, "return document.querySelector('.zone')?.innerText")
        choose(driver, "day", "2026-11-27")
        waited(driver, "return document.querySelector('.empty')")
        choose(driver, "day", "2026-11-28")
        waited(driver, ROWS, len)


def test_page_says_when_photos_were_learnt(tmp_path: Path) -> None:
    with browser() as driver, page_site(tmp_path) as page:
        page.site.news.in_use = InUse(sha256="aa" * 32, people=1, photos=1)
        opened(driver, page)
        time.sleep(1.0)
        said = "return document.querySelector('p[role=status]').innerText"
        assert driver.execute_script(said) == "", "what was known when the page was opened is no news"
        page.site.news.in_use = InUse(sha256="bb" * 32, people=2, photos=1)
        assert waited(driver, said) == "Learnt: 2 people, 1 photo."
        waited(driver, said, lambda text: text == "")


def test_keyboard_alone_opens_a_sighting(page: PageSite) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    with browser() as driver:
        opened(driver, page)
        for _ in range(40):
            ActionChains(driver).send_keys(Keys.TAB).perform()
            if driver.execute_script("return !!document.activeElement.closest('.sighting')"):
                break
        assert driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        ActionChains(driver).send_keys(Keys.ENTER).perform()
        waited(driver, "return document.querySelector('.sighting-page h1')?.innerText.startsWith('Eileen Collins')")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_is_wider_than_the_window(page: PageSite, width: int, height: int) -> None:
    with browser(width, height) as driver:
        for path in ("", f"/{timelines.SEEN[0]}"):
            opened(driver, page, path)
            time.sleep(0.3)
            assert driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [width] * 2, (
                path
            )
        assert console(driver) == []
