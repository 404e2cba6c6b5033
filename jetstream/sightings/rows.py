"""Rows of the database to sightings, and back. The one place that knows the columns' order and form."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from jetstream.events import iso_time
from jetstream.messages import NameCandidate
from jetstream.sighting import Sighting, ZoneVisit

COLUMNS: Final = (
    "n, id, camera, area, state, name, verdict, stranger, begin_ns, end_ns, begin_s, end_s, confidence, why, gallery, "
    "merged_into, person, corrected"
)
"""of table `sightings`, as `sightings` takes them"""
NAMELESS: Final = (
    "(verdict = '' AND name IS NULL OR verdict = 'ignore' OR verdict = 'not' AND (name IS NULL OR name IS corrected))"
)
"""`person IS NULL`, from columns that an index holds: SQLite reads a generated one from the table alone"""
MOST_AT_ONCE: Final = 500
"""rows whose zones and looks are read with one statement, which may have so many parameters"""

_why_decoder = msgspec.json.Decoder(tuple[NameCandidate, ...])


def sightings(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> list[Sighting]:
    """The sightings of `rows`, each of COLUMNS, with their zones and looks."""
    zones: dict[int, list[ZoneVisit]] = {}
    looks: dict[int, list[str]] = {}
    for start in range(0, len(rows), MOST_AT_ONCE):
        numbers = [row[0] for row in rows[start : start + MOST_AT_ONCE]]
        marks = ",".join("?" * len(numbers))
        # `marks` is question marks alone
        for n, zone, first_ns in connection.execute(
            f"SELECT sighting, zone, first_ns FROM zones WHERE sighting IN ({marks}) ORDER BY first_ns, zone",
            numbers,
        ):
            zones.setdefault(n, []).append(ZoneVisit(zone, iso_time(first_ns)))
        for n, file in connection.execute(
            f"SELECT sighting, file FROM looks WHERE sighting IN ({marks}) ORDER BY quality DESC, n",
            numbers,
        ):
            looks.setdefault(n, []).append(file)
    return [_sighting(row, tuple(zones.get(row[0], ())), tuple(looks.get(row[0], ()))) for row in rows]  # type: ignore[call-overload]


def numbered(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Sighting]:
    """The sightings of rows with these numbers, at most MOST_AT_ONCE, in their order; without those that are gone."""
    marks = ",".join("?" * len(numbers))  # nothing but question marks
    found = connection.execute(f"SELECT {COLUMNS} FROM sightings WHERE n IN ({marks})", list(numbers))
    by_number = {row[0]: row for row in found}
    return sightings(connection, [by_number[n] for n in numbers if n in by_number])


def _sighting(row: Sequence[object], zones: tuple[ZoneVisit, ...], looks: tuple[str, ...]) -> Sighting:
    values = dict(zip(COLUMNS.replace(" ", "").split(","), row, strict=True))
    return msgspec.convert(
        {
            "id": values["id"],
            "camera": values["camera"],
            "area": values["area"],
            "state": values["state"],
            "name": values["person"],
            "machine_name": values["name"],
            "stranger": values["stranger"] if values["person"] is None else None,
            "begin": iso_time(int(values["begin_ns"])),  # type: ignore[call-overload]
            "end": iso_time(int(values["end_ns"])),  # type: ignore[call-overload]
            "begin_s": values["begin_s"],
            "end_s": values["end_s"],
            "confidence": values["confidence"],
            "correction": values["verdict"],
            "zones": zones,
            "looks": looks,
            "why": _why_decoder.decode(str(values["why"])),
            "gallery": values["gallery"],
            "into": values["merged_into"],
            "denied": values["corrected"] if values["verdict"] == "not" else None,
        },
        Sighting,
        strict=False,
    )
