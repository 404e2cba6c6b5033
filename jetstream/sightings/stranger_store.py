"""The groups of strangers in the database: read at the start, and written as sightings come, move and go.

Whose sighting it is, `vision.recognition.stranger_groups` decides.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterable

import numpy as np

from jetstream.sightings.look_embedding import unpacked
from jetstream.sightings.writer import add_change, transaction
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.stranger_groups import GroupChange, StoredSighting, StrangerGroups
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

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

    def _newest(self) -> int:
        """The largest number that a group ever had."""
        found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'strangers'").fetchone()
        return int(found[0]) if found else 0

    def _stored(self) -> Iterable[StoredSighting]:
        rows = self._connection.execute(
            f"SELECT n, id, stranger FROM sightings WHERE stranger IS NOT NULL AND {IS_STRANGER} ORDER BY n"
        ).fetchall()
        for n, key, group in rows:
            blobs, qualities = self._looks(n)
            if blobs:
                yield StoredSighting(key, group, unpacked(blobs), np.array(qualities, np.float32))

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

    def drop_gone(self) -> None:
        """Take the sightings out of their groups that were deleted, or whose person got a name."""
        strangers = {
            key: None
            for (key,) in self._connection.execute(
                f"SELECT id FROM sightings WHERE stranger IS NOT NULL AND {IS_STRANGER}"
            )
        }
        gone = [key for key in self._keys if key not in strangers]
        if not gone:
            return
        with transaction(self._connection):
            for key in gone:
                del self._keys[key]
                if self._connection.execute("SELECT 1 FROM sightings WHERE id = ?", (key,)).fetchone():
                    self._connection.execute("UPDATE sightings SET stranger = NULL WHERE id = ?", (key,))
        for key in gone:
            with contextlib.suppress(KeyError):  # named while no grouper ran, so it wasn't read
                self._groups.remove(key)

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
                    add_change(self._connection, "stranger", key)

    def _found(self, group: int) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO strangers (id, first_ns) VALUES (?, ?)", (group, time.time_ns())
        )
