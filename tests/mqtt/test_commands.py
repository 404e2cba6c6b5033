"""What is switched over MQTT, and that nothing is where mqtt.commands is false."""

from pathlib import Path

import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.runtime.run_dir import SWITCHES
from jetstream.runtime.switches import CameraSwitch, read
from tests.support.brokers import Broker, Ears, held
from tests.support.home_assistant import faults
from tests.support.telling import Told, settings

RECORD, BLUR = "jetstream/camera/door/record", "jetstream/camera/door/blur"


@pytest.fixture
def config(tmp_path: Path, broker: Broker) -> Config:
    config = settings(tmp_path, broker.address, commands=True)
    record = msgspec.structs.replace(config.record, dir=str(tmp_path / "rec"))
    pipeline = msgspec.structs.replace(config.pipeline, run_dir=str(tmp_path))
    return msgspec.structs.replace(config, record=record, pipeline=pipeline)


def switched(config: Config) -> CameraSwitch:
    return read(Path(config.pipeline.run_dir) / SWITCHES).get("door", CameraSwitch())


def test_switch_is_done_told_and_kept_over_a_restart(config: Config, broker: Broker, ears: Ears) -> None:
    told = Told(config)
    told.settle()
    assert held(broker, RECORD, BLUR) == {RECORD: b"ON", BLUR: b"OFF"}

    ears.say(f"{RECORD}/set", "OFF")
    ears.say(f"{BLUR}/set", "ON")
    told.until(lambda: ears.retained[RECORD] == b"OFF" and ears.retained[BLUR] == b"ON")
    assert switched(config) == CameraSwitch(record=False, blur=True)
    told.close()

    again = Told(config)
    again.settle()
    assert held(broker, RECORD, BLUR) == {RECORD: b"OFF", BLUR: b"ON"}
    (Path(config.pipeline.run_dir) / SWITCHES).unlink()
    again.teller._has_news = True
    again.until(lambda: switched(config).blur)
    ears.say(f"{BLUR}/set", "OFF")
    again.until(lambda: not switched(config).blur)
    again.close()


def test_home_assistant_gets_switches(config: Config, broker: Broker) -> None:
    told = Told(config)
    told.settle()

    topic = "homeassistant/device/jetstream_camera_door/config"
    payload = held(broker, topic)[topic]
    components = msgspec.json.decode(payload)["components"]
    assert faults(topic, payload) == []
    assert components["blur"]["command_topic"] == f"{BLUR}/set"
    assert components["record"]["platform"] == "switch"
    told.close()


def test_what_the_config_hides_stays_hidden(config: Config, broker: Broker, ears: Ears) -> None:
    hidden = msgspec.structs.replace(config, render=msgspec.structs.replace(config.render, blur="all"))
    told = Told(hidden)
    told.settle()

    ears.say(f"{BLUR}/set", "ON")
    told.until(lambda: switched(config).blur)
    ears.say(f"{BLUR}/set", "OFF")
    told.until(lambda: not switched(config).blur)
    told.settle()

    assert held(broker, BLUR) == {BLUR: b"ON"}
    told.close()


def test_other_words_and_old_messages_switch_nothing(config: Config, broker: Broker, ears: Ears) -> None:
    ears.say(f"{RECORD}/set", "OFF", retain=True)
    told = Told(config)
    told.settle()
    for topic, word in ((f"{BLUR}/set", "on"), (f"{BLUR}/set", ""), ("jetstream/camera/yard/blur/set", "ON")):
        ears.say(topic, word)
    ears.say("jetstream/camera/door/zoom/set", "ON")
    ears.say(f"{BLUR}/set", "ON")
    told.until(lambda: switched(config).blur)

    assert switched(config) == CameraSwitch(record=True, blur=True)
    told.close()


def test_without_commands_there_is_no_switch(tmp_path: Path, broker: Broker, ears: Ears) -> None:
    config = settings(tmp_path, broker.address)
    told = Told(config)
    told.settle()
    ears.say(f"{BLUR}/set", "ON")
    told.settle()

    assert held(broker, RECORD, BLUR) == {}
    assert b"switch" not in held(broker)["homeassistant/device/jetstream_camera_door/config"]
    told.close()
