"""How SQLite answers each question: by an index, never by reading a table from one end to the other."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetstream.sightings import correction_history, database, presence, reader, stranger_list
from jetstream.sightings.retention import RetentionSweeper
from tests.support.sightings import IDS, at, config_with, face, record

NOW_NS = 1_795_900_000_000_000_000


class PlannedConnection(sqlite3.Connection):
    """Keeps the query plan of each SELECT that it executes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.steps: list[str] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        if sql.startswith(("SELECT", "WITH")):
            self.steps += [step for *_, step in super().execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        return super().execute(sql, parameters)

    @property
    def scans(self) -> list[str]:
        """Steps that read a whole table, without an index in whose order the answer comes."""
        small = (
            "SCAN step",
            "SCAN alias",
            "SCAN later",
            "SCAN own",
            "SCAN sqlite_sequence",
            "SCAN part",
            "SCAN CONSTANT ROW",
            "SCAN (",
        )
        return [
            step
            for step in self.steps
            if step.startswith("SCAN") and "INDEX" not in step and not step.startswith(small)
        ]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[PlannedConnection]:
    """A database with Ada, and two strangers of whom one is grouped and had another number before."""
    config = config_with(tmp_path)
    record(config, [at(0, face(IDS[0], "Ada"), face(IDS[1], track_id=2), face(IDS[2], track_id=3))])
    folder = Path(config.sightings.dir)
    with database.opened(folder, write=True) as writing:
        writing.execute("UPDATE sightings SET stranger = 1 WHERE id = ?", (IDS[1],))
        writing.execute("INSERT INTO strangers (id, merged_into, first_ns) VALUES (1, NULL, 0), (2, 1, 0)")
    path = database.path_in(folder).absolute().as_uri()
    with contextlib.closing(sqlite3.connect(f"{path}?mode=rw", uri=True, factory=PlannedConnection)) as planned:
        yield planned


ASKED: dict[str, Any] = {
    "person": "Ada",
    "stranger": 1,
    "unknown": True,
    "camera": "a",
    "cameras": ("a", "b"),
    "zone": "door",
    "from_ns": 0,
    "to_ns": NOW_NS,
    "before": IDS[0],
}


def test_no_combination_of_filters_reads_all_sightings(connection: PlannedConnection) -> None:
    for names in itertools.chain.from_iterable(itertools.combinations(ASKED, size) for size in range(len(ASKED) + 1)):
        wanted = reader.SightingFilter(most=100, **{name: ASKED[name] for name in names})
        connection.steps.clear()

        reader.find(connection, wanted)

        assert connection.scans == [], names
        sorts = [step for step in connection.steps[:2] if "ORDER BY" in step]
        assert not sorts or "stranger" in names, f"{names}: a long list would be sorted to give its newest 100"


def test_one_sighting_presence_and_lists_use_indexes(connection: PlannedConnection) -> None:
    for text in (IDS[0], IDS[0][-4:], IDS[0][-8:]):
        reader.one(connection, text)
    presence.presence(connection, away_s=300.0, absence_s=30.0, now_ns=NOW_NS)
    assert [one.number for one in stranger_list.strangers(connection, most=100, seen=1)] == [1]
    assert stranger_list.strangers(connection, most=100, seen=2) == []
    assert stranger_list.strangers(connection, most=100, before=1) == []
    assert stranger_list.best_sightings(connection, 1, 6) == []
    presence.presence(connection, away_s=300.0, absence_s=30.0, now_ns=NOW_NS, with_away=False)
    correction_history.corrections(connection, IDS[0])
    reader.changes_after(connection, 1)
    assert reader.with_looks(connection, IDS) == set()
    assert (reader.people(connection), reader.cameras(connection), reader.zone_names(connection)) == (
        ["Ada"],
        ["a"],
        [],
    )

    assert connection.scans == []


def test_sweep_reads_no_sighting_that_stays(connection: PlannedConnection, tmp_path: Path) -> None:
    sweeper = RetentionSweeper(config_with(tmp_path, sightings={"keep_days": 1, "keep_gb": 1.0}))

    sweeper.sweep(connection, 0.0)

    assert connection.scans == []
    assert any("people_by_end" in step for step in connection.steps)
