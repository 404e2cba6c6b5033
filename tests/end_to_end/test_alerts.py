"""A whole run that tells of the people in the demo."""

import os
import signal

import pytest

from jetstream.messages import Status
from tests.support.inside import Inside
from tests.support.receivers import hangs, receiver, says
from tests.support.repository import DEMO
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline
ALERTS = """
[[alerts]]
name = "front"
when = ["named", "unknown"]
unknown_after_s = 2
webhook = "{url}"
private = true
[[alerts]]
name = "stuck"
when = ["enter"]
webhook = "{stuck}"
private = true
send_timeout_s = 60
"""


def test_people_are_told_while_one_receiver_hangs_and_the_sidecar_is_killed(jetstream: Inside) -> None:
    with receiver(says(500, 200)) as server, receiver(hangs) as stuck:
        with open(DEMO) as demo:
            text = demo.read() + ALERTS.format(url=server.url, stuck=stuck.url)
        (jetstream.folder / "site.toml").write_text(text)
        with jetstream.running("site.toml", "--headless", "--set", "cameras.demo.fps=10") as process:
            wait_until(lambda: server.posted and stuck.posted, PATIENCE_S, jetstream.log)
            os.kill(pid_of(jetstream.wait(lambda status: True, process)), signal.SIGKILL)
            jetstream.wait(lambda status: state_of(status) == ("running", 1), process)
            wait_until(lambda: {"named", "unknown"} <= {one.json["type"] for one in server.posted}, why=jetstream.log)
        assert process.returncode == 0

    told = {(one.json["type"], one.json["data"]["sighting"]["name"]) for one in server.posted}
    assert told == {("named", "Eileen Collins"), ("unknown", None)}
    ids = {(one.json["type"], one.headers["webhook-id"]) for one in server.posted}
    assert len(ids) == 2, "tried again with the same id"
    assert "silent" not in jetstream.log()


def pid_of(status: Status) -> int:
    (beat,) = (one.beat for one in status.processes if one.process == "alerts" and one.beat)
    return beat.pid


def state_of(status: Status) -> tuple[str, int]:
    (found,) = (one for one in status.processes if one.process == "alerts")
    return found.state, found.restarts
