"""The run's newest log lines, for who may rule."""

import time
from pathlib import Path

from jetstream.newest_lines import LogLine
from jetstream.runtime.run_dir import claim
from tests.support.pages import browser, console, page_site
from tests.support.waiting import wait_until


def test_lines_are_those_of_the_level_asked_for(tmp_path: Path) -> None:
    with page_site(tmp_path) as page, claim(tmp_path / "run") as folder:
        assert page.ask("GET", "/api/log").json == []
        for level in ("info", "warning", "error"):
            folder.lines.add(LogLine(time.time(), level, "detect", f"of {level}"))  # type: ignore[arg-type]

        assert [one["text"] for one in page.ask("GET", "/api/log").json] == ["of error", "of warning", "of info"]
        assert [one["text"] for one in page.ask("GET", "/api/log?level=error").json] == ["of error"]
        assert [one["text"] for one in page.ask("GET", "/api/log?most=1").json] == ["of error"]
        assert "level" in page.ask("GET", "/api/log?level=loud").json["error"]


def test_who_may_only_look_sees_no_log(tmp_path: Path) -> None:
    with page_site(tmp_path) as page, browser() as driver:
        page.add_user("ada", "correct horse", "look")
        driver.get(f"http://127.0.0.1:{page.port}/api/who")
        name, _, value = page.logged_in("ada", "correct horse").partition("=")
        driver.add_cookie({"name": name, "value": value})
        driver.get(f"http://127.0.0.1:{page.port}/system")
        wait_until(lambda: bool(driver.execute_script("return document.querySelector('.tabs a')")), 20)
        tabs = driver.execute_script("return [...document.querySelectorAll('.tabs a')].map(one => one.textContent)")
        assert "State" in tabs
        assert "Log" not in tabs


def test_view_filters_lines_by_level(tmp_path: Path) -> None:
    with page_site(tmp_path) as page, claim(tmp_path / "run") as folder, browser(390, 844) as driver:
        folder.lines.add(LogLine(time.time(), "info", "detect", "loaded"))
        folder.lines.add(LogLine(time.time(), "warning", "capture.a", "no answer " * 40))
        driver.get(f"http://127.0.0.1:{page.port}/system/log")
        shown = "return [...document.querySelectorAll('.log code')].map(one => one.textContent)"
        wait_until(lambda: driver.execute_script(shown) == ["capture.a", "detect"], 20)
        driver.execute_script(
            "const box = document.querySelector('select'); box.value = 'warning';"
            "box.dispatchEvent(new Event('change', {bubbles: true}))"
        )
        wait_until(lambda: driver.execute_script(shown) == ["capture.a"], 20)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert console(driver) == []
