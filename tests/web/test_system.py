"""What the page tells of the run: from the supervisor's statuses and the machine."""

import os
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jetstream.messages import Heartbeat, ProcessStatus, Status
from jetstream.runtime.run_dir import claim
from jetstream.web import machine, system_view
from jetstream.web.machine import MachineReader
from jetstream.web.rates import FrameRates
from tests.support import statuses
from tests.support.pages import PageSite, browser, console, page_site
from tests.support.sightings import config_with, face, pictures, record, seconds
from tests.support.waiting import wait_until

NOW_NS = 100_000_000_000
FRESH_S = 5.0
IMAGE = np.full((120, 160, 3), 90, np.uint8)


def capturing(**told: float | dict[str, int]) -> Heartbeat:
    return msgspec.structs.replace(statuses.beat("capture.a"), **told)


def newest(age_s: float) -> dict[str, int]:
    return {"newest a": NOW_NS - round(age_s * 1e9)}


@pytest.mark.parametrize(
    ("state", "beat", "picture_age_s", "expected"),
    [
        ("running", capturing(levels=newest(0.1)), 0.2, "live"),
        ("running", capturing(levels=newest(0.1)), None, "starting"),
        ("running", capturing(levels=newest(0.1)), 9.0, "stuck"),
        ("running", capturing(levels=newest(9.0)), 9.0, "silent"),
        ("running", capturing(patience_s=10.0), None, "no_answer"),
        ("running", capturing(counts={"drops reconnect camera": 2}, levels=newest(9.0)), 9.0, "no_answer"),
        ("starting", None, None, "starting"),
        ("restarting", capturing(), 9.0, "again"),
        ("restarting", capturing(), 1.0, "live"),
        ("done", capturing(), 0.1, "ended"),
    ],
)
def test_condition_of_a_camera(state: str, beat: Heartbeat | None, picture_age_s: float | None, expected: str) -> None:
    process = ProcessStatus("capture.a", state, 0, beat, 0.1)  # type: ignore[arg-type]

    assert system_view.condition(process, picture_age_s, FRESH_S, NOW_NS) == expected


def counted(turn_s: float, captured: int, tracked: int) -> Status:
    capture = statuses.beat("capture.a", counts={"frames a": captured})
    track = statuses.beat("track", counts={"frames a": tracked, "frames b": 7})
    return statuses.status(capture, track, turn_ns=round(turn_s * 1e9))


def test_frames_that_were_decoded_apart_count_as_captured() -> None:
    rates = FrameRates()
    for second in range(3):
        packets = statuses.beat("capture.a", counts={"packets a": 50 * second})
        decode = statuses.beat("decode", counts={"frames a": 25 * second})
        rates.hear(statuses.status(packets, decode, turn_ns=second * 10**9))
    assert rates.of("a")["capture"] == 25


def test_rates_are_of_the_last_ten_seconds() -> None:
    rates = FrameRates()
    assert rates.of("a") == {"capture": 0.0, "detect": 0.0, "track": 0.0}
    for second in range(30):
        rates.hear(counted(second, captured=25 * second, tracked=10 * second))

    assert rates.of("a") == {"capture": 25.0, "detect": 0.0, "track": 10.0}
    assert rates.of("none")["capture"] == 0.0


def running(page: PageSite, **gallery: int) -> None:
    """Have the supervisor report camera `a`, which gives frames, and this process as `track`."""
    page.show(IMAGE)
    frame = page.site.frames.newest["a"].frame
    now_ns = time.monotonic_ns()
    page.site.frames.put(
        msgspec.structs.replace(
            page.site.frames.newest["a"],
            frame=msgspec.structs.replace(frame, frame_id=frame.frame_id + 1, captured_ns=now_ns),
        )
    )
    levels = {f"gallery {what}": count for what, count in gallery.items()} | {"search_every": 8}
    track = statuses.beat("track", frames=12, counts={"drops late detected.track": 3}, levels=levels)
    other = statuses.beat("detect.2", levels={"search_every": 4})
    status = statuses.status(statuses.beat("capture.a"), msgspec.structs.replace(track, pid=os.getpid()), other)
    page.site.hear(msgspec.structs.replace(status, pid=os.getpid(), turn_ns=now_ns))


def test_system_tells_cameras_processes_gallery_and_drops(tmp_path: Path) -> None:
    with page_site(tmp_path) as page:
        before = page.ask("GET", "/api/system").json
        assert (before["cameras"][0]["condition"], before["processes"]) == ("unknown", [])
        assert before["troubles"] == ["the supervisor has not reported yet"]

        running(page, people=4, photos=31)
        told = page.ask("GET", "/api/system").json

    (camera,) = told["cameras"]
    assert (camera["name"], camera["condition"], told["troubles"]) == ("a", "live", [])
    track = next(one for one in told["processes"] if one["name"] == "track")
    assert (track["frames"], track["drops"]) == (12, {"late": 3})
    assert track["memory_bytes"] > 1e6
    assert track["cpu_s"] > 0
    assert (told["networks"]["people"], told["networks"]["photos"]) == (4, 31)
    assert told["networks"]["search_every"] == 8
    assert told["running_s"] > 0


def test_networks_are_those_that_the_run_uses_now(tmp_path: Path) -> None:
    with page_site(tmp_path) as page, claim(tmp_path / "run") as folder:
        used = msgspec.structs.replace(page.config.recognize, model="mynet")
        folder.write(msgspec.structs.replace(page.config, recognize=used), {})

        assert page.ask("GET", "/api/system").json["networks"]["embedder"] == "mynet"


def test_room_of_sightings_is_that_of_the_database_and_its_pictures(tmp_path: Path) -> None:
    config = config_with(tmp_path, "a", record={"dir": str(tmp_path / "recordings")})
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "a.mp4").write_bytes(b"x" * 5000)
    visit = [face("01M8JFTDB6GVM5814RJ14Y24CN", box=(10.0, 10.0, 90.0, 90.0))]
    record(config, seconds(visit, visit, visit), pictures(config))
    reader = MachineReader(config)
    wait_until(lambda: bool(reader.latest().disks), 20)

    recordings, sightings = reader.latest().disks
    assert (recordings.what, recordings.used_bytes) == ("recordings", 5000)
    taken = sum(path.stat().st_size for path in (tmp_path / "sightings").rglob("*") if path.is_file())
    looks = sum(path.stat().st_size for path in (tmp_path / "sightings" / "looks").rglob("*.jpg"))
    assert looks > 0
    assert abs(sightings.used_bytes - taken) < taken / 2
    assert 0 < sightings.free_bytes < sightings.size_bytes


def test_a_driver_that_hangs_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, begun = threading.Event(), []

    class HangingNvml:
        def __init__(self) -> None:
            begun.append(1)
            hangs.wait(30)

        def use(self) -> tuple[()]:
            return ()

    monkeypatch.setattr(machine, "Nvml", HangingNvml)
    reader = MachineReader(config_with(tmp_path, "a"))
    try:
        assert [reader.latest().age_s for _ in range(3)] == [None, None, None]
        assert len(begun) == 1, "one thread at most waits for the driver"
    finally:
        hangs.set()


def test_view_says_in_words_what_is_wrong(tmp_path: Path) -> None:
    with page_site(tmp_path) as page, browser(390, 844) as driver:
        driver.get(f"http://127.0.0.1:{page.port}/system")
        text = "return document.querySelector('main')?.innerText ?? ''"
        wait_until(lambda: "The supervisor has not reported yet." in driver.execute_script(text), 20)
        running(page)
        wait_until(lambda: "\nLive\n" in driver.execute_script(text), 20, lambda: driver.execute_script(text))
        assert "1 picture in 8 searched whole" in driver.execute_script(text)
        assert "late 3" in driver.execute_script("return document.querySelector('table').textContent")
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert console(driver) == []


def test_tabs_and_details_work_from_the_keyboard(tmp_path: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    with page_site(tmp_path) as page, browser() as driver:
        driver.get(f"http://127.0.0.1:{page.port}/system")
        wait_until(lambda: bool(driver.execute_script("return document.querySelector('.tabs a')")), 20)

        def tab_to(text: str) -> None:
            for _ in range(60):
                ActionChains(driver).send_keys(Keys.TAB).perform()
                if text in driver.execute_script("return document.activeElement.textContent"):
                    return
            raise AssertionError(f"no Tab leads to {text}")

        tab_to("For programs")
        assert driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
        ActionChains(driver).send_keys(Keys.ENTER).perform()
        wait_until(lambda: bool(driver.execute_script("return document.querySelector('.route')")), 20)
        tab_to("/api/cameras")
        ActionChains(driver).send_keys(Keys.ENTER).perform()
        wait_until(
            lambda: "curl -s" in driver.execute_script("return document.querySelector('.route[open]').innerText"), 20
        )
