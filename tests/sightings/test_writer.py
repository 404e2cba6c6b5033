"""What waits to be written, and what a transaction writes."""

from pathlib import Path

import pytest

from jetstream.sightings import database, reader, writer
from jetstream.sightings.writer import OpenSighting, SightingQueue


def sighting(number: int, **fields: object) -> OpenSighting:
    given = {"camera": "a", "area": "hall", "name": None, "begin_ns": 0, "end_ns": 0, "begin_s": 0.0, "end_s": 0.0}
    return OpenSighting(id=f"{number:026}", **{**given, **fields})  # type: ignore[arg-type]


def told(folder: Path) -> list[str]:
    with database.opened(folder) as connection:
        return [change for _, _, change, _ in reader.changes_after(connection, 0)]


def test_sighting_that_waits_enters_once(tmp_path: Path) -> None:
    queue, one = SightingQueue(), sighting(1)
    with database.opened(tmp_path, write=True) as connection:
        for change in ("enter", "enter", "exit", "enter"):
            queue.put(one, change)  # type: ignore[arg-type]
        queue.write(connection)

    assert told(tmp_path) == ["enter", "exit"]


def test_oldest_changes_are_lost_and_counted_when_too_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 2)
    queue = SightingQueue()
    for number in range(3):
        queue.put(sighting(number), "enter")
    assert (queue.lost, len(queue)) == (1, 2)

    queue.put(sighting(0), "enter")
    with database.opened(tmp_path, write=True) as connection:
        queue.write(connection)

        assert queue.lost == 2
        assert [one.id[-1] for one in reader.find(connection, reader.SightingFilter())] == ["2", "0"]
    assert told(tmp_path) == ["enter", "enter"]


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    queue, one = SightingQueue(), sighting(1, zones={"door": 5})
    with database.opened(tmp_path, write=True) as connection:
        queue.put(one)
        queue.write(connection)
        before = connection.total_changes

        queue.put(one)
        queue.write(connection)
        assert connection.total_changes == before, "nothing"

        one.end_ns, one.name = 7, "Ada"
        queue.put(one)
        queue.write(connection)
        assert connection.total_changes == before + 1
        assert connection.execute("SELECT end_ns, name FROM sightings").fetchone() == (7, "Ada")
