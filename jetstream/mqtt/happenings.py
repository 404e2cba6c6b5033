"""A change of a sighting as messages for programs: none of them is retained, so that none happens twice.

Knows no connection.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from jetstream.config.schema import MqttConfig
from jetstream.mqtt.topics import Topics, slugs
from jetstream.sighting import SCHEMA, Change, Sighting, SightingMessage

EVENT_TYPES: Final = ("enter", "exit", "named", "unknown")
FRIGATE: Final = "frigate/tracked_object_update"
UNKNOWN: Final = "unknown"


class CameraEvent(msgspec.Struct, frozen=True):
    """What happened at a camera: the payload of `camera/<name>/event`, an `event` of Home Assistant."""

    event_type: Literal["enter", "exit", "named", "unknown"]
    """enter: somebody with a name; unknown: somebody without one, who may be `named` later; named: somebody who is
    there got a name, or another one; exit"""
    person: str | None
    """the name as it is in topics; null: a stranger"""
    name: str | None
    """the name"""
    stranger: int | None
    """number of a stranger who was seen before"""
    camera: str
    """`name` of the camera in the config"""
    area: str
    """where the camera is"""
    sighting: str
    """id of the sighting"""
    confidence: float
    """largest probability so far that the name is right, 0 to 1"""
    at: str
    """when it was written, UTC, ISO 8601 to the millisecond"""
    seq: int
    """number of the change: a message that comes twice has the same `epoch` and `seq`"""
    epoch: int
    """when the database was made [ns]"""


class SightingUpdate(msgspec.Struct, frozen=True):
    """A change with the whole sighting: the payload of `sighting`."""

    type: Literal["new", "update", "end"]
    """new: it began; end: it ended, or turned out to be a part of another one"""
    schema: int
    """version of this format"""
    epoch: int
    """when the database was made [ns]"""
    seq: int
    """counts all changes of this epoch"""
    change: Change
    """as in the topic's `sighting` message"""
    wall: str
    """when the change was written, UTC, ISO 8601 to the millisecond"""
    sighting: Sighting
    """the sighting after the change"""


class FrigateUpdate(msgspec.Struct, frozen=True):
    """As Frigate tells an attempt to recognise a face."""

    type: Literal["face"]
    id: str
    name: str
    score: float
    camera: str
    timestamp: float


def messages_of(
    message: SightingMessage, settings: MqttConfig, slug_of: Mapping[str, str]
) -> Iterator[tuple[str, bytes]]:
    """Topics and payloads of a change, in the order in which they are to be told. `slug_of`: of the people known now,
    see `slugs`."""
    topics, sighting = Topics(settings.prefix), message.sighting
    if (event := _event(message, slug_of)) is not None:
        yield topics.camera(sighting.camera, "event"), msgspec.json.encode(event)
    update = SightingUpdate(
        _type(message.change), SCHEMA, message.epoch, message.seq, message.change, message.wall, sighting
    )
    yield topics.sighting, msgspec.json.encode(update)
    if settings.also == "frigate" and message.change in ("enter", "named"):
        yield FRIGATE, msgspec.json.encode(_as_frigate(message))


def _event(message: SightingMessage, slug_of: Mapping[str, str]) -> CameraEvent | None:
    change, sighting = message.change, message.sighting
    if change not in ("enter", "named", "exit"):
        return None
    name = sighting.name
    is_unknown = change == "enter" and name is None
    return CameraEvent(
        event_type=UNKNOWN if is_unknown else change,
        person=None if name is None else slug_of.get(name) or slugs([name])[name],
        name=name,
        stranger=sighting.stranger,
        camera=sighting.camera,
        area=sighting.area,
        sighting=sighting.id,
        confidence=round(sighting.confidence, 2),
        at=message.wall,
        seq=message.seq,
        epoch=message.epoch,
    )


def _type(change: Change) -> Literal["new", "update", "end"]:
    return "new" if change == "enter" else "end" if change in ("exit", "merged") else "update"


def _as_frigate(message: SightingMessage) -> FrigateUpdate:
    sighting = message.sighting
    at = datetime.fromisoformat(message.wall.replace("Z", "+00:00"))
    score = 0.0 if sighting.name is None else round(sighting.confidence, 2)
    return FrigateUpdate("face", sighting.id, sighting.name or UNKNOWN, score, sighting.camera, at.timestamp())
