"""What Home Assistant refuses of a device discovery message, rebuilt here: its package needs Python 3.13.

The rules are those of its schemas in version 2026.2.3 (components/mqtt: `schemas.DEVICE_DISCOVERY_SCHEMA` with
`check_unique_id`, `discovery.TOPIC_MATCHER`, and DISCOVERY_SCHEMA of the platforms used here). jetstream's
messages were given to that code itself by hand: it took them, and knew every key.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

TOPIC = re.compile(r"(?P<component>\w+)/(?:(?P<node_id>[a-zA-Z0-9_-]+)/)?(?P<object_id>[a-zA-Z0-9_-]+)/config")
MESSAGE = {"device", "origin", "components", "availability", "qos"}
DEVICE = {
    *("identifiers", "connections", "manufacturer", "model", "name", "hw_version", "serial_number", "sw_version"),
    *("via_device", "suggested_area", "configuration_url"),
}
ORIGIN = {"name", "sw_version", "support_url"}
COMMON = {"platform", "name", "unique_id", "default_entity_id", "icon", "entity_category", "json_attributes_topic"}
STATE = {"state_topic", "value_template", "device_class"}
KEYS = {
    "sensor": COMMON | STATE | {"state_class"},
    "binary_sensor": COMMON | STATE | {"payload_on", "payload_off"},
    "event": COMMON | STATE | {"event_types"},
    "image": COMMON | {"image_topic", "content_type", "image_encoding"},
    "switch": COMMON | STATE | {"command_topic"},
}
REQUIRED = {
    "sensor": {"state_topic"},
    "binary_sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
    "switch": {"command_topic"},
}
CLASSES = {"connectivity", "occupancy", "measurement", "diagnostic", "config"}
"""those that are used here, of device, state and category"""


def faults(topic: str, payload: bytes, prefix: str = "homeassistant") -> list[str]:
    """What is wrong with a discovery message; empty: nothing."""
    found = TOPIC.fullmatch(topic.removeprefix(f"{prefix}/"))
    told = [] if found is not None and found["component"] == "device" else [f"{topic}: no topic of discovery"]
    body = json.loads(payload)
    told += [f"no {key}" for key in ("device", "origin", "components") if key not in body]
    told += [f"unknown: {key}" for key in body.keys() - MESSAGE]
    told += [f"unknown of device: {key}" for key in body["device"].keys() - DEVICE]
    told += [] if body["device"].get("identifiers") else ["a device without identifiers"]
    told += [f"unknown of origin: {key}" for key in body["origin"].keys() - ORIGIN]
    told += [] if isinstance(body["origin"].get("name"), str) else ["an origin without a name"]
    told += [] if body.get("qos", 0) in (0, 1, 2) else ["qos"]
    told += [f"availability: {one}" for one in body["availability"] if not is_topic(one["topic"])]
    for key, component in body["components"].items():
        told += [f"{key}: {fault}" for fault in _faults_of(component)]
    return told


def _faults_of(component: dict[str, Any]) -> Iterator[str]:
    platform = component.get("platform")
    if platform not in KEYS:
        yield f"platform {platform}"
        return
    if component.keys() == {"platform"}:  # it is removed
        return
    yield from (f"unknown: {key}" for key in component.keys() - KEYS[platform])
    yield from (f"needs {key}" for key in (REQUIRED[platform] | {"unique_id"}) - component.keys())
    yield from (f"{key}: no topic" for key in component if key.endswith("_topic") and not is_topic(component[key]))
    if not re.fullmatch(rf"{platform}\.[a-z0-9_]+", component.get("default_entity_id", "")):
        yield "default_entity_id"
    for key in ("device_class", "state_class", "entity_category"):
        if component.get(key, "diagnostic") not in CLASSES:
            yield key


def is_topic(text: object) -> bool:
    """Whether it is a topic without wildcards."""
    return isinstance(text, str) and 0 < len(text.encode()) < 65536 and not re.search(r"[+#\x00-\x1f\x7f-\x9f]", text)
