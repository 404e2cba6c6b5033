"""Who is where now, and since when: from the newest sightings of each person. Changes nothing."""

import sqlite3
from typing import Literal, NamedTuple

import msgspec

from jetstream.events import iso_time
from jetstream.sightings import reader


class PersonPresence(msgspec.Struct, frozen=True):
    """Where a person is."""

    name: str
    state: Literal["here", "left", "away"]
    """here: in sight; left: out of sight for less than `presence.away_s`; away: for longer"""
    area: str
    """where the person is, or was seen last"""
    camera: str
    """the camera of that sighting"""
    since: str
    """here: when the person was seen in this area first, without leaving; else when last, UTC, ISO 8601"""
    sighting: str
    """id of that sighting"""


class StrangerPresence(msgspec.Struct, frozen=True):
    """Strangers in an area now."""

    area: str
    count: int


class Presence(msgspec.Struct, frozen=True):
    """Who is where now."""

    people: tuple[PersonPresence, ...]
    strangers: tuple[StrangerPresence, ...]


def presence(
    connection: sqlite3.Connection, *, away_s: float, absence_s: float, now_ns: int, with_away: bool = True
) -> Presence:
    """Who is where at `now_ns`; without `with_away`, only who is here, or left less than `away_s` ago.

    A sighting is open now if it is so in the database and its face was seen within `absence_s`: a run that was killed
    can't close its sightings.
    """
    fresh_ns = now_ns - round((absence_s + 10.0) * 1e9)
    here: dict[str, list[_OpenSighting]] = {}
    for name, *values in connection.execute(
        "SELECT person, id, camera, area, begin_ns FROM sightings INDEXED BY sightings_open WHERE state = 'open' "
        "AND person IS NOT NULL AND end_ns >= ?",
        (fresh_ns,),
    ):
        here.setdefault(name, []).append(_OpenSighting(*values))
    names = reader.people(connection) if with_away else sorted({*here, *_left(connection, now_ns, away_s)})
    people = [_here(name, here[name]) if name in here else _gone(connection, name, away_s, now_ns) for name in names]
    strangers = connection.execute(
        "SELECT area, count(DISTINCT coalesce(stranger, -n)) FROM sightings INDEXED BY sightings_open "
        "WHERE state = 'open' AND person IS NULL AND verdict != 'ignore' AND end_ns >= ? GROUP BY area ORDER BY area",
        (fresh_ns,),
    ).fetchall()
    return Presence(
        tuple(one for one in people if one is not None and (with_away or one.state != "away")),
        tuple(StrangerPresence(area, count) for area, count in strangers),
    )


def _left(connection: sqlite3.Connection, now_ns: int, away_s: float) -> set[str]:
    """Who was seen within `away_s`."""
    found = connection.execute(
        "SELECT DISTINCT person FROM sightings INDEXED BY people_by_end WHERE person IS NOT NULL "
        "AND state != 'merged' AND end_ns > ?",
        (now_ns - round(away_s * 1e9),),
    )
    return {name for (name,) in found}


class _OpenSighting(NamedTuple):
    id: str
    camera: str
    area: str
    begin_ns: int


def _here(name: str, sightings: list[_OpenSighting]) -> PersonPresence:
    newest = max(sightings, key=lambda one: one.begin_ns)
    since_ns = min(one.begin_ns for one in sightings if one.area == newest.area)
    return PersonPresence(name, "here", newest.area, newest.camera, iso_time(since_ns), newest.id)


def _gone(connection: sqlite3.Connection, name: str, away_s: float, now_ns: int) -> PersonPresence | None:
    # of the newest ones, since one that began earlier may end later
    last = connection.execute(
        "SELECT id, camera, area, max(end_ns) FROM (SELECT id, camera, area, end_ns FROM sightings INDEXED BY "
        "sightings_by_person WHERE person = ? AND state != 'merged' ORDER BY begin_ns DESC LIMIT 20)",
        (name,),
    ).fetchone()
    if last[0] is None:
        return None
    id_, camera, area, end_ns = last
    state: Literal["left", "away"] = "left" if now_ns - end_ns < away_s * 1e9 else "away"
    return PersonPresence(name, state, area, camera, iso_time(end_ns), id_)
