"""The System view of a pipeline that runs, in a real Chromium."""

import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.support.command import Command, free_port
from tests.support.pages import browser, console
from tests.support.repository import DEMO
from tests.support.statuses import pids_in
from tests.support.waiting import wait_until


def shows(driver: Any, *words: str) -> None:
    """Wait until the view has all of these words."""
    script = "return document.querySelector('main')?.innerText ?? ''"

    def text() -> str:
        return str(driver.execute_script(script))

    wait_until(lambda: all(one in text() for one in words), 40, lambda: f"{words}\n{text()[:3000]}")


@pytest.mark.pipeline
def test_run_is_told_in_words_with_a_process_that_died_its_log_and_its_config(jetstream: Command) -> None:
    seen = replace(jetstream, page_port=free_port())
    with browser() as driver, seen.running(DEMO) as process:
        driver.get(f"{seen.page}/system")
        shows(driver, "Live", "capture.demo", "finds faces", "1 person, 1 photo")
        status = seen.wait(lambda one: "detect" in pids_in(one), process)
        os.kill(pids_in(status)["detect"], signal.SIGKILL)
        restarts = """
            const row = [...document.querySelectorAll("tbody tr")].find((one) => one.cells[0].textContent === "detect");
            return row?.cells[5].textContent
        """
        wait_until(lambda: driver.execute_script(restarts) == "1", 40, lambda: driver.page_source[:3000])
        follow = "[...document.querySelectorAll('.tabs a')].find((one) => one.textContent === arguments[0]).click()"
        driver.execute_script(follow, "Log")
        shows(driver, "running: capture.demo", "detect: ended by SIGKILL; starting it again")
        driver.execute_script(follow, "Config")
        shows(driver, "decided at the start", "--set", "cameras.demo")
        driver.execute_script(follow, "Faces")
        shows(driver, "A typical face is")
        assert console(driver) == []
