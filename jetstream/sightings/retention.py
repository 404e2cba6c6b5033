"""Deletes sightings and looks that are too old or take too much room.

A doubtful wall clock deletes nothing: see `recording.wall_clock`.
"""

import logging
import math
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jetstream.config.schema import Config
from jetstream.recording.wall_clock import WallClock
from jetstream.sightings import looks
from jetstream.sightings.database import transaction

SWEEP_EVERY_S: Final = 60.0
MOST_AT_ONCE: Final = 200
"""Sightings deleted in one transaction, so that nobody waits long for the database: on a busy machine 32 ms."""
AGAIN_S: Final = 0.5
"""time to the next transaction, where more is due: the recorder has frames to take in between"""
DAY_NS: Final = 86_400_000_000_000

log = logging.getLogger(__name__)


class RetentionSweeper:
    """Deletes as `sightings.keep_days`, `keep_strangers_days` and `keep_gb` say. Times are of time.monotonic()."""

    def __init__(self, config: Config) -> None:
        self._settings = config.sightings
        self._folder = Path(config.sightings.dir)
        self._clock = WallClock(self._folder / "clock.json")
        self._next_s = -math.inf

    def sweep(self, connection: sqlite3.Connection, now_s: float) -> None:
        """Delete what is due, MOST_AT_ONCE at a time, where it is time to. Raises sqlite3.Error, OSError."""
        if now_s >= self._next_s:
            self._next_s = now_s + SWEEP_EVERY_S
            if self._delete_some(connection):
                self._next_s = now_s + AGAIN_S

    def _delete_some(self, connection: sqlite3.Connection) -> bool:
        """Whether there may be more to delete."""
        more = False
        days = [days for days in (self._settings.keep_days, self._settings.keep_strangers_days) if days]
        if days and not self._is_doubtful(connection, min(days) * 86400):
            now_ns = time.time_ns()
            for keep_days, index, whose in (
                (self._settings.keep_days, "people_by_end", "person IS NOT NULL"),
                (self._settings.keep_strangers_days, "strangers_by_end", "person IS NULL"),
            ):
                if keep_days:
                    due = connection.execute(
                        f"SELECT n, id FROM sightings INDEXED BY {index} WHERE state != 'open' AND end_ns < ? "
                        f"AND {whose} ORDER BY end_ns LIMIT {MOST_AT_ONCE}",
                        (now_ns - round(keep_days * DAY_NS),),
                    ).fetchall()
                    delete(connection, self._folder, due)
                    more = more or len(due) == MOST_AT_ONCE
        if self._settings.keep_gb:
            more = self._delete_looks(connection, round(self._settings.keep_gb * 1e9)) or more
        return more

    def _is_doubtful(self, connection: sqlite3.Connection, window_s: float) -> bool:
        newest_ns = connection.execute(
            "SELECT max(end_ns) FROM (SELECT max(end_ns) AS end_ns FROM sightings INDEXED BY people_by_end "
            "WHERE person IS NOT NULL UNION ALL SELECT max(end_ns) FROM sightings INDEXED BY strangers_by_end "
            "WHERE person IS NULL)"
        ).fetchone()[0]
        was_doubted = self._clock.doubted
        why = self._clock.doubt(
            time.time(),
            time.clock_gettime(time.CLOCK_BOOTTIME),
            None if newest_ns is None else newest_ns * 1e-9,
            window_s,
        )
        if why and not was_doubted:
            log.warning("%s: no sighting is deleted for its age: %s; set the clock", self._folder, why)
        return bool(why)

    def _delete_looks(self, connection: sqlite3.Connection, most_bytes: int) -> bool:
        """Whether the looks still take too much room."""
        if bytes_of_looks(connection) <= most_bytes:
            return False
        gone = []
        with transaction(connection):
            size = bytes_of_looks(connection)  # `jetstream forget` may have deleted some meanwhile
            for n, file, bytes_ in connection.execute(
                "SELECT n, file, bytes FROM looks ORDER BY taken_ns, bytes, n LIMIT ?", (MOST_AT_ONCE,)
            ).fetchall():
                if size <= most_bytes:
                    break
                gone.append((n, file))
                size -= bytes_
            connection.executemany("DELETE FROM looks WHERE n = ?", [(n,) for n, _ in gone])
        for _, file in gone:
            looks.erase(self._folder, file)
        return bool(size > most_bytes)


def bytes_of_looks(connection: sqlite3.Connection) -> int:
    """What all pictures of faces take."""
    return int(connection.execute("SELECT coalesce(sum(bytes), 0) FROM looks INDEXED BY looks_by_age").fetchone()[0])


def delete(connection: sqlite3.Connection, folder: Path, numbers: Sequence[tuple[int, str]]) -> None:
    """Delete sightings, each its row's number and id, with their looks, zones, corrections and changes.

    The record of a look goes before its file, so that no record names a file that isn't there. Raises sqlite3.Error,
    OSError.
    """
    if not numbers:
        return
    rows, ids = [(n,) for n, _ in numbers], [(id_,) for _, id_ in numbers]
    with transaction(connection):
        files = [
            file
            for (n,) in rows
            for (file,) in connection.execute("SELECT file FROM looks WHERE sighting = ?", (n,)).fetchall()
        ]
        connection.executemany("DELETE FROM sightings WHERE n = ?", rows)  # zones and looks go with them
        connection.executemany("DELETE FROM changes WHERE sighting_id = ?", ids)
        connection.executemany("DELETE FROM corrections WHERE sighting_id = ?", ids)
    for file in files:
        looks.erase(folder, file)
