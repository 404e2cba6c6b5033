"""The run's config and newest log lines, for who may rule."""

import time
from pathlib import Path

from jetstream.config.load import build
from jetstream.config.schema import WebConfig
from jetstream.newest_lines import LogLine
from jetstream.runtime.reload import RELOADED
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


def test_config_tells_every_key_with_its_origin_and_no_password(tmp_path: Path) -> None:
    config = build(
        {
            "cameras": [{"name": "door", "source": "rtsp://ada:se@cret@192.0.2.1/1", "password_file": ""}],
            "detect": {"min_face_px": 60, "preset": "accurate"},
            "record": {"dir": "films"},
            "alerts": [
                {
                    **{
                        "name": "front",
                        "when": ["enter"],
                        "webhook": "https://hooks.slack.com/services/T0/B0/x7Yz9QpLm",
                    },
                    "headers": {"X-Key": "tok-123456", "X-Other": "${KEY}"},
                }
            ],
        },
        where="test",
    )
    origins = {
        "cameras.door.source": "file",
        "detect.min_face_px": "--set",
        "detect.search_every": RELOADED,
        "record.dir": "file, ${HOME}",
    }
    with page_site(tmp_path) as page, claim(tmp_path / "run") as folder:
        folder.write(config, {})
        folder.write_origins(origins)
        answer = page.ask("GET", "/api/config")
        told = {(one["table"], one["key"]): one for one in answer.json}

    for secret in ("@cret", "x7Yz9QpLm", "tok-123456"):
        assert secret not in answer.body.decode()
    assert told["alerts.front", "headers"]["value"] == '{"X-Key": "***", "X-Other": "${KEY}"}'
    assert told["alerts.front", "body"]["origin"] == "default"
    assert told["cameras.door", "source"]["value"] == '"rtsp://***@192.0.2.1/1"'
    assert told["detect", "min_face_px"]["origin"] == "--set"
    assert told["detect", "thresholds"]["origin"] == "detect.preset"
    assert told["detect", "search_every"]["origin"] == "default", "a reload took the key out of the file"
    assert told["record", "dir"]["origin"] == "file, ${HOME}"
    assert told["track", "hold_s"] == {
        **{"table": "track", "key": "hold_s", "value": "0.13", "origin": "default"},
        "meaning": "a confirmed track becomes lost after this long without a detection",
    }
    assert {key for table, key in told if table == "web"} == set(WebConfig.__struct_fields__)


def test_view_shows_what_differs_from_the_default_first(tmp_path: Path) -> None:
    with page_site(tmp_path) as page, browser(390, 844) as driver:
        driver.get(f"http://127.0.0.1:{page.port}/system/config")
        shown = "return [...document.querySelectorAll('.keys dt')].map(one => one.textContent)"
        wait_until(lambda: bool(driver.execute_script(shown)), 20)
        assert not any("hold_s" in one for one in driver.execute_script(shown))
        driver.execute_script("document.querySelector('input[type=checkbox]').click()")
        wait_until(lambda: "hold_s = 0.13default" in driver.execute_script(shown), 20)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert console(driver) == []
