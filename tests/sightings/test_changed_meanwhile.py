"""Commands that change sightings while a pipeline, which still has the old names in memory, writes them."""

from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.messages import NameCandidate
from jetstream.sightings import database, erasure, name_changes
from jetstream.sightings.recorder import SightingRecorder
from tests.support.sightings import IDS, at, changes, config_with, face, pictures, record, stored

ADA, BOB = "Ada", "Bob"
LIKE_ADA = (NameCandidate(BOB, 4.0, 3, "Bob/1.jpg", 0.3), NameCandidate(ADA, 1.0, 1, "Ada/1.jpg", 0.5))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_with(tmp_path, "a", "b")


@pytest.fixture
def recorder(config: Config) -> SightingRecorder:
    return SightingRecorder(config, pictures(config))


def folder(config: Config) -> Path:
    return Path(config.sightings.dir)


def names(config: Config) -> list[str | None]:
    return [sighting.name for sighting in stored(config)]


def test_open_sighting_of_a_renamed_person_keeps_the_new_name(config: Config, recorder: SightingRecorder) -> None:
    recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    erasure.rename(ADA, "Ada L", folder(config))
    for second in range(1, 4):
        recorder.saw(at(second, face(IDS[0], ADA)), 1000.0 + second)
    recorder.saw(at(4, face(IDS[1], ADA), camera="b"), 1004.0)  # the gallery with the new name isn't there yet
    recorder.close(ended=True, now_s=1010.0)

    assert names(config) == ["Ada L", "Ada L"]
    assert "named" not in [change for change, _ in changes(config)]


def test_renamed_person_who_gets_another_name_has_that_one(config: Config, recorder: SightingRecorder) -> None:
    recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    erasure.rename(ADA, "Ada L", folder(config))
    recorder.saw(at(1, face(IDS[0], BOB)), 1001.0)
    recorder.close(ended=True, now_s=1010.0)

    assert names(config) == [BOB]


def test_forgotten_candidate_of_an_open_sighting_does_not_come_back(config: Config, recorder: SightingRecorder) -> None:
    recorder.saw(at(0, face(IDS[0], BOB, votes=LIKE_ADA)), 1000.0)
    erasure.erase([ADA], folder(config))
    for second in range(1, 4):
        seen = face(IDS[0], BOB, votes=LIKE_ADA, confidence=0.9 + second * 0.03)  # taken anew
        recorder.saw(at(second, seen), 1000.0 + second)
    recorder.saw(at(4, face(IDS[1], ADA)), 1004.0)
    recorder.close(ended=True, now_s=1010.0)

    assert names(config) == [BOB, None], "she is a stranger now"
    for path in folder(config).glob("sightings.db*"):
        assert b"Ada" not in path.read_bytes(), path


def test_forgotten_persons_sighting_does_not_come_back_with_another_process(config: Config) -> None:
    record(config, [at(0, face(IDS[0], ADA))], ended=False)
    erasure.erase([ADA], folder(config))
    record(config, [at(1, face(IDS[0], ADA)), at(2, face(IDS[0]))])

    assert stored(config) == []
    assert list(folder(config).rglob("*.jpg")) == []


def test_part_of_a_forgotten_sighting_goes_with_its_pictures(config: Config, recorder: SightingRecorder) -> None:
    recorder.saw(at(0, face(IDS[0], ADA), face(IDS[1], track_id=2)), 1000.0)
    erasure.erase([ADA], folder(config))
    recorder.saw(at(1, face(IDS[0], ADA), face(IDS[1], track_id=2)), 1001.0)
    assert list(folder(config).rglob("*.jpg")) != []

    recorder.saw(at(2, face(IDS[0], ADA), merged=((IDS[1], IDS[0]),)), 1002.0)
    recorder.close(ended=True, now_s=1010.0)

    assert stored(config) == []
    assert list(folder(config).rglob("*.jpg")) == []


@pytest.mark.parametrize("how", ["track says so", "it bears the name of another one"])
def test_sighting_that_got_anothers_pictures_keeps_as_many_as_were_asked_for(config: Config, how: str) -> None:
    frames = [at(second, face(IDS[0], ADA), face(IDS[1], track_id=2)) for second in range(6)]
    if how == "track says so":
        frames.append(at(6, face(IDS[0], ADA), merged=((IDS[1], IDS[0]),)))
    else:
        frames.append(at(6, face(IDS[1], ADA, track_id=2)))
    record(config, frames, pictures(config))

    (sighting,) = stored(config)
    assert len(sighting.looks) == config.sightings.looks
    assert len(list(folder(config).rglob("*.jpg"))) == config.sightings.looks


def test_picture_of_a_sighting_that_was_deleted_just_now_is_given_to_nobody(
    config: Config, recorder: SightingRecorder
) -> None:
    recorder.saw(at(0, face(IDS[0], ADA)), 1000.0)
    erasure.erase([ADA], folder(config))
    recorder.saw(at(0.45, face(IDS[1], BOB, track_id=2), face(IDS[0], ADA)), 1000.05)  # nothing was written meanwhile
    recorder.close(ended=True, now_s=1010.0)

    (sighting,) = stored(config)
    assert (sighting.name, [look.split("/")[-1][:26] for look in sighting.looks]) == (BOB, [])


def test_forgotten_name_is_noted_as_a_hash_and_a_renamed_one_follows(tmp_path: Path) -> None:
    with database.opened(tmp_path, write=True) as connection:
        name_changes.note(connection, ADA, "Bea")
        name_changes.note(connection, "Bea", "Cleo")
        assert [name_changes.NameChanges(connection).today(name) for name in (ADA, "Bea", BOB)] == ["Cleo", "Cleo", BOB]

        name_changes.note(connection, "Cleo", None)
        assert [name_changes.NameChanges(connection).today(name) for name in (ADA, "Bea", "Cleo")] == [None] * 3
        assert connection.execute("SELECT count(*) FROM renames WHERE name IS NOT NULL").fetchone() == (0,)

        name_changes.note(connection, BOB, ADA)
        assert name_changes.NameChanges(connection).today(ADA) == ADA, "it is somebody's again"
