"""The questions behind the commands about sightings, each in many forms, for a database of `drawn_sightings`."""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.drawn_sightings import CAMERAS, NETWORK, NOW_NS, PEOPLE, zones_of
from jetstream.errors import UserError
from jetstream.sightings import presence, reader, stranger_list
from jetstream.sightings.look_embedding import unpacked
from jetstream.sightings.reader import SightingFilter

Question = Callable[[sqlite3.Connection, int], object]
DAY_NS: Final = 86_400_000_000_000
SCANS: Final = ("strangers --most 0", "strangers --seen 150", "embeddings of all looks")
"""questions whose answer is, or may need, everything: they may read all of a table"""


class PlannedConnection(sqlite3.Connection):
    """Keeps the query plan of each statement that it executes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps: dict[str, str] = {}  # of a plan, and the statement

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql.startswith(("SELECT", "WITH")):
            for *_, step in super().execute(f"EXPLAIN QUERY PLAN {sql}", parameters):
                self.steps[step] = sql
        return super().execute(sql, parameters)


def person(number: int) -> str:
    return PEOPLE[number * 7 % len(PEOPLE)]


def day(number: int) -> dict[str, int]:
    """A day, a while ago."""
    from_ns = NOW_NS - (number * 23 % 700 + 2) * DAY_NS
    return {"from_ns": from_ns, "to_ns": from_ns + DAY_NS}


def questions(found: Sequence[str], strangers: int) -> dict[str, Question]:
    """By name. `found`: ids of some sightings; `strangers`: how many there are."""

    def ask(make: Callable[[int], dict[str, Any]], most: int | None = 100) -> Question:
        return lambda connection, i: reader.find(connection, SightingFilter(most=most, **make(i)))

    def one(part: slice) -> Question:
        def asked(connection: sqlite3.Connection, i: int) -> None:
            with contextlib.suppress(UserError):  # several
                reader.one(connection, found[i % len(found)][part])

        return asked

    def camera(i: int) -> str:
        return CAMERAS[i % len(CAMERAS)]

    def number(i: int) -> int:
        return i * 997 % strangers + 1

    def door(i: int) -> str:
        return zones_of(i % len(CAMERAS))[0]

    return {
        "the newest": ask(lambda i: {}),
        "--person": ask(lambda i: {"person": person(i)}),
        "--person, all": ask(lambda i: {"person": person(i)}, None),
        "--stranger": ask(lambda i: {"stranger": number(i)}),
        "--unknown": ask(lambda i: {"unknown": True}),
        "--camera": ask(lambda i: {"camera": camera(i)}),
        "--zone, of one camera": ask(lambda i: {"zone": door(i)}),
        "--zone, of ten cameras": ask(lambda i: {"zone": "entrance"}),
        "a day": ask(day),
        "a day, all": ask(day, None),
        "--from, a week ago": ask(lambda i: {"from_ns": NOW_NS - 7 * DAY_NS}),
        "--to, long ago": ask(lambda i: {"to_ns": day(i)["to_ns"]}),
        "--person, a day": ask(lambda i: {"person": person(i), **day(i)}),
        "--stranger, a day": ask(lambda i: {"stranger": number(i), **day(i)}),
        "--unknown, a day": ask(lambda i: {"unknown": True, **day(i)}),
        "--camera, a day": ask(lambda i: {"camera": camera(i), **day(i)}),
        "--zone, a day": ask(lambda i: {"zone": door(i), **day(i)}),
        "--zone of ten, a day": ask(lambda i: {"zone": "entrance", **day(i)}),
        "--person --camera": ask(lambda i: {"person": person(i), "camera": camera(i)}),
        "--person --zone": ask(lambda i: {"person": person(i), "zone": door(i)}),
        "--unknown --camera": ask(lambda i: {"unknown": True, "camera": camera(i)}),
        "--unknown --zone": ask(lambda i: {"unknown": True, "zone": door(i)}),
        "--camera --zone": ask(lambda i: {"camera": camera(i), "zone": door(i)}),
        "--camera --zone of another": ask(lambda i: {"camera": camera(i), "zone": door(i + 1)}),
        "--person --camera --zone, a day": ask(
            lambda i: {"person": person(i), "camera": camera(i), "zone": door(i), **day(i)}
        ),
        "sighting ID": one(slice(None)),
        "sighting, first 13 letters": one(slice(13)),
        "sighting, last 8 letters": one(slice(-8, None)),
        "sighting, last 4 letters": one(slice(-4, None)),
        "presence": lambda connection, i: presence.presence(connection, away_s=300.0, absence_s=30.0, now_ns=NOW_NS),
        "strangers": lambda connection, i: stranger_list.strangers(connection, most=100),
        "strangers --seen 2": lambda connection, i: stranger_list.strangers(connection, most=100, seen=2),
        "strangers --from, a week ago": lambda connection, i: stranger_list.strangers(
            connection, most=100, from_ns=NOW_NS - 7 * DAY_NS
        ),
        "strangers --seen 150": lambda connection, i: stranger_list.strangers(connection, most=100, seen=150),
        "strangers --most 0": lambda connection, i: stranger_list.strangers(connection, most=None),
        "100 changes": lambda connection, i: reader.changes_after(
            connection, reader.newest_change(connection) - 1000 * (i + 1), 100
        ),
        "names of people": lambda connection, i: reader.people(connection),
        "names of cameras": lambda connection, i: reader.cameras(connection),
        "names of zones": lambda connection, i: reader.zone_names(connection),
        "embeddings of all looks": lambda connection, i: embeddings(connection),
    }


def embeddings(connection: sqlite3.Connection) -> object:
    """All of one network, (N, D) float32."""
    rows = connection.execute(  # nearly all looks: one after another takes half as long as by the index
        "SELECT embedding FROM looks NOT INDEXED WHERE network = ? AND embedding IS NOT NULL", (NETWORK,)
    ).fetchall()
    return unpacked([blob for (blob,) in rows])
