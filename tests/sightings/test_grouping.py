"""Looks to embeddings to groups of strangers, with the real network and real faces."""

import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.sightings import database, lock, reader
from jetstream.sightings.grouper import group
from jetstream.sightings.look_embedding import network_of, unpacked
from tests.support.sightings import IDS, Portraits, changes, config_with, stored

FOUR = (*IDS, "01M8JFTDB6GVM5814RJ14Y24CR")


@pytest.fixture
def config(tmp_path: Path, own_models: Path) -> Config:
    return config_with(tmp_path, models=own_models)


@pytest.fixture
def people(config: Config, portraits: dict[str, np.ndarray]) -> Portraits:
    return Portraits(config, portraits)


def groups(config: Config) -> list[int | None]:
    return [sighting.stranger for sighting in stored(config)]


COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


def test_stranger_who_comes_again_has_the_same_number(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], None), (HOPPER, FOUR[1], None))
    group(config, idle_s=0.0)
    assert groups(config) == [1, 2]

    people.seen(config, (HOPPER, FOUR[2], None), (COLLINS, FOUR[3], None))
    group(config, idle_s=0.0)  # another process, which has read the groups

    assert groups(config) == [1, 2, 2, 1]
    told = [(change, sighting) for change, sighting in changes(config) if change == "stranger"]
    assert told == [("stranger", FOUR[i]) for i in (0, 1, 2, 3)]
    with database.opened(Path(config.sightings.dir)) as connection:
        found = reader.find(connection, reader.SightingFilter(stranger=1))
    assert [sighting.id for sighting in found] == [FOUR[0], FOUR[3]]


def test_known_person_is_embedded_and_in_no_group(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], "Ada"), (COLLINS, FOUR[1], None))
    group(config, idle_s=0.0)

    assert groups(config) == [None, 1]
    with database.opened(Path(config.sightings.dir)) as connection:
        rows = connection.execute("SELECT network, embedding FROM looks").fetchall()
    assert {network for network, _ in rows} == {network_of(config)}
    embeddings = unpacked([embedding for _, embedding in rows])
    assert embeddings.shape[1] == 128
    assert np.linalg.norm(embeddings - embeddings[0], axis=1).max() < 0.3, "all of one person"


def test_stranger_who_gets_a_name_leaves_the_group(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], None), (COLLINS, FOUR[1], None))
    group(config, idle_s=0.0)
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        connection.execute("UPDATE sightings SET verdict = 'name', corrected = 'Ada' WHERE id = ?", (FOUR[0],))
    people.seen(config, (HOPPER, FOUR[2], None))
    group(config, idle_s=0.0)

    with database.opened(Path(config.sightings.dir)) as connection:
        kept = connection.execute("SELECT stranger FROM sightings ORDER BY n").fetchall()
    assert kept == [(None,), (1,), (2,)]


def test_person_who_was_none_after_all_is_grouped(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], "Ada"), (COLLINS, FOUR[1], None))
    group(config, idle_s=0.0)
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        connection.execute("UPDATE sightings SET verdict = 'not', corrected = name WHERE id = ?", (FOUR[0],))

    group(config, idle_s=0.0)

    assert groups(config) == [1, 1]


def test_look_that_cant_be_read_is_passed_over_once(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], None), (HOPPER, FOUR[1], None))
    for look in stored(config)[0].looks:
        Path(config.sightings.dir, look).write_bytes(b"no picture")

    group(config, idle_s=0.0)

    assert groups(config) == [None, 1]


def test_another_network_keeps_the_numbers(config: Config, people: Portraits) -> None:
    people.seen(config, (HOPPER, FOUR[0], None), (COLLINS, FOUR[1], None))
    group(config, idle_s=0.0)
    other = msgspec.structs.replace(config, recognize=msgspec.structs.replace(config.recognize, model="dlib"))

    group(other, idle_s=0.0)
    people.seen(config, (COLLINS, FOUR[2], None))
    group(other, idle_s=0.0)

    assert groups(config) == [1, 2, 2]


def test_grouper_is_a_process_that_takes_its_config_from_its_parent(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], None))
    orphan = subprocess.run(
        [sys.executable, "-m", "jetstream.sightings.grouper", "1"], input=b"", capture_output=True, check=False
    )
    assert orphan.returncode == 1
    assert groups(config) == [None]
    assert cv2.imread(str(Path(config.sightings.dir, stored(config)[0].looks[0]))) is not None


def test_grouper_that_cant_write_is_started_again_later(config: Config, people: Portraits) -> None:
    people.seen(config, (COLLINS, FOUR[0], None))
    folder = Path(config.sightings.dir)
    command = (
        "import os, subprocess, sys; sys.exit(subprocess.run([sys.executable, '-m', 'jetstream.sightings.grouper',"
    )
    with lock.held(folder / "grouper.lock"):
        done = subprocess.run(
            [sys.executable, "-c", f"{command} str(os.getpid())]).returncode)"],
            input=msgspec.json.encode(config),
            capture_output=True,
            check=False,
        )

    assert done.returncode == 1
    assert b"strangers are grouped later" in done.stderr
