"""What waits to be written: in which order, and what becomes of it when others changed the database meanwhile."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream.sightings import database, erasure, reader
from jetstream.sightings.writer import OpenSighting, SightingQueue
from tests.support.sightings import IDS, WALL_NS

SECOND_NS = 1_000_000_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with database.opened(tmp_path, write=True) as opened:
        yield opened


def begun(id_: str, name: str | None = None) -> OpenSighting:
    return OpenSighting(id_, "a", "a", name, WALL_NS, WALL_NS + SECOND_NS, 0.0, 1.0)


def with_look(connection: sqlite3.Connection, queue: SightingQueue, sighting: OpenSighting) -> None:
    queue.put(sighting, "enter")
    queue.write(connection)
    connection.execute(
        "INSERT INTO looks (sighting, file, taken_ns, quality, turned, landmarks, bytes) "
        "VALUES (?, 'looks/one.jpg', 1, 0.5, 0, '[]', 1)",
        (sighting.n,),
    )


def merge(queue: SightingQueue, part: OpenSighting, whole: OpenSighting) -> None:
    part.state, part.merged_into = "merged", whole.id
    queue.put(whole)
    queue.put(part, "merged")


def test_part_may_wait_before_the_whole_that_is_new(connection: sqlite3.Connection) -> None:
    queue, part, whole = SightingQueue(), begun(IDS[0]), begun(IDS[1], "Ada")
    with_look(connection, queue, part)
    queue.put(part)
    queue.put(whole, "enter")
    merge(queue, part, whole)

    queue.write(connection)

    assert len(queue) == 0
    assert reader.one(connection, whole.id).looks == ("looks/one.jpg",)


def test_part_of_a_sighting_that_somebody_deleted_is_written(connection: sqlite3.Connection, tmp_path: Path) -> None:
    queue, part, whole = SightingQueue(), begun(IDS[0]), begun(IDS[1], "Ada")
    with_look(connection, queue, part)
    queue.put(whole, "enter")
    queue.write(connection)
    erasure.erase(["Ada"], tmp_path)
    queue.put(whole)
    queue.write(connection)
    merge(queue, part, whole)

    queue.write(connection)

    assert len(queue) == 0


def test_zone_of_a_part_that_was_there_earlier_counts(connection: sqlite3.Connection) -> None:
    queue, sighting = SightingQueue(), begun(IDS[0])
    for first_ns in (WALL_NS + SECOND_NS, WALL_NS):
        sighting.zones["door"] = first_ns
        queue.put(sighting, "enter")
        queue.write(connection)

    assert connection.execute("SELECT first_ns FROM zones").fetchall() == [(WALL_NS,)]
