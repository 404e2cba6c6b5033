"""What is sent of a delivery: a sentence for people, and the sighting as it is when it is sent.

The form is that of Standard Webhooks (https://www.standardwebhooks.com): `type`, `timestamp` and `data`.
"""

import base64
import contextlib
import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final

import msgspec

from jetstream.alerts.occasions import OF_CAMERAS, OccasionKind
from jetstream.alerts.outbox import Delivery
from jetstream.alerts.template import filled
from jetstream.events import iso_ns, iso_time
from jetstream.sighting import Sighting
from jetstream.sightings import reader

SCHEMA: Final = 1
LARGEST_LOOK_BYTES: Final = 1_000_000


class AlertData(msgspec.Struct, frozen=True):
    """What an alert tells: its `data`."""

    schema: int
    """version of this format"""
    id: str
    """of the delivery, the same at each try"""
    alert: str
    """its `name` in the config"""
    text: str
    """a sentence for people, with local time"""
    camera: str
    """`name` of the camera in the config"""
    area: str
    """where the camera is"""
    zone: str | None
    """of a visit to a zone"""
    sighting: Sighting | None
    """as it is when this is sent, without `why` and `looks`; null: it is about a camera"""
    look: str | None
    """the best picture of the face, JPEG in base64, if `looks` asks for it"""


class AlertMessage(msgspec.Struct, frozen=True):
    """The JSON of an alert, as a webhook and a program get it."""

    type: OccasionKind
    """what happened: as in `when`, or `camera_up`"""
    timestamp: str
    """when it happened, UTC, ISO 8601 to the millisecond"""
    data: AlertData
    """what is told of it"""

    @property
    def who(self) -> str:
        """The person's name, or the stranger's number."""
        return "" if self.data.sighting is None else self.data.sighting.who


def composed(
    delivery: Delivery,
    connection: sqlite3.Connection | None,
    folder: Path,
    areas: Mapping[str, str],
    *,
    looks: bool,
    zone: tzinfo | None = None,
) -> AlertMessage | None:
    """The message of a delivery; None: its sighting is gone. `areas` of cameras; `zone` of local time.

    connection  to the sightings in `folder`; None for what is about a camera. Raises sqlite3.Error.
    """
    sighting = None
    if delivery.kind not in OF_CAMERAS:
        assert connection is not None
        try:
            sighting = reader.one(connection, delivery.sighting)
        except reader.NoSightingError:
            return None
    look = _look(sighting, folder) if looks and sighting is not None else None
    return of_sighting(delivery, sighting, areas, look=look, zone=zone)


def of_sighting(
    delivery: Delivery,
    sighting: Sighting | None,
    areas: Mapping[str, str],
    *,
    look: bytes | None = None,
    zone: tzinfo | None = None,
) -> AlertMessage:
    """The message of a delivery and its sighting. `look`: JPEG."""
    area = sighting.area if sighting is not None else areas.get(delivery.camera, delivery.camera)
    data = AlertData(
        schema=SCHEMA,
        id=delivery.id,
        alert=delivery.alert,
        text=sentence(delivery, sighting, area, zone),
        camera=delivery.camera,
        area=area,
        zone=delivery.zone or None,
        # who else it might be is nobody's business elsewhere
        sighting=None if sighting is None else msgspec.structs.replace(sighting, why=(), looks=()),
        look=None if look is None else base64.b64encode(look).decode(),
    )
    return AlertMessage(delivery.kind, iso_time(delivery.at_ns), data)


def sentence(delivery: Delivery, sighting: Sighting | None, area: str, zone: tzinfo | None = None) -> str:
    """What happened, for people."""
    where = area if area == delivery.camera else f"{area} (camera {delivery.camera})"
    clock = _clock(delivery.at_ns, zone)
    if sighting is None:
        how = "gives frames again" if delivery.kind == "camera_up" else "gives no frames"
        return f"Camera {delivery.camera} {how}, {clock}"
    who = sighting.who if sighting.name is not None else sighting.who.capitalize()
    told = {
        "enter": f"{who} came",
        "exit": f"{who} left, seen from {_clock(iso_ns(sighting.begin), zone)} to {_clock(iso_ns(sighting.end), zone)}",
        "named": f"{who} was recognised",
        "unknown": f"{who} is not known" if sighting.name is None else f"A stranger, by now named {who}",
        "zone": f"{who} is in zone {delivery.zone}",
        "stranger_again": f"{who} was seen again",
    }[delivery.kind]
    return f"{told}: {where}, {clock}"


def body_of(message: AlertMessage, wanted: Mapping[str, str | int | bool], environment: Mapping[str, str]) -> bytes:
    """The JSON to be sent: `wanted` with its placeholders filled, or jetstream's own where it is empty."""
    if not wanted:
        return msgspec.json.encode(message)
    values = {
        "text": message.data.text,
        "alert": message.data.alert,
        "type": message.type,
        "who": message.who,
        "camera": message.data.camera,
        "area": message.data.area,
        "zone": message.data.zone or "",
        "time": message.timestamp,
    }
    body: dict[str, Any] = {
        key: filled(value, environment, values) if isinstance(value, str) else value for key, value in wanted.items()
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _clock(at_ns: int, zone: tzinfo | None) -> str:
    return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, zone):%H:%M:%S}"


def _look(sighting: Sighting, folder: Path) -> bytes | None:
    """The best picture that is there: the newer ones may have replaced it."""
    for look in sighting.looks:
        with contextlib.suppress(OSError):
            content = (folder / look).read_bytes()
            if len(content) <= LARGEST_LOOK_BYTES:
                return content
    return None
