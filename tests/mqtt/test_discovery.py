"""Home Assistant takes the devices, and an entity keeps its id; slugs are unique and stay."""

import json
import re
from pathlib import Path

import pytest

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.mqtt.discovery import devices
from jetstream.mqtt.topics import possible_slugs, slugs
from jetstream.sightings import erasure
from tests.support.brokers import Broker, Ears, held
from tests.support.home_assistant import faults
from tests.support.sightings import IDS, at, face, record
from tests.support.telling import Told, settings

NAMES = ["Ada Lovelace", "Zoë", "李雷", "ada lovelace", "O'Brien", "Ω", "bob", "deadbeef"]


def config_with(**mqtt: object) -> Config:
    cameras = [{"name": "Front-Door", "source": "demo", "area": "hall"}, {"name": "yard", "source": "demo"}]
    told = {"enabled": True, "broker": "mqtt://h", **mqtt}
    return load.build({"cameras": cameras, "mqtt": told}, where="test")


@pytest.mark.parametrize("mqtt", [{}, {"faces": True}, {"prefix": "home/jet", "discovery": "ha/found"}])
def test_home_assistant_takes_every_device(mqtt: dict[str, object]) -> None:
    config = config_with(**mqtt)
    made = list(devices(config, NAMES))

    assert [fault for one in made for fault in faults(one.topic, one.payload(), config.mqtt.discovery)] == []
    assert [fault for one in made for fault in faults(one.topic, one.payload({"gone": "sensor"}), "ha/found")] == [
        f"{one.topic}: no topic of discovery" for one in made if config.mqtt.discovery != "ha/found"
    ]
    ids = [part["unique_id"] for one in made for part in one.body["components"].values()]
    assert len(ids) == len(set(ids))
    assert len(made) == 3
    assert list(devices(config_with(discovery=""), NAMES)) == []


def test_fault_of_a_device_is_found() -> None:
    device = next(devices(config_with(), ["Ada"]))
    body = json.loads(device.payload())
    body["components"]["strangers"] |= {"object_id": "x", "state_topic": "a/#"}
    body["device"]["identifiers"] = []

    found = faults(device.topic, json.dumps(body).encode())

    assert found == [
        "a device without identifiers",
        "strangers: unknown: object_id",
        "strangers: state_topic: no topic",
    ]


def test_slug_of_a_plain_name_is_readable_and_every_slug_is_unique() -> None:
    made = slugs(NAMES)

    assert made["bob"] == "bob"
    assert slugs(["Ada Lovelace"])["Ada Lovelace"] == "ada_lovelace"
    assert made["Zoë"].startswith("zoe_")
    assert len(set(made.values())) == len(NAMES)
    assert all(re.fullmatch("[a-z0-9_]+", slug) for slug in made.values())
    assert all(made[name] in possible_slugs(name) for name in NAMES)
    others = [name for name in NAMES if name.lower() != "ada lovelace"]
    assert all(slugs([name])[name] == made[name] for name in others), "whoever else is known"


def test_person_who_gets_another_name_loses_the_sensor_of_the_old_one(
    tmp_path: Path, broker: Broker, ears: Ears
) -> None:
    config = settings(tmp_path, broker.address)
    record(config, [at(1, face(IDS[0], "Ada"), camera="door")])
    told = Told(config)
    told.settle()

    erasure.rename("Ada", "Augusta", Path(config.sightings.dir))
    told.teller._has_news = True
    told.until(lambda: "jetstream/person/augusta/area" in ears.retained)
    told.settle()

    topic = "homeassistant/device/jetstream/config"
    ears.wait(lambda ears: b"person_ada" not in ears.retained[topic])
    removed = ears.told(topic)
    assert [one["components"].get("person_ada", {}).keys() for one in removed][-2:] == [{"platform"}, set()]
    kept = held(broker)
    assert [one for one in kept if "/ada" in one] == []
    assert b"person_ada" not in kept[topic]
    assert b"ada" not in (Path(config.sightings.dir) / "mqtt-retained.json").read_bytes()
    told.close()
