"""Writes sightings and their changes to the database, each batch in one transaction.

What can't be written now waits in memory and is written later. Knows no frame and no picture.
"""

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from jetstream.messages import NameCandidate
from jetstream.sighting import Change, State
from jetstream.sightings import changes
from jetstream.sightings.database import transaction
from jetstream.sightings.name_changes import NameChanges

MOST_WAITING: Final = 20_000
"""Changes that wait while the database can't be written. Beyond it the oldest are lost, and counted."""


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
    is_repeated: bool = False  # there was a row when it began: the same file is run again
    written: Mapping[str, object] | None = None  # values of its row's columns, as they were written last


class _WaitingChange(msgspec.Struct, frozen=True):
    change: Change
    sighting_id: str


class WrittenBatch(NamedTuple):
    """What is to be done after a transaction. Sightings by their rows' numbers and ids."""

    grown: Sequence[tuple[int, str]] = ()  # they got the looks of others
    orphans: Sequence[tuple[int, str]] = ()  # parts of sightings that somebody erased


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

    def write(self, connection: sqlite3.Connection) -> WrittenBatch:
        """Write all that waits, in one transaction. Raises sqlite3.Error; then all of it waits on."""
        if not self._dirty:
            return WrittenBatch()
        # What is told must be on the disk. Where only an end moved on, no flush a second wears out a memory card.
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._changes else 'NORMAL'}")
        with transaction(connection):
            parts_last = sorted(self._dirty.values(), key=lambda one: one.merged_into is not None)  # after their wholes
            names = NameChanges(connection)
            written = {one.id: _write(connection, one, names) for one in parts_last}
            for one in parts_last:
                if one.n is None:
                    one.is_repeated = written[one.id].was_there
            known = {sighting_id for sighting_id, row in written.items() if row.was_there}
            parts = [(row.n, one) for one in parts_last if (row := written[one.id]).n is not None and one.merged_into]
            after = _hand_over(connection, parts)
            for waiting in self._changes:
                if self._dirty[waiting.sighting_id].is_repeated:
                    changes.add_unless_told(connection, waiting.change, waiting.sighting_id)
                elif waiting.change != "enter" or waiting.sighting_id not in known:  # a killed process told it
                    changes.add(connection, waiting.change, waiting.sighting_id)
            changes.drop_old(connection)
        for sighting_id, row in written.items():
            self._dirty[sighting_id].n = row.n  # None: no look is added to a sighting that somebody deleted
            self._dirty[sighting_id].written = row.values
        self._erased |= {sighting_id for sighting_id, row in written.items() if row.n is None}
        self._dirty, self._entering = {}, set()
        self._changes.clear()
        return after


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
    sighting.written = _values(sighting)
    return sighting


class _WrittenRow(NamedTuple):
    n: int | None  # None: somebody deleted it
    was_there: bool
    values: Mapping[str, object] | None = None


def _values(sighting: OpenSighting) -> dict[str, object]:
    """The columns of a sighting's row, and their values."""
    return {
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


def _write(connection: sqlite3.Connection, sighting: OpenSighting, names: NameChanges) -> _WrittenRow:
    """Insert or update a sighting's row, unless somebody deleted it."""
    sighting.why = names.candidates(sighting.why)
    values = _values(sighting)
    columns = ", ".join(values)
    row = {**values, "name": names.today(sighting.name)}
    found = connection.execute(f"SELECT n, {columns} FROM sightings WHERE id = ?", (sighting.id,)).fetchone()
    if found is not None:
        n = int(found[0])
        # What a command changed stays until there is news: a name that was written is no news.
        before = sighting.written or dict(zip(values, found[1:], strict=True))
        _update(connection, n, {column: row[column] for column in values if values[column] != before[column]})
    elif sighting.n is not None or _is_erased(connection, sighting.id):
        return _WrittenRow(None, was_there=False)
    else:
        marks = ", ".join(f":{column}" for column in values)
        inserted = f"INSERT INTO sightings (id, {columns}) VALUES (:id, {marks})"
        n = int(connection.execute(inserted, {**row, "id": sighting.id}).lastrowid or 0)
    for zone, first_ns in sighting.zones.items():
        connection.execute(
            "INSERT INTO zones (sighting, zone, first_ns, begin_ns) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET first_ns = excluded.first_ns, begin_ns = excluded.begin_ns "
            "WHERE (first_ns, begin_ns) != (excluded.first_ns, excluded.begin_ns)",
            (n, zone, first_ns, sighting.begin_ns),
        )
    return _WrittenRow(n, found is not None, values)


def _is_erased(connection: sqlite3.Connection, sighting_id: str) -> bool:
    return connection.execute("SELECT 1 FROM erased WHERE id = ?", (sighting_id,)).fetchone() is not None


def _update(connection: sqlite3.Connection, n: int, changed: Mapping[str, object]) -> None:
    """Write the columns that changed: each index of a written column is written, too, even with the same value."""
    if changed:
        columns = ", ".join(f"{column} = :{column}" for column in changed)
        connection.execute(f"UPDATE sightings SET {columns} WHERE n = :n", {**changed, "n": n})


def _hand_over(connection: sqlite3.Connection, parts: Sequence[tuple[int, OpenSighting]]) -> WrittenBatch:
    """Give the looks of each part, and what a human said of it, to the sighting that it is a part of."""
    grown: dict[int, str] = {}
    orphans = []
    for n, part in parts:
        into = str(part.merged_into)
        if (whole := connection.execute("SELECT n FROM sightings WHERE id = ?", (into,)).fetchone()) is not None:
            grown[whole[0]] = into
            connection.execute("UPDATE looks SET sighting = ? WHERE sighting = ?", (whole[0], n))
            connection.execute(
                "UPDATE sightings SET (verdict, corrected) = (SELECT verdict, corrected FROM sightings WHERE n = ?) "
                "WHERE n = ? AND verdict = '' AND EXISTS (SELECT 1 FROM sightings WHERE n = ? AND verdict != '')",
                (n, whole[0], n),
            )
        elif _is_erased(connection, into):
            orphans.append((n, part.id))
        # else somebody deleted the whole, or there was no room for it: the part keeps its looks
    return WrittenBatch(list(grown.items()), orphans)
