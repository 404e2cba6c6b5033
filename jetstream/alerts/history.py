"""What alerts ask the database of sightings: who was seen before, and who is in a zone now. Changes nothing."""

import sqlite3
from collections.abc import Collection

from jetstream.sighting import Sighting
from jetstream.sightings import reader, rows


def was_seen(connection: sqlite3.Connection, sighting: Sighting) -> bool:
    """Whether a sighting's stranger has another one that ended before it began."""
    if sighting.stranger is None:
        return False
    numbers = reader.aliases(connection, sighting.stranger)
    found = connection.execute(
        f"SELECT 1 FROM sightings WHERE stranger IN ({','.join('?' * len(numbers))}) AND person IS NULL "
        "AND state != 'merged' AND id != ? AND end_ns < (SELECT begin_ns FROM sightings WHERE id = ?) LIMIT 1",
        (*numbers, sighting.id, sighting.id),
    )
    return found.fetchone() is not None


def open_in_zones(connection: sqlite3.Connection, zones: Collection[str]) -> list[Sighting]:
    """The open sightings of faces that were in one of the zones."""
    found = connection.execute(
        "SELECT DISTINCT n FROM sightings INDEXED BY sightings_open JOIN zones ON sighting = n "
        f"WHERE state = 'open' AND zone IN ({','.join('?' * len(zones))}) ORDER BY n LIMIT {rows.MOST_AT_ONCE}",
        tuple(zones),
    )
    return rows.numbered(connection, [n for (n,) in found])
