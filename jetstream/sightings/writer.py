"""Writes sightings and their changes to the database, each batch in one transaction.

What can't be written now waits in memory and is written later. Knows no frame and no picture.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from jetstream.messages import NameCandidate
from jetstream.sighting import Change, State
from jetstream.sightings import rows
from jetstream.sightings.database import transaction

MOST_WAITING: Final = 20_000
"""Changes that wait while the database can't be written. Beyond it the oldest are lost, and counted."""
KEPT_CHANGES: Final = 200_000
"""changes that a reader may still ask for; some 100 MB"""


@dataclass(slots=True)
class OpenSighting:
    """A sighting that may go on, as it is written."""

    id: str
    camera: str
    area: str
    name: str | None
    begin_ns: int
    end_ns: int
    begin_s: float
    end_s: float
    gallery: str = ""
    confidence: float = 0.0
    why: tuple[NameCandidate, ...] = ()
    zones: dict[str, int] = field(default_factory=dict)  # when the face was in each first, ns
    state: State = "open"
    merged_into: str | None = None
    n: int | None = None  # of its row; None: not written yet


class _WaitingChange(msgspec.Struct, frozen=True):
    change: Change
    sighting_id: str


class SightingQueue:
    """Sightings and changes that wait to be written: of each sighting the newest state, of changes all in order."""

    def __init__(self) -> None:
        self._dirty: dict[str, OpenSighting] = {}
        self._changes: deque[_WaitingChange] = deque()
        self._entering: set[str] = set()  # of the changes: sightings that begin
        self.lost = 0  # changes that there was no room for
        self._erased: set[str] = set()  # open sightings that somebody deleted

    def __len__(self) -> int:
        return len(self._dirty)

    def put(self, sighting: OpenSighting, change: Change | None = None) -> None:
        """Have `sighting` written as it is when `write` is called next, and `change` told."""
        if sighting.id in self._erased:
            return
        self._dirty[sighting.id] = sighting
        if change is None or (change == "enter" and sighting.id in self._entering):
            return
        if change == "enter":
            self._entering.add(sighting.id)
        self._changes.append(_WaitingChange(change, sighting.id))
        if len(self._changes) > MOST_WAITING:
            lost = self._changes.popleft()
            if lost.change == "enter":
                self._entering.discard(lost.sighting_id)
            self._dirty.pop(lost.sighting_id, None)
            self.lost += 1

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all that waits, in one transaction. Raises sqlite3.Error; then all of it waits on."""
        if not self._dirty:
            return
        # What is told must be on the disk. Where only an end moved on, no flush a second wears out a memory card.
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._changes else 'NORMAL'}")
        with transaction(connection):
            parts_last = sorted(self._dirty.values(), key=lambda one: one.merged_into is not None)  # after their wholes
            written = {one.id: _write(connection, one) for one in parts_last}
            known = {sighting_id for sighting_id, row in written.items() if row.was_there}
            for waiting in self._changes:
                if waiting.change == "enter" and waiting.sighting_id in known:
                    continue  # told before: by a process that was killed, or when the same file was run
                add_change(connection, waiting.change, waiting.sighting_id)
            _drop_old_changes(connection)
        for sighting_id, row in written.items():
            self._dirty[sighting_id].n = row.n  # None: no look is added to a sighting that somebody deleted
        self._erased |= {sighting_id for sighting_id, row in written.items() if row.n is None}
        self._dirty, self._entering = {}, set()
        self._changes.clear()


def left_open(connection: sqlite3.Connection) -> list[OpenSighting]:
    """The sightings that an earlier process left open. Raises sqlite3.Error."""
    found = connection.execute(
        "SELECT why, n, id, camera, area, name, begin_ns, end_ns, begin_s, end_s, gallery, confidence "
        "FROM sightings WHERE state = 'open' ORDER BY n"
    ).fetchall()
    return [_opened(connection, *row) for row in found]


def _opened(connection: sqlite3.Connection, why: str, n: int, *values: Any) -> OpenSighting:
    sighting = OpenSighting(*values)
    sighting.n, sighting.why = n, msgspec.json.decode(why, type=tuple[NameCandidate, ...])
    sighting.zones = dict(connection.execute("SELECT zone, first_ns FROM zones WHERE sighting = ?", (n,)))
    return sighting


def add_change(connection: sqlite3.Connection, change: Change, sighting_id: str) -> None:
    """Add a change of a sighting as it is now, for `publish`; nothing where it isn't there. Within a transaction."""
    found = connection.execute(f"SELECT {rows.COLUMNS} FROM sightings WHERE id = ?", (sighting_id,)).fetchall()
    for sighting in rows.sightings(connection, found):
        connection.execute(
            "INSERT INTO changes (at_ns, change, sighting_id, body) VALUES (?, ?, ?, ?)",
            (time.time_ns(), change, sighting_id, msgspec.json.encode(sighting)),
        )


def _drop_old_changes(connection: sqlite3.Connection) -> None:
    newest = connection.execute("SELECT max(seq) FROM changes").fetchone()[0]
    if newest is not None:
        connection.execute("DELETE FROM changes WHERE seq <= ?", (newest - KEPT_CHANGES,))


class _WrittenRow(NamedTuple):
    n: int | None  # None: somebody deleted it
    was_there: bool


def _write(connection: sqlite3.Connection, sighting: OpenSighting) -> _WrittenRow:
    """Insert or update a sighting's row, unless somebody deleted it."""
    values = {
        "camera": sighting.camera,
        "area": sighting.area,
        "state": sighting.state,
        "name": sighting.name,
        "begin_ns": sighting.begin_ns,
        "end_ns": sighting.end_ns,
        "begin_s": sighting.begin_s,
        "end_s": sighting.end_s,
        "confidence": sighting.confidence,
        "why": msgspec.json.encode(sighting.why).decode(),
        "gallery": sighting.gallery,
        "merged_into": sighting.merged_into,
    }
    columns = ", ".join(values)
    found = connection.execute(f"SELECT n, {columns} FROM sightings WHERE id = ?", (sighting.id,)).fetchone()
    if found is not None:
        n = int(found[0])
        _update(connection, n, values, dict(zip(values, found[1:], strict=True)))
    elif sighting.n is not None:
        return _WrittenRow(None, was_there=False)
    else:
        marks = ", ".join(f":{column}" for column in values)
        row = {**values, "id": sighting.id}
        n = int(connection.execute(f"INSERT INTO sightings (id, {columns}) VALUES (:id, {marks})", row).lastrowid or 0)
    if sighting.merged_into is not None:
        _hand_over(connection, n, sighting.merged_into)
    for zone, first_ns in sighting.zones.items():
        connection.execute(
            "INSERT INTO zones (sighting, zone, first_ns, begin_ns) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET first_ns = excluded.first_ns, begin_ns = excluded.begin_ns "
            "WHERE (first_ns, begin_ns) != (excluded.first_ns, excluded.begin_ns)",
            (n, zone, first_ns, sighting.begin_ns),
        )
    return _WrittenRow(n, was_there=found is not None)


def _update(connection: sqlite3.Connection, n: int, values: Mapping[str, object], before: Mapping[str, object]) -> None:
    """Write the columns that changed: each index of a written column is written, too, even with the same value."""
    changed = {column: value for column, value in values.items() if value != before[column]}
    if changed:
        columns = ", ".join(f"{column} = :{column}" for column in changed)
        connection.execute(f"UPDATE sightings SET {columns} WHERE n = :n", {**changed, "n": n})


def _hand_over(connection: sqlite3.Connection, n: int, into: str) -> None:
    """Give the looks of row `n`, and what a human said of it, to the sighting that it is a part of."""
    connection.execute(
        "UPDATE looks SET sighting = (SELECT n FROM sightings WHERE id = ?) WHERE sighting = ? "
        "AND EXISTS (SELECT 1 FROM sightings WHERE id = ?)",  # else somebody deleted it, or there was no room
        (into, n, into),
    )
    connection.execute(
        "UPDATE sightings SET (verdict, corrected) = (SELECT verdict, corrected FROM sightings WHERE n = ?) "
        "WHERE id = ? AND verdict = '' AND EXISTS (SELECT 1 FROM sightings WHERE n = ? AND verdict != '')",
        (n, into, n),
    )
