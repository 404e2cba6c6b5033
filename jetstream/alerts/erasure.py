"""Erases from the file of alerts what is about forgotten people, and searches for what is left.

The file holds ids of sightings and hashes of names: what names a sighting that isn't there any more goes.
"""

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Final

from jetstream.alerts import alert_file
from jetstream.alerts.book import AlertBook
from jetstream.sightings import database
from jetstream.sightings.database import transaction

_OF_SIGHTINGS: Final = ("waiting", "told", "deliveries")


def drop_gone(connection: sqlite3.Connection, folder: Path) -> int:
    """Delete what is about sightings that are not in the database of `folder`; how many rows. Raises JetstreamError."""
    gone = _gone(connection, folder)
    if not gone:
        return 0
    with transaction(connection):
        return sum(
            connection.execute(f"DELETE FROM {table} WHERE sighting = ?", (id_,)).rowcount
            for table in _OF_SIGHTINGS
            for id_ in gone
        )


def erase(names: Collection[str], folder: Path) -> Path | None:
    """Erase these people, whose sightings are erased already; the file's log, where it couldn't be emptied.

    Raises UserError: the file can't be read or written.
    """
    if not alert_file.is_there(folder):
        return None
    with alert_file.opened(folder) as connection:
        drop_gone(connection, folder)
        with transaction(connection):
            AlertBook(connection).forget(names)
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    path = alert_file.path_in(folder)
    return path.with_name(f"{path.name}-wal") if busy else None


def is_left(names: Collection[str], folder: Path) -> bool:
    """Whether the file holds something about these people, or about sightings that were erased. Raises UserError."""
    if not alert_file.is_there(folder):
        return False
    with alert_file.opened(folder) as connection:
        return bool(_gone(connection, folder)) or AlertBook(connection).knows(names)


def _gone(connection: sqlite3.Connection, folder: Path) -> set[str]:
    """Ids of sightings that the file names and that are not in the database."""
    named = " UNION ".join(f"SELECT sighting FROM {table} WHERE sighting != ''" for table in _OF_SIGHTINGS)
    ids = {id_ for (id_,) in connection.execute(named)}
    if not ids or not database.is_there(folder):
        return ids
    with database.opened(folder) as sightings:
        there = "SELECT 1 FROM sightings WHERE id = ?"
        return {id_ for id_ in ids if sightings.execute(there, (id_,)).fetchone() is None}
