"""Who is where now."""

from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.sightings import database
from jetstream.sightings.presence import Presence, presence
from tests.support.sightings import IDS, WALL_NS, at, config_with, face, record

CAMERAS = [
    {"name": "door", "source": "demo", "area": "hall"},
    {"name": "stairs", "source": "demo", "area": "hall"},
    {"name": "stove", "source": "demo", "area": "kitchen"},
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_with(tmp_path, cameras=CAMERAS)


def now(config: Config, after_s: float) -> Presence:
    with database.opened(Path(config.sightings.dir)) as connection:
        return presence(connection, away_s=300.0, absence_s=30.0, now_ns=WALL_NS + round(after_s * 1e9))


def where(found: Presence) -> list[tuple[str, str, str, str]]:
    return [(person.name, person.state, person.area, person.since[14:19]) for person in found.people]


def test_person_is_in_the_area_of_the_newest_open_sighting(config: Config) -> None:
    record(
        config,
        [at(0, face(IDS[0], "Ada"), camera="door"), at(20, face(IDS[1], "Ada"), camera="stove")],
        ended=False,
    )

    assert where(now(config, 21)) == [("Ada", "here", "kitchen", "06:59")]


def test_person_who_walks_through_an_area_is_there_since_the_first_sighting(config: Config) -> None:
    record(
        config,
        [at(0, face(IDS[0], "Ada"), camera="door"), at(20, face(IDS[1], "Ada"), camera="stairs")],
        ended=False,
    )

    assert where(now(config, 21)) == [("Ada", "here", "hall", "06:39")]


def test_person_out_of_sight_has_left_and_then_is_away(config: Config) -> None:
    record(config, [at(0, face(IDS[0], "Ada"), camera="door")])

    assert where(now(config, 100)) == [("Ada", "left", "hall", "06:40")]
    assert where(now(config, 400)) == [("Ada", "away", "hall", "06:40")]


def test_sighting_that_a_killed_run_left_open_is_over(config: Config) -> None:
    record(
        config, [at(0, face(IDS[0], "Ada"), camera="door"), at(0, face(IDS[1]), camera="door", frame_id=1)], ended=False
    )

    assert where(now(config, 60)) == [("Ada", "left", "hall", "06:40")]
    assert now(config, 60).strangers == ()


def test_strangers_are_counted_in_each_area(config: Config) -> None:
    frames = [at(0, face(IDS[0]), face(IDS[1]), camera="door"), at(1, face(IDS[2]), camera="stove")]
    record(config, frames, ended=False)

    assert [(one.area, one.count) for one in now(config, 2).strangers] == [("hall", 2), ("kitchen", 1)]


def test_without_those_who_are_away_the_others_are_the_same(config: Config) -> None:
    frames = [at(0, face(IDS[0], "Ada"), camera="door", ended=()), at(300, face(IDS[1], "Bob"), camera="door")]
    record(config, frames, ended=False)
    for after_s in (250, 305, 360, 900):
        with database.opened(Path(config.sightings.dir)) as connection:
            now_ns = WALL_NS + round(after_s * 1e9)
            every = presence(connection, away_s=320.0, absence_s=30.0, now_ns=now_ns)
            some = presence(connection, away_s=320.0, absence_s=30.0, now_ns=now_ns, with_away=False)

        assert some.people == tuple(person for person in every.people if person.state != "away"), after_s
        assert some.strangers == every.strangers
