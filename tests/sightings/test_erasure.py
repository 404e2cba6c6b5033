"""Forgetting and renaming people: no byte of a forgotten name is left in any file."""

from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.messages import NameCandidate
from jetstream.sightings import database, erasure, retention
from tests.support.sightings import IDS, at, changes, config_with, face, pictures, record, stored

MENTION = (NameCandidate("Grace", 5.0, 4, "Grace/1.jpg", 0.2), NameCandidate("Zoë", 1.0, 1, "Zoë/7.jpg", 0.5))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Zoë's sighting with looks, and Grace's, in which Zoë was a candidate."""
    config = config_with(tmp_path)
    frames = [
        at(second / 2, face(IDS[0], "Zoë"), face(IDS[1], "Grace", track_id=2, votes=MENTION)) for second in range(6)
    ]
    record(config, frames, pictures(config))
    return config


def folder(config: Config) -> Path:
    return Path(config.sightings.dir)


def test_what_is_there_is_counted(config: Config) -> None:
    found = erasure.find(["Zoë"], folder(config))

    assert (found.sightings, found.looks > 0) == (1, True)
    assert found.mentions == 1 + 2, "in the other sighting, and in what was told of it"
    assert str(found).startswith("1 sighting with ")
    assert not erasure.find(["Bob"], folder(config))


def test_one_search_serves_the_question_and_the_erasing(config: Config) -> None:
    searched = erasure.search(["Zoë", "Bob"], folder(config))
    assert searched.traces == erasure.find(["Zoë", "Bob"], folder(config))
    assert searched.known == {"Zoë"}

    erased = erasure.erase(["Zoë"], folder(config), searched)

    assert erased == searched.traces
    assert not erasure.find(["Zoë"], folder(config))


def test_what_is_written_after_the_search_is_erased_too(config: Config) -> None:
    record(config, [at(50, face(IDS[2], "Grace", track_id=3))], ended=False)
    searched = erasure.search(["Zoë"], folder(config))
    late = "01M8JFTDB6GVM5814RJ14Y24CR"
    with_zoe = {"votes": MENTION, "track_id": 3}
    record(config, [at(51, face(IDS[2], "Grace", **with_zoe, confidence=0.99)), at(90, face(late, "Zoë"))])
    assert erasure.find(["Zoë"], folder(config)).sightings == 2

    erasure.erase(["Zoë"], folder(config), searched)

    assert not erasure.find(["Zoë"], folder(config))
    for path in folder(config).rglob("*"):
        assert path.is_dir() or "Zoë".encode() not in path.read_bytes(), path


def test_forgotten_person_is_in_no_file(config: Config) -> None:
    erasure.erase(["Zoë"], folder(config))

    (left,) = stored(config)
    assert (left.name, [candidate.name for candidate in left.why]) == ("Grace", ["Grace"])
    assert not erasure.find(["Zoë"], folder(config))
    for path in folder(config).rglob("*"):
        assert path.is_dir() or "Zoë".encode() not in path.read_bytes(), path
        assert IDS[0] not in path.name
    assert all(Path(config.sightings.dir, look).exists() for look in left.looks)


def test_copies_of_the_database_go_too(config: Config) -> None:
    (folder(config) / f"{database.FILE}.v0").write_bytes("Zoë".encode())

    erasure.erase(["Zoë"], folder(config))

    assert database.copies(folder(config)) == []


def test_name_within_another_one_is_not_meant(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    record(config, [at(0, face(IDS[0], "Ann"), face(IDS[1], "Anna", track_id=2))])

    erasure.erase(["Ann"], folder(config))

    assert [(sighting.name, sighting.why[0].name) for sighting in stored(config)] == [("Anna", "Anna")]


def test_renamed_person_takes_the_sightings_along(config: Config) -> None:
    assert erasure.rename("Zoë", "Zoe", folder(config)) == 1

    zoe, grace = stored(config)
    assert (zoe.name, zoe.machine_name, zoe.why[0].photo) == ("Zoe", "Zoe", "Zoe/1.jpg")
    assert [candidate.photo for candidate in grace.why] == ["Grace/1.jpg", "Zoe/7.jpg"]


def test_no_database_is_nothing_to_erase(tmp_path: Path) -> None:
    assert not erasure.erase(["Ada"], tmp_path)
    assert erasure.rename("Ada", "Bob", tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_changes_keep_their_numbers(config: Config) -> None:
    erasure.erase(["Bob"], folder(config))

    assert len(changes(config)) == 4


def test_those_that_sightings_know_are_told_from_others(config: Config, tmp_path: Path) -> None:
    record(
        config, [at(100, face(IDS[2], "Grace", track_id=3, votes=(*MENTION, NameCandidate("Bob", 0.1, 1, None, 0.9))))]
    )

    names = ["Zoë", "Bob", "Grace", "Carl", "Gra"]
    assert erasure.search(names, folder(config)).known == {"Zoë", "Grace", "Bob"}, "Bob is but a candidate"
    assert erasure.search(names, tmp_path / "nowhere").known == frozenset()


def test_person_corrected_away_or_to_is_found(config: Config) -> None:
    with database.opened(folder(config), write=True) as connection:
        connection.execute("UPDATE sightings SET verdict = 'name', corrected = 'Eve' WHERE id = ?", (IDS[0],))

    assert [erasure.find([name], folder(config)).sightings for name in ("Zoë", "Eve", "Grace")] == [1, 1, 1]


def test_many_sightings_go_in_several_transactions(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    record(config, [at(100, *(face(f"{number:026}", "Zoë", track_id=number) for number in range(9)))])
    monkeypatch.setattr(retention, "MOST_AT_ONCE", 2)

    assert erasure.erase(["Zoë"], folder(config)).sightings == 10
    assert not erasure.find(["Zoë"], folder(config))
    assert [sighting.name for sighting in stored(config)] == ["Grace"]


def test_what_was_told_before_the_name_changed_goes_too(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    record(config, [at(0, face(IDS[0], "Zoë", votes=())), at(1, face(IDS[0], "Grace"))])
    assert erasure.find(["Zoë"], folder(config)).mentions > 0

    erasure.erase(["Zoë"], folder(config))

    assert [sighting.name for sighting in stored(config)] == ["Grace"]
    for path in folder(config).rglob("*"):
        assert path.is_dir() or "Zoë".encode() not in path.read_bytes(), path


def test_parts_of_a_forgotten_persons_sighting_go_too(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    nameless = face(IDS[1], track_id=2)
    record(config, [at(0, face(IDS[0], "Zoë"), nameless), at(1, face(IDS[0], "Zoë"), merged=((IDS[1], IDS[0]),))])

    erasure.erase(["Zoë"], folder(config))

    with database.opened(folder(config)) as connection:
        assert connection.execute("SELECT count(*) FROM sightings").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (0,)


def test_log_of_a_damaged_database_goes_too(config: Config) -> None:
    with database.opened(folder(config), write=True):
        database.move_away(folder(config))

    erasure.erase(["Zoë"], folder(config))

    assert [path.name for path in folder(config).glob("sightings.db*")] == []


def test_renamed_person_can_be_forgotten_by_the_new_name_alone(config: Config) -> None:
    erasure.rename("Zoë", "Eve", folder(config))
    erasure.erase(["Eve"], folder(config))

    for path in folder(config).rglob("*"):
        assert path.is_dir() or "Zoë".encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("photo", "moved"),
    [
        ("/home/zoe/faces/zoe/1.jpg", "/home/zoe/faces/Eve/1.jpg"),
        ("/home/zoe/faces/zoe/_not/1.jpg", "/home/zoe/faces/Eve/_not/1.jpg"),
        ("/home/zoe/faces/Bob/1.jpg", "/home/zoe/faces/Bob/1.jpg"),
    ],
)
def test_only_the_renamed_persons_folder_changes_in_a_photos_path(config: Config, photo: str, moved: str) -> None:
    with database.opened(folder(config), write=True) as connection:
        connection.execute(
            "INSERT INTO corrections (sighting_id, at_ns, verdict, photo) VALUES (?, 1, 'not', ?)", (IDS[0], photo)
        )
    erasure.rename("zoe", "Eve", folder(config))
    with database.opened(folder(config)) as connection:
        assert connection.execute("SELECT photo FROM corrections").fetchall() == [(moved,)]


def test_log_that_a_reader_keeps_from_being_emptied_is_told_and_emptied_the_next_time(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "COMMAND_WAIT_S", 0.2)
    with database.opened(folder(config)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sightings").fetchone()
        log = erasure.erase(["Zoë"], folder(config)).log
        assert log is not None
        assert "Zoë".encode() in database.path_in(folder(config)).read_bytes() + log.read_bytes()
        reading.execute("COMMIT")

        assert erasure.erase(["Zoë"], folder(config)).log is None
        assert log.stat().st_size == 0
        assert "Zoë".encode() not in database.path_in(folder(config)).read_bytes()
