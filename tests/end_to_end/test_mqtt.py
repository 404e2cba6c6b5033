"""A whole pipeline and a real broker: an enter reaches it, and it knows when the pipeline is killed."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from jetstream.recording.events_file import is_open
from jetstream.sightings.change_queue import ChangeQueue
from tests.support.brokers import Ears, broker_in, held
from tests.support.home_assistant import faults
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.sightings import at, config_with, record
from tests.support.waiting import wait_until

pytestmark = pytest.mark.pipeline


EVENT = "jetstream/camera/demo/event"


def ran_before(folder: Path) -> None:
    """What the first run leaves. That one tells only what happens after the broker's sidecar has started."""
    record(config_with(folder), [at(0)])
    queue = ChangeQueue(folder / "sightings", "mqtt")
    queue.look(0.0)
    queue.close()


def enters(ears: Ears) -> list[Any]:
    return [one for one in ears.told(EVENT) if one["event_type"] == "enter"]


def test_pipeline_tells_the_broker_who_came_and_that_it_was_killed(jetstream: Inside, tmp_path: Path) -> None:
    ran_before(jetstream.folder)
    with broker_in(tmp_path / "broker") as broker:
        ears = Ears(broker)
        words = ["--headless", "--record", str(tmp_path / "rec"), "--set", "record.video=none"]
        for setting in ("enabled=true", "commands=true", f"broker={broker.address}"):
            words += ["--set", f"mqtt.{setting}"]
        with jetstream.running(DEMO, *words) as process:
            ears.wait(lambda ears: ears.retained.get("jetstream/camera/demo/ready") == b"ON")
            ears.wait(enters)
            event = enters(ears)[0]
            ears.wait(lambda ears: ears.retained.get(f"jetstream/person/{event['person']}/area") == b"demo")
            ears.wait(lambda ears: event["name"] in json.loads(ears.retained["jetstream/camera/demo/people"])["names"])
            found = {topic: payload for topic, payload in held(broker).items() if topic.startswith("homeassistant/")}
            assert len(found) == 2
            assert [fault for topic, payload in found.items() for fault in faults(topic, payload)] == []
            ears.say("jetstream/camera/demo/record/set", "OFF")
            ears.wait(lambda ears: ears.retained["jetstream/camera/demo/record"] == b"OFF")
            wait_until(lambda: not is_open(next((tmp_path / "rec").glob("*.jsonl"))))
            ears.say("jetstream/camera/demo/record/set", "ON")
            wait_until(lambda: len(list((tmp_path / "rec").glob("*.jsonl"))) == 2)
            before = len(ears.messages)
            status = jetstream.wait(lambda status: any(one.process == "mqtt" for one in status.processes), process)
            (beat,) = (one.beat for one in status.processes if one.process == "mqtt")
            assert beat is not None
            os.kill(beat.pid, signal.SIGKILL)
            ears.wait(lambda ears: ("jetstream/status", b"offline") in ears.messages[before:])
            ears.wait(lambda ears: ears.retained["jetstream/status"] == b"online")
        ears.wait(lambda ears: ears.retained["jetstream/status"] == b"offline")
        seqs = [one["seq"] for one in ears.told("jetstream/sighting")]
        ears.close()
    assert sorted(set(seqs)) == list(range(1, max(seqs) + 1))
