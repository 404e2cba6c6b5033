"""The groups of strangers, as they are listed: each with how often, when and where it was seen. Changes nothing."""

import sqlite3

import msgspec

from jetstream.sighting import stamp

FETCHED_AT_ONCE = 500


class StrangerSummary(msgspec.Struct, frozen=True):
    """One stranger."""

    number: int
    sightings: int
    first: str
    """begin of the first sighting, UTC, ISO 8601"""
    last: str
    """end of the newest one"""
    cameras: tuple[str, ...]
    aliases: tuple[int, ...]
    """numbers that this stranger had, too, before they proved to be one person"""
    look: str | None
    """the best picture, relative to `sightings.dir`"""
    newest: str
    """id of the newest sighting"""


def strangers(
    connection: sqlite3.Connection, *, most: int | None, seen: int = 1, from_ns: int | None = None
) -> list[StrangerSummary]:
    """Strangers with at least `seen` sightings, the one seen last first; of those seen at `from_ns` or later."""
    found: list[StrangerSummary] = []
    known: set[int] = set()
    aliases: dict[int, list[int]] = {}
    for alias, into in connection.execute("SELECT id, merged_into FROM strangers WHERE merged_into IS NOT NULL"):
        aliases.setdefault(into, []).append(alias)
    newest = connection.execute(
        "SELECT stranger FROM sightings WHERE stranger IS NOT NULL AND person IS NULL AND verdict != 'ignore' "
        "AND state != 'merged' AND end_ns >= ? ORDER BY end_ns DESC",
        (from_ns if from_ns is not None else 0,),
    )
    while rows := newest.fetchmany(FETCHED_AT_ONCE):
        for (number,) in rows:
            if number in known:
                continue
            known.add(number)
            summary = _summary(connection, number, sorted(aliases.get(number, ())))
            if summary.sightings >= seen:
                found.append(summary)
            if most is not None and len(found) == most:
                return found
    return found


def _summary(connection: sqlite3.Connection, number: int, aliases: list[int]) -> StrangerSummary:
    rows = connection.execute(
        "SELECT n, id, camera, begin_ns, end_ns FROM sightings WHERE stranger = ? AND person IS NULL AND "
        "state != 'merged' ORDER BY begin_ns",
        (number,),
    ).fetchall()
    look = connection.execute(
        "SELECT file FROM looks WHERE sighting IN (SELECT n FROM sightings WHERE stranger = ? AND person IS NULL) "
        "ORDER BY quality DESC, n LIMIT 1",
        (number,),
    ).fetchone()
    return StrangerSummary(
        number=number,
        sightings=len(rows),
        first=stamp(rows[0][3]),
        last=stamp(max(row[4] for row in rows)),
        cameras=tuple(sorted({row[2] for row in rows})),
        aliases=tuple(aliases),
        look=None if look is None else look[0],
        newest=rows[-1][1],
    )
