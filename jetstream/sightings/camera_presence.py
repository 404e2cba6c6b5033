"""Who is at which camera now, and the picture of whom each camera saw last. Changes nothing."""

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from jetstream.events import iso_time


class CameraPresence(msgspec.Struct, frozen=True):
    """Who is at a camera: the payload of `camera/<name>/people`."""

    names: tuple[str, ...] = ()
    """people with a name, in the order of the alphabet"""
    unknown: int = 0
    """strangers"""
    since: str | None = None
    """when the first of them was seen first, UTC, ISO 8601; null: nobody is there"""


def camera_presence(connection: sqlite3.Connection, *, absence_s: float, now_ns: int) -> Mapping[str, CameraPresence]:
    """By the names of cameras at which somebody is, under the conditions of `presence`."""
    fresh_ns = now_ns - round((absence_s + 10.0) * 1e9)
    found: dict[str, list[tuple[str | None, int, int]]] = {}
    for camera, *values in connection.execute(
        "SELECT camera, person, coalesce(stranger, -n), begin_ns FROM sightings INDEXED BY sightings_open "
        "WHERE state = 'open' AND (person IS NOT NULL OR verdict != 'ignore') AND end_ns >= ?",
        (fresh_ns,),
    ):
        found.setdefault(camera, []).append((values[0], values[1], values[2]))
    return {
        camera: CameraPresence(
            tuple(sorted({name for name, _, _ in there if name is not None})),
            len({number for name, number, _ in there if name is None}),
            iso_time(min(begin_ns for _, _, begin_ns in there)),
        )
        for camera, there in found.items()
    }


def newest_looks(connection: sqlite3.Connection, cameras: Iterable[str]) -> Mapping[str, str]:
    """The best picture of each camera's newest sighting that has one, relative to the folder of sightings."""
    newest = {}
    for camera in cameras:
        found = connection.execute(
            "SELECT file FROM sightings INDEXED BY sightings_by_camera CROSS JOIN looks ON sighting = sightings.n "
            "WHERE camera = ? ORDER BY begin_ns DESC, quality DESC LIMIT 1",
            (camera,),
        ).fetchone()
        if found is not None:
            newest[camera] = str(found[0])
    return newest


def last_seen(connection: sqlite3.Connection, ids: Iterable[str]) -> Mapping[str, tuple[int, float]]:
    """When each of these sightings ended, or was seen last, ns, and the confidence in its name."""
    return {
        id_: (int(end_ns), float(confidence))
        for one in ids
        for id_, end_ns, confidence in connection.execute(
            "SELECT id, end_ns, confidence FROM sightings WHERE id = ?", (one,)
        )
    }
