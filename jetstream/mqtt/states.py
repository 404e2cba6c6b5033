"""What the broker is to hold: a payload for each retained topic, from the sightings as they are now.

Knows no connection. Only the last payload of such a topic matters.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Final

import msgspec

from jetstream.config.schema import Config
from jetstream.events import iso_time
from jetstream.gallery import people, photos
from jetstream.messages import Status
from jetstream.monitoring import health
from jetstream.mqtt.topics import Topics, slugs
from jetstream.sightings import reader
from jetstream.sightings.camera_presence import CameraPresence, camera_presence, last_seen, newest_looks
from jetstream.sightings.presence import PersonPresence, presence

NOT_SEEN: Final = "not_seen"
LARGEST_FACE: Final = 1_000_000
"""bytes of a picture; one of a sighting has some 20,000"""


class PersonState(msgspec.Struct, frozen=True):
    """Where a person is: the payload of `person/<slug>`."""

    name: str
    """the name"""
    state: str
    """here: in sight; left: out of sight for less than `presence.away_s`; away: for longer, or never seen"""
    camera: str | None = None
    """the camera that sees the person, or saw the person last"""
    area: str | None = None
    """where that camera is"""
    since: str | None = None
    """here: when the person was seen in this area first, without leaving; else when last, UTC, ISO 8601"""
    last_seen: str | None = None
    """when the person was seen last, UTC, ISO 8601; null: the person is in sight, or was never seen"""
    confidence: float | None = None
    """largest probability so far that the name of that sighting is right, 0 to 1"""
    sighting: str | None = None
    """id of that sighting"""


def known_people(connection: sqlite3.Connection, config: Config, before: Set[str] = frozenset()) -> Set[str]:
    """The names that have photos or sightings; also those of `before` where the folder of photos isn't there."""
    names, faces = frozenset(reader.people(connection)), Path(config.recognize.faces)
    if config.recognize.faces == "demo":
        return names
    try:
        folders = [photos.normal(folder.name) for folder in people.person_folders(faces)]
    except OSError:
        return names | before
    return names | set(folders) if faces.is_dir() else names | before


def person_states(
    connection: sqlite3.Connection, config: Config, names: Set[str], now_ns: int
) -> Iterator[tuple[str, bytes]]:
    """Two topics a person."""
    topics, slug_of = Topics(config.mqtt.prefix), slugs(names)
    now = presence(
        connection, away_s=config.presence.away_s, absence_s=config.sightings.absence_s, now_ns=now_ns, with_away=True
    )
    seen = last_seen(connection, (one.sighting for one in now.people))
    by_name = {one.name: one for one in now.people}
    for name in sorted(names):
        one = by_name.get(name)
        state = PersonState(name, "away") if one is None else _state(one, *seen.get(one.sighting, (None, None)))
        area = state.area if state.area is not None and state.state != "away" else NOT_SEEN
        yield topics.area(slug_of[name]), area.encode()
        yield topics.person(slug_of[name]), msgspec.json.encode(state)
    yield topics.strangers, str(sum(one.count for one in now.strangers)).encode()


def camera_states(connection: sqlite3.Connection, config: Config, now_ns: int) -> Iterator[tuple[str, bytes]]:
    """Who is at each camera, and with mqtt.faces whom it saw last; an empty payload: no picture."""
    topics = Topics(config.mqtt.prefix)
    there = camera_presence(connection, absence_s=config.sightings.absence_s, now_ns=now_ns)
    names = [camera.name for camera in config.cameras]
    looks = newest_looks(connection, names) if config.mqtt.faces else {}
    for name in names:
        now = there.get(name, CameraPresence())
        yield topics.camera(name, "people"), msgspec.json.encode(now)
        yield topics.camera(name, "unknown"), on_off(now.unknown > 0)
        if config.mqtt.faces:
            yield topics.camera(name, "face"), _face(Path(config.sightings.dir), looks.get(name))


def ready_states(config: Config, status: Status | None, now_ns: int) -> Iterator[tuple[str, bytes]]:
    """Whether frames of each camera come through, and of all of them. `now_ns`: of CLOCK_MONOTONIC."""
    topics, names = Topics(config.mqtt.prefix), [camera.name for camera in config.cameras]
    are_ready = {name: not any(health.unready(status, [name], config.metrics.fresh_s, now_ns)) for name in names}
    yield topics.ready, on_off(all(are_ready.values()))
    yield from ((topics.camera(name, "ready"), on_off(is_ready)) for name, is_ready in are_ready.items())


def on_off(value: bool) -> bytes:
    return b"ON" if value else b"OFF"


def _state(one: PersonPresence, end_ns: int | None, confidence: float | None) -> PersonState:
    is_gone = one.state != "here" and end_ns is not None
    return PersonState(
        **{key: getattr(one, key) for key in ("name", "state", "camera", "area", "since", "sighting")},
        last_seen=iso_time(end_ns) if is_gone and end_ns is not None else None,
        confidence=None if confidence is None else round(confidence, 2),
    )


def _face(folder: Path, look: str | None) -> bytes:
    if look is not None:
        with contextlib.suppress(OSError), (folder / look).open("rb") as file:  # it was deleted meanwhile
            content = file.read(LARGEST_FACE + 1)
            return content if len(content) <= LARGEST_FACE else b""
    return b""


def payloads(connection: sqlite3.Connection, config: Config, names: Set[str], now_ns: int) -> Mapping[str, bytes]:
    """All that comes from the sightings."""
    return dict((*person_states(connection, config, names, now_ns), *camera_states(connection, config, now_ns)))
