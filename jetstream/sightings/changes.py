"""What happened to sightings, in the order in which it is told: rows that are added within a transaction."""

import sqlite3
import time
from typing import Final

import msgspec

from jetstream.sighting import Change, Sighting
from jetstream.sightings import rows

KEPT: Final = 200_000
"""changes that a reader may still ask for; some 100 MB"""


def add(connection: sqlite3.Connection, change: Change, sighting_id: str) -> None:
    """Add a change of a sighting as it is now, for `publish`; nothing where it isn't there."""
    if (sighting := _now(connection, sighting_id)) is not None:
        _insert(connection, change, sighting)


def add_unless_told(connection: sqlite3.Connection, change: Change, sighting_id: str) -> None:
    """The same of a sighting that was told before, such as of a file that is run again: only what differs is told.

    Its dates are those of the new run, and no difference.
    """
    sighting = _now(connection, sighting_id)
    if sighting is None:
        return
    found = connection.execute(
        "SELECT body FROM changes WHERE sighting_id = ? ORDER BY seq DESC LIMIT 1", (sighting_id,)
    ).fetchone()
    told = msgspec.json.decode(found[0], type=Sighting) if found is not None else None
    if change in ("enter", "named"):
        if sighting.name is not None and (told is None or told.name != sighting.name):
            _insert(connection, "named", sighting)
    elif told is None or _outcome(told) != _outcome(sighting):
        _insert(connection, change, sighting)


def drop_old(connection: sqlite3.Connection) -> None:
    """Delete the changes beyond the newest KEPT."""
    newest = connection.execute("SELECT max(seq) FROM changes").fetchone()[0]
    if newest is not None:
        connection.execute("DELETE FROM changes WHERE seq <= ?", (newest - KEPT,))


def _now(connection: sqlite3.Connection, sighting_id: str) -> Sighting | None:
    found = connection.execute(f"SELECT {rows.COLUMNS} FROM sightings WHERE id = ?", (sighting_id,)).fetchall()
    return next(iter(rows.sightings(connection, found)), None)


def _insert(connection: sqlite3.Connection, change: Change, sighting: Sighting) -> None:
    connection.execute(
        "INSERT INTO changes (at_ns, change, sighting_id, body) VALUES (?, ?, ?, ?)",
        (time.time_ns(), change, sighting.id, msgspec.json.encode(sighting)),
    )


def _outcome(sighting: Sighting) -> tuple[object, ...]:
    return sighting.state, sighting.name, sighting.into, sighting.begin_s, sighting.end_s
