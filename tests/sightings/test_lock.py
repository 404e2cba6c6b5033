"""What is said of a lock that another process holds."""

import os
from pathlib import Path

import pytest

from jetstream.errors import BusyError
from jetstream.sightings import lock


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("writer.lock", "writes sightings there; give each pipeline its own sightings.dir"),
        ("grouper.lock", "groups strangers there; try again when it has ended"),
        ("told.lock", "tells of the sightings there; give each pipeline its own sightings.dir"),
    ],
)
def test_holder_is_named_by_what_it_does(tmp_path: Path, name: str, words: str) -> None:
    with lock.held(tmp_path / name), pytest.raises(BusyError) as told, lock.held(tmp_path / name):
        pass
    assert str(told.value) == f"{tmp_path}: process {os.getpid()} {words}"
