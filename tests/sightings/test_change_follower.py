"""What is told of changes from now on, also where another database takes the place of the first."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.errors import JetstreamError
from jetstream.sightings import change_follower, database, reader
from jetstream.sightings.change_follower import ChangeFollower
from jetstream.sightings.reader import SightingFilter
from tests.support.sightings import IDS, at, config_with, face, record

ALL = SightingFilter()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """With a sighting that is over."""
    config = config_with(tmp_path)
    record(config, [at(0, face(IDS[0], "Ada"))])
    return config


def following(config: Config) -> ChangeFollower:
    follower = ChangeFollower(Path(config.sightings.dir))
    with database.opened(Path(config.sightings.dir)) as connection:
        follower.begin(reader.newest_change(connection))
    return follower


def looked(follower: ChangeFollower, wanted: SightingFilter = ALL) -> list[tuple[str, str]]:
    return [(message.change, message.sighting.id) for message in follower.look(wanted)]


def test_changes_from_now_on_are_told_once(config: Config) -> None:
    follower = following(config)
    assert looked(follower) == []

    record(config, [at(20, face(IDS[1], "Bob"))])

    assert looked(follower) == [("enter", IDS[1]), ("exit", IDS[1])]
    assert looked(follower) == []
    record(config, [at(40, face(IDS[2], "Ada"))])
    assert looked(follower, SightingFilter(person="Bob")) == []


def test_database_that_is_made_anew_is_followed(config: Config) -> None:
    follower = following(config)
    database.move_away(Path(config.sightings.dir))
    assert looked(follower) == []
    assert follower.is_gone

    record(config, [at(0, face(IDS[1], "Bob"))])

    assert looked(follower) == [("enter", IDS[1]), ("exit", IDS[1])]
    assert not follower.is_gone


def test_restored_database_is_followed_and_its_history_is_not_told(config: Config, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    record(config, [at(20, face(IDS[1], "Bob"))])
    shutil.copy(database.path_in(Path(config.sightings.dir)), copy)
    follower = following(config)
    database.move_away(Path(config.sightings.dir))
    copy.replace(database.path_in(Path(config.sightings.dir)))
    assert looked(follower) == []

    record(config, [at(40, face(IDS[2], "Ada"))])

    assert looked(follower) == [("enter", IDS[2]), ("exit", IDS[2])]


def test_what_a_replaced_database_got_before_the_next_look_is_told(config: Config) -> None:
    follower = following(config)
    looked(follower)
    database.move_away(Path(config.sightings.dir))
    record(config, [at(0, face(IDS[1]))])
    record(config, [at(9, face(IDS[2]))])

    assert [id_ for _, id_ in looked(follower)] == [IDS[1], IDS[1], IDS[2], IDS[2]]


def test_another_file_may_get_its_tables_a_moment_later(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = following(config)
    path = database.path_in(Path(config.sightings.dir))
    database.move_away(Path(config.sightings.dir))
    sqlite3.connect(path).close()
    path.touch()
    assert looked(follower) == []

    monkeypatch.setattr(change_follower, "UNREADABLE_S", 0.0)
    with pytest.raises(JetstreamError, match="of version 0"):
        follower.look(ALL)


def test_followed_database_that_stays_damaged_is_a_sentence(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_follower, "UNREADABLE_S", 0.0)
    follower = following(config)
    path = database.path_in(Path(config.sightings.dir))
    with path.open("r+b") as file:
        file.write(b"x" * path.stat().st_size)

    assert looked(follower) == [], "perhaps it is being replaced"
    with pytest.raises(database.DamageError, match="damaged"):
        follower.look(ALL)
