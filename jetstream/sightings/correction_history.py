"""What humans said of a sighting, and took back. Changes nothing."""

import sqlite3

import msgspec

from jetstream.events import iso_time
from jetstream.sighting import Correction


def parts(connection: sqlite3.Connection, id_: str) -> list[str]:
    """The id of a sighting, and of all that were merged into it: at the same camera, within its time."""
    found = connection.execute(
        "WITH RECURSIVE part(id) AS (SELECT ? UNION SELECT sightings.id FROM part JOIN (SELECT camera, begin_ns, "
        "end_ns FROM sightings WHERE id = ?) AS whole CROSS JOIN sightings INDEXED BY sightings_by_camera ON "
        "sightings.camera = whole.camera AND sightings.begin_ns BETWEEN whole.begin_ns AND whole.end_ns "
        "AND merged_into = part.id) SELECT id FROM part",
        (id_, id_),
    )
    return [part for (part,) in found]


class CorrectionRecord(msgspec.Struct, frozen=True):
    """What a human said of a sighting."""

    at: str
    """when, UTC, ISO 8601"""
    correction: Correction
    name: str | None
    """who it is or, with `not`, isn't"""
    undone: str | None
    """when it was taken back; null: it holds, or a newer one does"""


def corrections(connection: sqlite3.Connection, id_: str) -> list[CorrectionRecord]:
    """What was said of a sighting and of those that are a part of it, the newest first."""
    ids_ = parts(connection, id_)
    found = connection.execute(
        f"SELECT at_ns, verdict, name, undone_ns FROM corrections WHERE sighting_id IN ({','.join('?' * len(ids_))}) "
        "ORDER BY n DESC",
        ids_,
    )
    return [
        CorrectionRecord(iso_time(at_ns), verdict, name, None if undone_ns is None else iso_time(undone_ns))
        for at_ns, verdict, name, undone_ns in found
    ]
