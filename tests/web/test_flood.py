"""A thousand connections at once that mean no good. The server runs in a process of its own, with as many open files as
a shell allows."""

import time
from pathlib import Path

from jetstream.web.connections import ACCEPTED_AT_ONCE, MOST_CONNECTIONS
from tests.support.flooding import flooded
from tests.support.page_process import LONGEST_TURN_S, page_process
from tests.support.pages import Answer, ask
from tests.support.waiting import wait_until

FLOOD_S = 8.0
MOST_MB = 300
"""more than before the flood: four pictures of 25 MB, each twice while it is put together; 64 MB for a login; the rest
for 400 connections with 64 kB unread and unsent each"""
MOST_FILES = MOST_CONNECTIONS + 2 * ACCEPTED_AT_ONCE + 100


def test_flood_takes_neither_memory_nor_the_loop_nor_the_place_of_who_is_logged_in(tmp_path: Path) -> None:
    with page_process(tmp_path) as page:
        cookie = page.logged_in("look")
        before_mb, answers, most_mb, most_files = page.memory_mb, list[Answer](), 0.0, 0
        page.longest_turn_s()
        with flooded(page.port, cookie, 1000) as flood:
            wait_until(lambda: flood.opened >= 1000)
            until_s = time.monotonic() + FLOOD_S
            while time.monotonic() < until_s:
                answers.append(ask(page.port, "GET", "/api/sightings", Cookie=cookie))
                most_mb, most_files = max(most_mb, page.memory_mb), max(most_files, page.files)
                time.sleep(0.1)
        turn_s = page.longest_turn_s()

        print(
            f"{flood.opened} connections, {flood.most_open} at once: {most_mb - before_mb:.0f} MB, {most_files} files"
        )
        print(f"{len(answers)} answers; the loop took at most {turn_s:.2f} s to work; {flood.seen}")
        assert {answer.status for answer in answers} == {200}
        assert turn_s < LONGEST_TURN_S
        assert most_mb - before_mb < MOST_MB
        assert most_files < MOST_FILES
        assert not any(" 500" in line for line in flood.seen), flood.seen
        wait_until(lambda: page.files < 100)
        assert "Traceback" not in page.errors
