"""Home Assistant's device discovery: one retained message for the instance, and one for each camera.

Knows no connection. Entities keep their unique_id for as long as a person has the name, and a camera its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

import jetstream
from jetstream.config.schema import CameraConfig, Config, area_of
from jetstream.mqtt.commands import places
from jetstream.mqtt.happenings import EVENT_TYPES
from jetstream.mqtt.topics import Topics, slugs

ORIGIN: Final = {"name": "jetstream", "sw_version": jetstream.__version__}
SWITCHES: Final = {"record": "Recording", "blur": "Hide faces"}
COUNT: Final = "{{ value_json.names | count + value_json.unknown }}"


class DiscoveryDevice(NamedTuple):
    """A device of Home Assistant."""

    topic: str
    body: Mapping[str, Any]

    @property
    def platforms(self) -> dict[str, str]:
        """By the keys of its components."""
        return {key: one["platform"] for key, one in self.body["components"].items()}

    def payload(self, removed: Mapping[str, str] | None = None) -> bytes:
        """Without `removed`: the whole message. Else with these components (keys and platforms) marked as removed."""
        marks = {key: {"platform": platform} for key, platform in (removed or {}).items()}
        return msgspec.json.encode({**self.body, "components": {**self.body["components"], **marks}})


def devices(config: Config, names: Iterable[str]) -> Iterator[DiscoveryDevice]:
    """The instance with a sensor for each of these people, then the cameras; none where mqtt.discovery is empty."""
    if config.mqtt.discovery:
        yield _device(config, Topics(config.mqtt.prefix).node, _instance(config, slugs(names)), name="jetstream")
        for camera in config.cameras:
            node = f"{Topics(config.mqtt.prefix).node}_camera_{camera.name}"
            place = {"via_device": Topics(config.mqtt.prefix).node, "suggested_area": area_of(camera)}
            yield _device(config, node, _camera(config, camera), name=camera.name, **place)


def _device(config: Config, node: str, components: dict[str, dict[str, Any]], **told: str) -> DiscoveryDevice:
    for key, component in components.items():
        component["unique_id"] = f"{node}_{key}"
        component["default_entity_id"] = f"{component['platform']}.{_entity(f'{node}_{key}')}"
    body = {
        "device": {"identifiers": [node], "manufacturer": "jetstream", "sw_version": jetstream.__version__, **told},
        "origin": ORIGIN,
        "availability": [{"topic": Topics(config.mqtt.prefix).status}],
        "qos": 1,
        "components": components,
    }
    return DiscoveryDevice(f"{config.mqtt.discovery}/device/{node}/config", body)


def _instance(config: Config, slug_of: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    topics = Topics(config.mqtt.prefix)
    people = {
        f"person_{slug}": {
            "platform": "sensor",
            "name": name,
            "icon": "mdi:account",
            "state_topic": topics.area(slug),
            "json_attributes_topic": topics.person(slug),
        }
        for name, slug in slug_of.items()
    }
    strangers = {
        "platform": "sensor",
        "name": "Strangers",
        "icon": "mdi:account-question",
        "state_class": "measurement",
        "state_topic": topics.strangers,
    }
    return {**people, "strangers": strangers, "ready": _ready(topics.ready)}


def _camera(config: Config, camera: CameraConfig) -> dict[str, dict[str, Any]]:
    topics = Topics(config.mqtt.prefix)
    people = topics.camera(camera.name, "people")
    components: dict[str, dict[str, Any]] = {
        "people": {
            "platform": "sensor",
            "name": "People",
            "icon": "mdi:account-group",
            "state_class": "measurement",
            "state_topic": people,
            "value_template": COUNT,
            "json_attributes_topic": people,
        },
        "unknown": {
            "platform": "binary_sensor",
            "name": "Unknown person",
            "device_class": "occupancy",
            "state_topic": topics.camera(camera.name, "unknown"),
        },
        "event": {
            "platform": "event",
            "name": "Sighting",
            "event_types": list(EVENT_TYPES),
            "state_topic": topics.camera(camera.name, "event"),
        },
        "ready": _ready(topics.camera(camera.name, "ready")),
    }
    if config.mqtt.faces:
        face = {"platform": "image", "name": "Last face", "content_type": "image/jpeg"}
        components["face"] = {**face, "image_topic": topics.camera(camera.name, "face")}
    for topic, (name, switch) in places(config):
        if name == camera.name:
            told = {"platform": "switch", "name": SWITCHES[switch], "entity_category": "config"}
            components[switch] = {**told, "command_topic": topic, "state_topic": topics.camera(name, switch)}
    return components


def _ready(topic: str) -> dict[str, Any]:
    told = {"platform": "binary_sensor", "name": "Ready", "device_class": "connectivity"}
    return {**told, "entity_category": "diagnostic", "state_topic": topic}


def _entity(text: str) -> str:
    return text.lower().replace("-", "_")
