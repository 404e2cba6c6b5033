"""Which sightings are found, by what they are asked for, and how a time may be written."""

import time
import tracemalloc
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.sighting import Sighting
from jetstream.sightings import database, reader
from tests.support.sightings import IDS, WALL_NS, at, config_with, face, record, stored, write_many

NOW = datetime(2026, 11, 29, 18, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Ada at camera a from 0 to 10 s, a stranger at b from 5 to 6 s, Ada at b from 100 s."""
    config = config_with(tmp_path, "a", "b")
    frames = [
        at(0, face(IDS[0], "Ada")),
        at(5, face(IDS[1]), camera="b"),
        at(6, face(IDS[1]), camera="b"),
        at(10, face(IDS[0], "Ada")),
        at(100, face(IDS[2], "Ada"), camera="b"),
    ]
    record(config, frames)
    return config


def ids_of(sightings: list[Sighting]) -> list[int]:
    return [IDS.index(sighting.id) for sighting in sightings]


def one(config: Config, text: str) -> Sighting:
    with database.opened(Path(config.sightings.dir)) as connection:
        return reader.one(connection, text)


def test_oldest_comes_first(config: Config) -> None:
    assert ids_of(stored(config)) == [0, 1, 2]
    assert ids_of(stored(config, most=2)) == [1, 2], "the newest ones"


@pytest.mark.parametrize("most", [None, 3000])
def test_all_sightings_are_read_without_being_in_memory_at_once(tmp_path: Path, most: int | None) -> None:
    write_many(tmp_path, 4000)
    with database.opened(tmp_path) as connection:
        wanted = reader.SightingFilter(most=most)
        tracemalloc.start()
        try:
            read = [sighting.id for page in reader.pages(connection, wanted) for sighting in page]
            in_pages = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            found = reader.find(connection, wanted)
            at_once = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert read == [sighting.id for sighting in found] == [f"{n:026}" for n in range(4000)][-(most or 4000) :]
    assert in_pages < at_once / 2


def test_sightings_are_found_by_person_camera_and_time(config: Config) -> None:
    assert ids_of(stored(config, person="Ada")) == [0, 2]
    assert ids_of(stored(config, person="ada")) == []
    assert ids_of(stored(config, unknown=True)) == [1]
    assert ids_of(stored(config, camera="b")) == [1, 2]
    assert ids_of(stored(config, camera="b", person="Ada")) == [2]
    assert ids_of(stored(config, from_ns=WALL_NS + 7 * 10**9)) == [0, 2], "what was still going on counts"
    assert ids_of(stored(config, to_ns=WALL_NS + 3 * 10**9)) == [0]
    assert ids_of(stored(config, from_ns=WALL_NS + 20 * 10**9, to_ns=WALL_NS + 30 * 10**9)) == []


def test_sighting_is_found_by_its_id_or_the_end_of_it(config: Config) -> None:
    assert [one(config, text).id for text in (IDS[0], IDS[0].lower(), "24CN", " 4y24cn ")] == 4 * [IDS[0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CN", "no id of a sighting; give it, or its last 4 letters or more"),
        ("the door", "no id of a sighting"),
        ("ZZZZ", "there is no such sighting; `jetstream sightings` lists them"),
        ("01M8JFTD", "several sightings, .*; give more of the id"),
    ],
)
def test_id_that_names_no_single_sighting_is_refused(config: Config, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        one(config, text)


def test_merged_sighting_leads_to_the_one_it_is_part_of(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    record(config, [at(0, face(IDS[0])), at(1, face(IDS[1])), at(2, face(IDS[0]), merged=((IDS[1], IDS[0]),))])

    assert one(config, IDS[1]).id == IDS[0]


def test_parts_of_a_sighting_are_all_that_were_merged_into_it(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    record(
        config,
        [
            at(0, face(IDS[0]), face(IDS[1])),
            at(1, face(IDS[2])),
            at(2, face(IDS[1]), merged=((IDS[2], IDS[1]),)),
            at(3, face(IDS[0]), merged=((IDS[1], IDS[0]),)),
        ],
    )
    with database.opened(Path(config.sightings.dir)) as connection:
        found = [sorted(reader.parts_of(connection, id_)) for id_ in IDS]

    assert found == [[IDS[1], IDS[2]], [IDS[2]], []]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-29", "2026-11-29T00:00+01:00"),
        ("2026-11-29T08:15", "2026-11-29T08:15+01:00"),
        ("2026-11-29T08:15:00Z", "2026-11-29T08:15+00:00"),
        ("today", "2026-11-29T00:00+01:00"),
        ("Yesterday", "2026-11-28T00:00+01:00"),
        ("2h", "2026-11-29T16:30+01:00"),
        ("1.5d", "2026-11-28T06:30+01:00"),
        (" 1w ", "2026-11-22T18:30+01:00"),
        ("now", "2026-11-29T18:30+01:00"),
    ],
)
def test_time_may_be_written_in_several_ways(text: str, expected: str) -> None:
    assert reader.moment(text, "--from", NOW) == datetime.fromisoformat(expected).timestamp() * 1e9


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "300000d"])
def test_time_beyond_what_the_database_can_compare_is_taken(config: Config, text: str) -> None:
    far_ns = reader.moment(text, "--from", NOW)
    with database.opened(Path(config.sightings.dir)) as connection:
        reader.find(connection, reader.SightingFilter(from_ns=far_ns, to_ns=far_ns))


@pytest.mark.parametrize("text", ["", "tomorrowish", "2026-13-40", "h", "-2h", "25:00", "1e9d", "9999999999w"])
def test_no_time_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"^--from "):
        reader.moment(text, "--from", NOW)


def test_names_of_cameras_people_and_zones_are_listed(config: Config) -> None:
    with database.opened(Path(config.sightings.dir)) as connection:
        assert reader.cameras(connection) == ["a", "b"]
        assert reader.people(connection) == ["Ada"]
        assert reader.zone_names(connection) == []


def test_stranger_goes_by_every_number_that_its_group_had(config: Config) -> None:
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        connection.executemany("INSERT INTO strangers VALUES (?, ?, 0)", [(1, None), (2, 1), (3, 2), (4, None)])
        connection.execute("UPDATE sightings SET stranger = 1 WHERE id = ?", (IDS[1],))
        assert [reader.aliases(connection, number) for number in (1, 2, 3, 4)] == [[1, 2, 3], [1, 2, 3], [1, 2, 3], [4]]

    assert [ids_of(stored(config, stranger=number)) for number in (1, 3, 4)] == [[1], [1], []]
    assert stored(config)[1].stranger == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01T12:00", "2026-07-01T12:00+02:00"),
        ("2026-07-01", "2026-07-01T00:00+02:00"),
        ("2026-12-01", "2026-12-01T00:00+01:00"),
        ("2026-07-01T12:00+05:00", "2026-07-01T12:00+05:00"),
        ("yesterday", "2026-10-24T00:00+02:00"),
        ("today", "2026-10-25T00:00+02:00"),
        ("now", "2026-10-25T12:00+01:00"),
        ("24h", "2026-10-24T12:00+01:00"),
    ],
)
def test_time_without_a_zone_is_the_machines_on_that_day(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    """Berlin, at noon of the day on which summer time ended."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        found_ns = reader.moment(text, "--from", datetime(2026, 10, 25, 12))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert found_ns == datetime.fromisoformat(expected).timestamp() * 1e9
