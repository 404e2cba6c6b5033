"""Reads sightings: by person, stranger, camera, zone and time, one by its id, and what changed. Changes nothing."""

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

import msgspec

from jetstream.errors import UserError
from jetstream.sighting import Sighting
from jetstream.sightings import ids, rows
from jetstream.sightings.database import LONG_NS
from jetstream.sightings.migrations import DOUBTFUL

LARGEST_NS: Final = 2**62
"""what the database can compare with, also a few hours earlier: the year 2116"""
PAGE: Final = rows.MOST_AT_ONCE
LEAST_LETTERS: Final = 4
"""of an id, so that its end names one sighting"""


class NoSightingError(UserError):
    """There is no such sighting."""


class SightingFilter(msgspec.Struct, frozen=True):
    """Which sightings are wanted. What is None isn't asked for."""

    person: str | None = None
    stranger: int | None = None
    unknown: bool = False  # strangers only
    doubtful: bool = False  # only names that a human should look at
    camera: str | None = None
    cameras: tuple[str, ...] | None = None  # at one of them
    zone: str | None = None
    from_ns: int | None = None  # those that ended at this time or later
    to_ns: int | None = None  # those that began before
    most: int | None = None  # the newest ones
    before: str | None = None  # id of a sighting: those that began before it, for the next part of a long list


def find(connection: sqlite3.Connection, wanted: SightingFilter) -> list[Sighting]:
    """The sightings, the oldest first; none that was merged into another one. Raises NoSightingError: `before`."""
    return [sighting for page in pages(connection, wanted) for sighting in page]


def pages(connection: sqlite3.Connection, wanted: SightingFilter) -> Iterator[list[Sighting]]:
    """What `find` gives, in lists of at most PAGE: no more of them are in memory. Within a transaction, or what is
    deleted meanwhile is left out."""
    found = _numbers(connection, wanted)[: wanted.most]
    found.reverse()
    for start in range(0, len(found), PAGE):
        yield rows.numbered(connection, found[start : start + PAGE])


def _numbers(connection: sqlite3.Connection, wanted: SightingFilter) -> "array[int]":
    """The rows' numbers, the newest first."""
    if wanted.cameras is not None and _index(wanted) == "sightings_by_camera":
        # each by its own index: SQLite would read, and sort, all that all of them have
        parts = (msgspec.structs.replace(wanted, camera=one, cameras=None) for one in set(wanted.cameras))
        found = [n for part in parts if wanted.camera in (None, part.camera) for n in _numbers(connection, part)]
        sorted_ = connection.execute(
            "SELECT n FROM json_each(?) JOIN sightings ON n = value ORDER BY begin_ns DESC, n DESC",
            (msgspec.json.encode(found).decode(),),
        )
        return array("q", (n for (n,) in sorted_))
    if wanted.from_ns is None:
        return _newest(connection, wanted, _index(wanted))
    # those that were going on at that time began shortly before it, or are long
    before_ns = wanted.from_ns - LONG_NS
    found_short = _newest(connection, wanted, _index(wanted), ("{begin} >= ?", (before_ns,)))
    is_long = f"end_ns - {{begin}} > {LONG_NS} AND {{begin}} < ?"
    return found_short + _newest(connection, wanted, "sightings_long", (is_long, (before_ns,)))


def _index(wanted: SightingFilter) -> str:
    """The index that leaves the fewest rows: SQLite doesn't know how many each value has."""
    if wanted.stranger is not None:
        return "sightings_by_stranger"
    if wanted.person is not None:
        return "sightings_by_person"
    if wanted.zone is not None:
        return "zones_by_name"
    if wanted.camera is not None or wanted.cameras is not None:
        return "sightings_by_camera"
    if wanted.doubtful:
        return "sightings_doubtful"
    return "sightings_by_person" if wanted.unknown else "sightings_by_begin"


def _newest(
    connection: sqlite3.Connection, wanted: SightingFilter, index: str, *further: tuple[str, Sequence[object]]
) -> "array[int]":
    """The rows' numbers, the newest first. `further`: conditions, each with its values; {begin} and {n} are the begin
    and the number of a sighting in the index."""
    if index == "zones_by_name":  # CROSS: the zones are read first
        tables = "zones INDEXED BY zones_by_name CROSS JOIN sightings ON n = sighting"
        begin, row_number = "zones.begin_ns", "zones.sighting"
        has_zone = "zone = ?"
    else:
        tables = f"sightings INDEXED BY {index}"
        begin, row_number = "sightings.begin_ns", "sightings.n"
        has_zone = "EXISTS (SELECT 1 FROM zones WHERE sighting = n AND zone = ?)"
    where, values = ["state != 'merged'"], list[object]()
    for condition, some in (*_conditions(connection, wanted, has_zone), *further):
        where.append(condition.format(begin=begin, n=row_number))
        values += some
    order = f"ORDER BY {begin} DESC, {row_number} DESC"
    limit = "" if wanted.most is None else f"LIMIT {int(wanted.most)}"
    found = connection.execute(f"SELECT {row_number} FROM {tables} WHERE {' AND '.join(where)} {order} {limit}", values)
    return array("q", (n for (n,) in found))


def _conditions(
    connection: sqlite3.Connection, wanted: SightingFilter, has_zone: str
) -> Iterator[tuple[str, Sequence[object]]]:
    if wanted.person is not None:
        yield "person = ?", (wanted.person,)
    if wanted.stranger is not None:
        numbers = aliases(connection, wanted.stranger)
        yield f"person IS NULL AND stranger IN ({','.join('?' * len(numbers))})", numbers
    if wanted.unknown:
        yield "person IS NULL", ()
    if wanted.doubtful:
        yield DOUBTFUL, ()
    if wanted.zone is not None:
        yield has_zone, (wanted.zone,)
    if wanted.camera is not None:
        yield "camera = ?", (wanted.camera,)
    if wanted.cameras is not None:
        yield f"camera IN ({','.join('?' * len(wanted.cameras))})", wanted.cameras
    if wanted.from_ns is not None:
        yield "end_ns >= ?", (wanted.from_ns,)
    place = None if wanted.before is None else _place(connection, wanted.before)
    if place is not None:
        yield "({begin}, {n}) < (?, ?)", place
    if wanted.to_ns is not None and (place is None or wanted.to_ns <= place[0]):
        yield "{begin} < ?", (wanted.to_ns,)


def _place(connection: sqlite3.Connection, id_: str) -> tuple[int, int]:
    """Begin and number of a sighting, by which lists are in order."""
    found = connection.execute("SELECT begin_ns, n FROM sightings WHERE id = ?", (id_,)).fetchone()
    if found is None:
        raise NoSightingError(f"{id_}: there is no such sighting any more; begin with the newest ones again")
    return int(found[0]), int(found[1])


def asks_for(wanted: SightingFilter, sighting: Sighting, connection: sqlite3.Connection) -> bool:
    """Whether a sighting is among those wanted, whatever its time."""
    return (
        wanted.person in (None, sighting.name)
        and (wanted.stranger is None or sighting.stranger in aliases(connection, wanted.stranger))
        and not (wanted.unknown and sighting.name is not None)
        and wanted.camera in (None, sighting.camera)
        and (wanted.cameras is None or sighting.camera in wanted.cameras)
        and (wanted.zone is None or any(zone.name == wanted.zone for zone in sighting.zones))
    )


def aliases(connection: sqlite3.Connection, stranger: int) -> list[int]:
    """The number under which a group of strangers goes on, and all that it had."""
    found = connection.execute(
        "WITH RECURSIVE later(id) AS (SELECT ? UNION SELECT merged_into FROM strangers JOIN later USING (id) "
        "WHERE merged_into IS NOT NULL), alias(id) AS (SELECT id FROM later UNION SELECT strangers.id FROM alias "
        "JOIN strangers ON merged_into = alias.id AND merged_into IS NOT NULL) SELECT id FROM alias ORDER BY id",
        (stranger,),
    )
    return [id_ for (id_,) in found]


def one(connection: sqlite3.Connection, text: str) -> Sighting:
    """The sighting with this id, or whose id begins or ends with `text`; of one that was merged, the one it is part of.

    Raises NoSightingError; UserError: there are several, or it is no id.
    """
    wanted = text.strip().upper()
    if not set(wanted) <= set(ids.ALPHABET) or len(wanted) < LEAST_LETTERS:
        raise UserError(f"{text}: no id of a sighting; give it, or its last {LEAST_LETTERS} letters or more")
    by_id = f"SELECT {rows.COLUMNS} FROM sightings WHERE id "
    found = connection.execute(f"{by_id} BETWEEN ? AND ? LIMIT 3", (wanted, f"{wanted}~")).fetchall()
    if not found:
        by_end = f"SELECT {rows.COLUMNS} FROM sightings WHERE substr(id, -{LEAST_LETTERS}) = ? AND id LIKE ? LIMIT 3"
        found = connection.execute(by_end, (wanted[-LEAST_LETTERS:], f"%{wanted}")).fetchall()
    if not found:
        raise NoSightingError(f"{text}: there is no such sighting; `jetstream sightings` lists them")
    if len(found) > 1:
        raise UserError(f"{text}: several sightings, {', '.join(row[1] for row in found)}; give more of the id")
    (sighting,) = rows.sightings(connection, found)
    return sighting if sighting.into is None else one(connection, sighting.into)


def parts_of(connection: sqlite3.Connection, id_: str) -> list[str]:
    """The sightings that turned out to be parts of this one."""
    found = connection.execute(
        "WITH RECURSIVE part(id) AS (SELECT id FROM sightings WHERE merged_into = ? AND merged_into IS NOT NULL UNION "
        "SELECT sightings.id FROM part JOIN sightings ON merged_into = part.id AND merged_into IS NOT NULL) "
        "SELECT id FROM part",
        (id_,),
    )
    return [part for (part,) in found]


def with_looks(connection: sqlite3.Connection, ids_: Sequence[str]) -> set[str]:
    """Those of the sightings that have a picture."""
    has_look = "SELECT 1 FROM sightings CROSS JOIN looks ON sighting = sightings.n WHERE id = ? LIMIT 1"
    return {id_ for id_ in ids_ if connection.execute(has_look, (id_,)).fetchone() is not None}


def changes_after(connection: sqlite3.Connection, seq: int, most: int = 1000) -> list[tuple[int, int, str, bytes]]:
    """Changes after number `seq`, the oldest first: number, time (ns), change, and the sighting as JSON."""
    return connection.execute(
        "SELECT seq, at_ns, change, body FROM changes WHERE seq > ? ORDER BY seq LIMIT ?", (seq, most)
    ).fetchall()


def newest_change(connection: sqlite3.Connection, before_ns: int | None = None) -> int:
    """Number of the newest change, of those before a time; 0 where there is none."""
    if before_ns is None:
        found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    else:
        newest = "SELECT seq FROM changes WHERE at_ns < ? ORDER BY seq DESC LIMIT 1"
        found = connection.execute(newest, (before_ns,)).fetchone()
    return int(found[0]) if found else 0


def epoch(connection: sqlite3.Connection) -> int:
    """When the database was made, ns."""
    return int(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])


def moment(text: str, option: str, now: datetime) -> int:
    """A time that a user gave, as ns: ISO 8601 in local time, `today`, `yesterday`, or an age such as `2h`, `3d`.

    `now`: in the machine's own time if it has no zone, so that a date in summer is in summer time. Raises UserError.
    """
    given = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if given in ("now", "today", "yesterday"):
        when = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}[given]
        return _ns(_with_zone(when, now))
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if given[-1:] in units and given[:-1].replace(".", "", 1).isdecimal():
        try:
            return _ns(_with_zone(now, now) - timedelta(**{units[given[-1]]: float(given[:-1])}))
        except OverflowError:
            raise UserError(f"{option} {text}: too long ago") from None
    try:
        when = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UserError(
            f"{option} {text}: no time; write 2026-11-29, 2026-11-29T18:30, today, yesterday, or an age like 2h or 3d"
        ) from None
    return _ns(_with_zone(when, now))


def _with_zone(when: datetime, now: datetime) -> datetime:
    """A time without a zone is in that of `now` or, where that has none either, the machine's on that day."""
    if when.tzinfo is not None:
        return when
    try:
        return when.astimezone() if now.tzinfo is None else when.replace(tzinfo=now.tzinfo)
    except (OverflowError, OSError, ValueError):  # the years 1 and 9999
        return when.replace(tzinfo=timezone.utc)


def _ns(when: datetime) -> int:
    since = when - datetime(1970, 1, 1, tzinfo=timezone.utc)
    ns = (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    return max(-LARGEST_NS, min(LARGEST_NS, ns))


def cameras(connection: sqlite3.Connection) -> list[str]:
    """The cameras that have sightings."""
    return _distinct(connection, "camera", "sightings")


def people(connection: sqlite3.Connection) -> list[str]:
    """The names that have sightings."""
    return _distinct(connection, "person", "sightings")


def zone_names(connection: sqlite3.Connection) -> list[str]:
    """The zones that have sightings."""
    return _distinct(connection, "zone", "zones")


def _distinct(connection: sqlite3.Connection, column: str, table: str) -> list[str]:
    """The values of an indexed column, each found by one step in the index: DISTINCT would read all of it."""
    steps = (
        f"WITH RECURSIVE step(value) AS (SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL UNION ALL "
        f"SELECT (SELECT min({column}) FROM {table} WHERE {column} > step.value) FROM step WHERE step.value IS NOT "
        "NULL) SELECT value FROM step WHERE value IS NOT NULL"
    )
    return [str(value) for (value,) in connection.execute(steps)]
