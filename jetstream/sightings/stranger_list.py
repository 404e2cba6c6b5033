"""The groups of strangers, as they are listed: each with how often, when and where it was seen. Changes nothing."""

import sqlite3

import msgspec

from jetstream.errors import UserError
from jetstream.events import iso_time
from jetstream.sightings.reader import LARGEST_NS
from jetstream.sightings.rows import NAMELESS

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
    connection: sqlite3.Connection,
    *,
    most: int | None,
    seen: int = 1,
    from_ns: int | None = None,
    before: int | None = None,
) -> list[StrangerSummary]:
    """Strangers with at least `seen` sightings, the one seen last first; of those seen at `from_ns` or later.

    before  number of a stranger: those that come after it, for the next part of a long list

    Raises UserError: there is no stranger `before`.
    """
    found: list[StrangerSummary] = []
    place = (LARGEST_NS, 0) if before is None else _place(connection, before)
    known = {before}
    aliases: dict[int, list[int]] = {}
    for alias, into in connection.execute("SELECT id, merged_into FROM strangers WHERE merged_into IS NOT NULL"):
        aliases.setdefault(into, []).append(alias)
    newest = connection.execute(
        "SELECT stranger FROM sightings INDEXED BY strangers_by_end WHERE stranger IS NOT NULL AND person IS NULL "
        "AND verdict != 'ignore' AND state != 'merged' AND end_ns >= ? AND end_ns <= ? "
        "ORDER BY end_ns DESC, stranger DESC",
        (from_ns if from_ns is not None else 0, place[0]),
    )
    while rows := newest.fetchmany(FETCHED_AT_ONCE):
        for (number,) in rows:
            if number in known:
                continue
            known.add(number)
            if before is not None and _was_seen_after(connection, number, place):
                continue  # was in an earlier part of the list
            if seen == 1 or _count(connection, number, seen) == seen:
                found.append(_summary(connection, number, sorted(aliases.get(number, ()))))
            if most is not None and len(found) == most:
                return found
    return found


_OF = f"sightings INDEXED BY sightings_by_stranger WHERE stranger = ? AND {NAMELESS} AND state != 'merged'"


def _place(connection: sqlite3.Connection, number: int) -> tuple[int, int]:
    """Where a stranger is in the list: the end of the newest sighting, and the number."""
    newest = connection.execute(f"SELECT max(end_ns) FROM {_OF}", (number,)).fetchone()[0]
    if newest is None:
        raise UserError(f"stranger {number}: is no stranger any more; begin with the newest ones again")
    return int(newest), number


def _was_seen_after(connection: sqlite3.Connection, number: int, place: tuple[int, int]) -> bool:
    """Whether a stranger comes before this place in the list: the newest sighting, read first, mostly tells."""
    found = connection.execute(
        f"SELECT 1 FROM {_OF} AND (end_ns, stranger) > (?, ?) ORDER BY begin_ns DESC LIMIT 1", (number, *place)
    )
    return found.fetchone() is not None


def best_sightings(connection: sqlite3.Connection, number: int, most: int) -> list[str]:
    """Ids of the stranger's sightings whose first look is the best, the best one first."""
    found = connection.execute(
        f"SELECT id FROM (SELECT own.n AS of, max(quality) AS best FROM (SELECT n FROM {_OF}) AS own CROSS JOIN looks "
        "INDEXED BY looks_of ON looks.sighting = own.n GROUP BY own.n ORDER BY best DESC, own.n LIMIT ?) "
        "CROSS JOIN sightings ON n = of ORDER BY best DESC, n",
        (number, most),
    )
    return [id_ for (id_,) in found]


def _count(connection: sqlite3.Connection, number: int, most: int) -> int:
    """Number of sightings, not more than `most`."""
    counted = connection.execute(f"SELECT count(*) FROM (SELECT 1 FROM {_OF} LIMIT ?)", (number, most))
    return int(counted.fetchone()[0])


def _summary(connection: sqlite3.Connection, number: int, aliases: list[int]) -> StrangerSummary:
    sightings = connection.execute(
        f"SELECT n, camera, begin_ns, end_ns FROM {_OF} ORDER BY begin_ns", (number,)
    ).fetchall()
    look = connection.execute(
        "SELECT file FROM looks WHERE n = (SELECT looks.n FROM (SELECT n FROM "
        f"{_OF}) AS own CROSS JOIN looks INDEXED BY looks_of ON looks.sighting = own.n "
        "ORDER BY quality DESC, looks.n LIMIT 1)",
        (number,),
    ).fetchone()
    newest = connection.execute("SELECT id FROM sightings WHERE n = ?", (sightings[-1][0],)).fetchone()
    return StrangerSummary(
        number=number,
        sightings=len(sightings),
        first=iso_time(sightings[0][2]),
        last=iso_time(max(one[3] for one in sightings)),
        cameras=tuple(sorted({one[1] for one in sightings})),
        aliases=tuple(aliases),
        look=None if look is None else look[0],
        newest=newest[0],
    )
