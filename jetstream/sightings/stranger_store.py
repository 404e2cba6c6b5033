"""The groups of strangers in the database: read at the start, and written as sightings come, move and go.

Whose sighting it is, `vision.recognition.stranger_groups` decides.
"""

import contextlib
import itertools
import math
import sqlite3
import time
from collections.abc import Iterable

import numpy as np

from jetstream.sightings import changes, reader, stranger_merges
from jetstream.sightings.database import transaction
from jetstream.sightings.look_embedding import unpacked
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.stranger_groups import GroupChange, StoredSighting, StrangerGroups
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

CHECK_EVERY_S = 60.0
"""time between two searches for sightings that were deleted"""
IS_STRANGER = "person IS NULL AND state != 'merged'"
"""which sightings are grouped"""


class StrangerStore:
    """The groups, in memory and in the database alike. Raises sqlite3.Error where the database can't be used."""

    def __init__(
        self, connection: sqlite3.Connection, space: EmbeddingSpace, likeness: StrangerLikeness, network: str
    ) -> None:
        self._connection, self._network = connection, network
        aliases = dict(connection.execute("SELECT id, merged_into FROM strangers WHERE merged_into IS NOT NULL"))
        self._groups = StrangerGroups.restored(
            space, likeness, self._stored(), aliases=aliases, next_group=self._newest() + 1
        )
        self._keys = {key: None for (key,) in connection.execute("SELECT id FROM sightings WHERE stranger IS NOT NULL")}
        self._checked_s = -math.inf
        self._seq = reader.newest_change(connection)

    def _newest(self) -> int:
        """The largest number that a group ever had."""
        found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'strangers'").fetchone()
        return int(found[0]) if found else 0

    def _stored(self) -> Iterable[StoredSighting]:
        rows = self._connection.execute(
            "SELECT sightings.n, id, stranger, sightings.n IN (SELECT sighting FROM pinned), embedding, quality "
            "FROM looks JOIN sightings ON sightings.n = looks.sighting "
            f"WHERE network = ? AND embedding IS NOT NULL AND stranger IS NOT NULL AND {IS_STRANGER} "
            "ORDER BY sightings.n, looks.n",
            (self._network,),
        )
        for (_, key, group, pinned), found in itertools.groupby(rows, key=lambda row: row[:4]):
            looks = list(found)
            qualities = np.array([look[5] for look in looks], np.float32)
            yield StoredSighting(key, group, unpacked([look[4] for look in looks]), qualities, bool(pinned))

    def _looks(self, n: int) -> tuple[list[bytes], list[float]]:
        found = self._connection.execute(
            "SELECT embedding, quality FROM looks WHERE sighting = ? AND network = ? AND embedding IS NOT NULL",
            (n, self._network),
        ).fetchall()
        return [embedding for embedding, _ in found], [quality for _, quality in found]

    def add(self, n: int) -> None:
        """Group a sighting, by its row's number, whose looks are new or changed."""
        row = self._connection.execute(f"SELECT id FROM sightings WHERE n = ? AND {IS_STRANGER}", (n,)).fetchone()
        blobs, qualities = self._looks(n)
        if row is None or not blobs:
            return
        change = self._groups.add(row[0], unpacked(blobs), np.array(qualities, np.float32))
        self._apply(change)

    def missed(self) -> list[int]:
        """Row numbers of strangers in no group whose looks are embedded: they had a name then, which was corrected, or
        the process was killed in between."""
        found = self._connection.execute(
            "SELECT DISTINCT sighting FROM looks JOIN sightings ON sightings.n = sighting WHERE network = ? "
            f"AND embedding IS NOT NULL AND stranger IS NULL AND {IS_STRANGER}",
            (self._network,),
        )
        return [n for (n,) in found]

    def drop_gone(self, now_s: float) -> None:
        """Take the sightings out of their groups whose person got a name, and, once in CHECK_EVERY_S, those that were
        deleted: nothing tells of them. `now_s`: of time.monotonic()."""
        newest = reader.newest_change(self._connection)
        told = self._connection.execute("SELECT DISTINCT sighting_id FROM changes WHERE seq > ?", (self._seq,))
        suspects = [key for (key,) in told if key in self._keys]
        self._seq = newest
        if now_s - self._checked_s >= CHECK_EVERY_S:
            self._checked_s, suspects = now_s, list(self._keys)
        is_stranger = f"SELECT 1 FROM sightings WHERE id = ? AND stranger IS NOT NULL AND {IS_STRANGER}"
        gone = [key for key in suspects if self._connection.execute(is_stranger, (key,)).fetchone() is None]
        if not gone:
            return
        with transaction(self._connection):
            self._connection.executemany("UPDATE sightings SET stranger = NULL WHERE id = ?", [(key,) for key in gone])
        for key in gone:
            del self._keys[key]
            with contextlib.suppress(KeyError):  # named while no grouper ran, so it wasn't read
                self._groups.remove(key)

    def merge_asked(self) -> None:
        """Make those strangers one of whom a human said so."""
        for n, one, other in stranger_merges.pending(self._connection):
            with contextlib.suppress(KeyError):  # one has no sighting any more
                self._apply(self._groups.merge(one, other))
                keys = self._groups.keys_of(one)
                with transaction(self._connection):
                    self._connection.executemany(
                        "INSERT OR IGNORE INTO pinned SELECT n FROM sightings WHERE id = ?", [(key,) for key in keys]
                    )
            self._connection.execute("UPDATE stranger_merges SET done_ns = ? WHERE n = ?", (time.time_ns(), n))

    def _apply(self, change: GroupChange) -> None:
        """Write what `StrangerGroups` changed, and tell it."""
        with transaction(self._connection):
            for alias, into in change.merged:
                self._found(into)
                self._found(alias)
                self._connection.execute("UPDATE strangers SET merged_into = ? WHERE id = ?", (into, alias))
                self._connection.execute("UPDATE sightings SET stranger = ? WHERE stranger = ?", (into, alias))
            for key in (*(moved.key for moved in change.moved), change.key):
                group = self._groups.group_of(key)
                self._found(group)
                changed = self._connection.execute(
                    "UPDATE sightings SET stranger = ? WHERE id = ? AND stranger IS NOT ?", (group, key, group)
                ).rowcount
                self._keys[key] = None
                if changed:
                    changes.add(self._connection, "stranger", key)

    def _found(self, group: int) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO strangers (id, first_ns) VALUES (?, ?)", (group, time.time_ns())
        )
