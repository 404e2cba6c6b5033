"""What humans say of sightings, with the real network, real faces and the command."""

import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.sightings import database
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.sightings import IDS, Portraits, at, changes, config_with, face, record, stored

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


@pytest.fixture
def command(jetstream: Inside, own_models: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """The command, in a folder where Eileen Collins is enrolled."""
    folder = jetstream.folder / "faces" / COLLINS
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.jpg"), portraits[COLLINS])
    return Inside(jetstream.folder, own_models)


@pytest.fixture
def config(command: Inside, portraits: dict[str, np.ndarray]) -> Config:
    """A stranger, who is Grace Hopper; Grace Hopper, named Eileen Collins; both with pictures."""
    config = config_with(command.folder, models=command.models)
    Portraits(config, portraits).seen(config, (HOPPER, IDS[0], None), (HOPPER, IDS[1], COLLINS))
    return config


def photos(command: Inside) -> list[str]:
    faces = command.folder / "faces"
    return sorted(path.relative_to(faces).as_posix() for path in faces.rglob("*.jpg"))


def verdicts(config: Config) -> list[tuple[str | None, str | None, str]]:
    return [(sighting.name, sighting.machine_name, sighting.correction) for sighting in stored(config)]


def test_name_takes_the_look_as_a_photo_of_that_person(command: Inside, config: Config) -> None:
    result = command("correct", IDS[0], "--name", HOPPER, sets=True)

    assert result.returncode == 0, result.stderr
    assert verdicts(config) == [(HOPPER, None, "name"), (COLLINS, COLLINS, "")]
    old, new = photos(command)
    assert (old, Path(new).parent.as_posix()) == (f"{COLLINS}/1.jpg", HOPPER)
    assert f"{IDS[0]}: {HOPPER}; the gallery learns from " in result.stdout
    assert stat.S_IMODE((command.folder / "faces" / new).stat().st_mode) == 0o600
    assert HOPPER in command("people", sets=True).stdout
    assert changes(config)[-1] == ("corrected", IDS[0])


def test_not_makes_the_look_a_counter_example(command: Inside, config: Config) -> None:
    result = command("correct", IDS[1], "--not", sets=True)

    assert result.returncode == 0, result.stderr
    assert verdicts(config)[1] == (None, COLLINS, "not")
    assert [Path(path).parent.as_posix() for path in photos(command)] == [COLLINS, f"{COLLINS}/_not"]
    assert f"not {COLLINS}" in command("sightings").stdout


def test_ignored_look_is_a_strangers(command: Inside, config: Config) -> None:
    result = command("correct", IDS[0], "--ignore", sets=True)

    assert result.returncode == 0, result.stderr
    assert verdicts(config)[0] == (None, None, "ignore")
    assert [Path(path).parent.as_posix() for path in photos(command)] == [COLLINS, "_unknown"]


def test_undo_takes_the_correction_and_its_photo_back(command: Inside, config: Config) -> None:
    for option in (("--not",), ("--name", HOPPER)):
        assert command("correct", IDS[1], *option, sets=True).returncode == 0

    first = command("correct", IDS[1], "--undo", sets=True)
    assert first.returncode == 0, first.stderr
    assert verdicts(config)[1] == (None, COLLINS, "not")
    assert command("correct", IDS[1], "--undo", sets=True).returncode == 0
    assert verdicts(config)[1] == (COLLINS, COLLINS, "")
    assert photos(command) == [f"{COLLINS}/1.jpg"]
    fails_with(command("correct", IDS[1], "--undo", sets=True), 2, "has no correction that could be taken back")


def test_sighting_without_a_picture_is_corrected_and_says_what_is_missing(command: Inside, config: Config) -> None:
    record(config, [at(900, face(IDS[2], COLLINS, box=(900.0, 900.0, 950.0, 950.0)))])

    result = command("correct", IDS[2], "--not", sets=True)

    assert result.returncode == 0, result.stderr
    assert "the gallery learns nothing from it: it has no picture of the face" in result.stdout
    assert verdicts(config)[2] == (None, COLLINS, "not")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--not",), "bears no name; say who it is with --name, or --ignore"),
        (("--name", "../x"), "x"),
        ((), "say one of --name NAME, --not, --ignore and --undo"),
        (("--not", "--undo"), "say one of --name NAME"),
    ],
)
def test_wrong_correction_is_one_sentence_and_changes_nothing(
    command: Inside, config: Config, words: tuple[str, ...], said: str
) -> None:
    before = verdicts(config)

    fails_with(command("correct", IDS[0], *words, sets=True), 2, said)

    assert verdicts(config) == before
    assert photos(command) == [f"{COLLINS}/1.jpg"]


def test_machine_that_learns_the_name_afterwards_keeps_the_correction(command: Inside, config: Config) -> None:
    """The sighting is still open, and the machine gives it a name of its own."""
    record(config, [at(900, face(IDS[2]))], ended=False)
    assert command("correct", IDS[2], "--name", HOPPER, sets=True).returncode == 0
    record(config, [at(901, face(IDS[2], COLLINS))])

    assert verdicts(config)[2] == (HOPPER, COLLINS, "name")


def test_correction_of_a_part_is_taken_back_from_the_whole(command: Inside, config: Config) -> None:
    record(config, [at(900, face(IDS[2], box=(900.0, 900.0, 950.0, 950.0)))], ended=False)
    assert command("correct", IDS[2], "--name", HOPPER, sets=True).returncode == 0
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        connection.execute("UPDATE sightings SET state = 'merged', merged_into = ? WHERE id = ?", (IDS[0], IDS[2]))
        connection.execute(
            "UPDATE sightings SET verdict = 'name', corrected = ?, "
            "end_ns = (SELECT end_ns FROM sightings WHERE id = ?) WHERE id = ?",
            (HOPPER, IDS[2], IDS[0]),
        )

    undone = command("correct", IDS[2], "--undo", sets=True)

    assert undone.returncode == 0, undone.stderr
    assert verdicts(config)[0] == (None, None, "")


def test_new_name_is_said_to_be_new_and_which_one_it_resembles(command: Inside, config: Config) -> None:
    near = command("correct", IDS[0], "--name", COLLINS[:-1], sets=True)
    assert f"{COLLINS[:-1]}: a new person; if you meant {COLLINS}, run `jetstream correct ID --undo`" in near.stderr
    undone = command("correct", IDS[0], "--undo", sets=True)
    assert str(command.folder) not in undone.stdout, "a path from the working folder"

    known = command("correct", IDS[0], "--name", COLLINS, sets=True)
    assert "a new person" not in known.stderr


def test_machine_that_has_another_name_afterwards_is_not_denied_that_one(command: Inside, config: Config) -> None:
    record(config, [at(900, face(IDS[2], COLLINS))], ended=False)
    assert command("correct", IDS[2], "--not", sets=True).returncode == 0
    record(config, [at(901, face(IDS[2], HOPPER))])

    assert verdicts(config)[2] == (HOPPER, HOPPER, "not")
    assert f"not {COLLINS}" in command("sighting", IDS[2], sets=True).stdout
