"""Strangers of whom a human says that they are one, with the real network and real faces."""

import json
from pathlib import Path

import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.sightings import database, grouper, stranger_list, stranger_merges
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.sightings import IDS, Portraits, config_with, stored

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


@pytest.fixture
def config(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Config:
    """Two strangers, grouped."""
    config = config_with(tmp_path, models=own_models)
    Portraits(config, portraits).seen(config, (COLLINS, IDS[0], None), (HOPPER, IDS[1], None))
    grouper.group(config, idle_s=0.0)
    return config


def strangers(config: Config) -> list[tuple[int, int, tuple[int, ...]]]:
    with database.opened(Path(config.sightings.dir)) as connection:
        found = stranger_list.strangers(connection, most=None)
    return [(one.number, one.sightings, one.aliases) for one in found]


def merge(config: Config, *numbers: int) -> None:
    stranger_merges.request(Path(config.sightings.dir), numbers)


def test_two_strangers_become_one_and_stay_it(config: Config, portraits: dict[str, np.ndarray]) -> None:
    assert strangers(config) == [(2, 1, ()), (1, 1, ())]

    merge(config, 2, 1)
    grouper.group(config, idle_s=0.0)
    assert strangers(config) == [(1, 2, (2,))]

    Portraits(config, portraits).seen(config, (HOPPER, IDS[2], None))
    grouper.group(config, idle_s=0.0)  # read anew; by their faces they would part
    assert strangers(config) == [(1, 3, (2,))]
    assert {one.stranger for one in stored(config)} == {1}


def test_alias_is_the_stranger_that_it_became(config: Config) -> None:
    merge(config, 1, 2)
    grouper.group(config, idle_s=0.0)

    with pytest.raises(UserError, match="name two strangers or more who are one person"):
        merge(config, 1, 2)


@pytest.mark.parametrize(
    ("numbers", "said"), [((1, 7), "stranger 7: there is none"), ((1, 1), "name two strangers"), ((1,), "name two")]
)
def test_numbers_that_cannot_be_merged_are_refused(config: Config, numbers: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        merge(config, *numbers)
    with database.opened(Path(config.sightings.dir)) as connection:
        assert stranger_merges.pending(connection) == []


def test_command_merges_and_lists(config: Config, jetstream: Inside) -> None:
    command = Inside(Path(config.sightings.dir).parent, Path(config.models.dir))
    done = command("strangers", "--merge", "2", "--merge", "1", "--json", sets=True)

    assert done.returncode == 0, done.stderr
    (only,) = (json.loads(line) for line in done.stdout.splitlines())
    assert (only["number"], only["sightings"], only["aliases"]) == (1, 2, [2])
    fails_with(command("strangers", "--merge", "1", sets=True), 2, "name two strangers or more")
