"""Forgotten people leave the file of alerts."""

from pathlib import Path

import pytest

from jetstream.alerts import alert_file, erasure
from jetstream.config.schema import Config
from jetstream.sightings import erasure as sightings
from jetstream.sightings import retention
from jetstream.sightings.database import opened
from tests.support.alerts import alert, alerting, running, waiting
from tests.support.inside import Inside
from tests.support.receivers import receiver, says
from tests.support.sightings import IDS, at, face, record

KINDS = ("enter", "exit", "named", "unknown")


def with_alerts(folder: Path) -> Config:
    """Ada and Bob, and a stranger, have deliveries that wait; Ada and Bob are in a cooldown."""
    with receiver(says(500)) as server:
        config = alerting(folder, alert("a", *KINDS, webhook=server.url, cooldown_s=600))
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"), face(IDS[1], "Bob"), face(IDS[2]))], ended=False)
            run.until(lambda: len(waiting(config)) == 3)
    return config


def names_in(config: Config) -> set[str]:
    """The sightings that the file names anywhere."""
    with alert_file.opened(Path(config.sightings.dir)) as connection:
        tables = ("waiting", "told", "deliveries")
        return {id_ for table in tables for (id_,) in connection.execute(f"SELECT sighting FROM {table}")}


def test_person_is_gone_with_deliveries_and_cooldown(tmp_path: Path) -> None:
    config = with_alerts(tmp_path)
    folder = Path(config.sightings.dir)
    assert names_in(config) == set(IDS)
    sightings.erase(["Ada"], folder)
    assert erasure.is_left(["Ada"], folder)

    assert erasure.erase(["Ada"], folder) is None

    assert not erasure.is_left(["Ada"], folder)
    assert erasure.is_left(["Bob"], folder), "he is in a cooldown"
    assert names_in(config) == {IDS[1], IDS[2]}
    for path in folder.glob("alerts.db*"):
        assert IDS[0].encode() not in path.read_bytes(), path


def test_sighting_that_retention_deletes_leaves_the_file_with_the_next_sweep(tmp_path: Path) -> None:
    config = with_alerts(tmp_path)
    folder = Path(config.sightings.dir)
    with opened(folder, write=True) as connection:
        rows = connection.execute("SELECT n, id FROM sightings WHERE id = ?", (IDS[2],)).fetchall()
        retention.delete(connection, folder, rows)
    with alert_file.opened(folder) as connection:
        assert erasure.drop_gone(connection, folder) > 0

    assert names_in(config) == {IDS[0], IDS[1]}


def test_folder_without_alerts_holds_nothing(tmp_path: Path) -> None:
    assert erasure.erase(["Ada"], tmp_path) is None
    assert not erasure.is_left(["Ada"], tmp_path)
    assert not alert_file.is_there(tmp_path)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_forget_erases_it_and_searches_for_it(
    jetstream: Inside, own_models: Path, monkeypatch: pytest.MonkeyPatch, *, is_stopped: bool
) -> None:
    jetstream = Inside(jetstream.folder, own_models)
    config = with_alerts(jetstream.folder)
    (jetstream.folder / "faces").mkdir()
    if is_stopped:
        monkeypatch.setattr(erasure, "erase", lambda names, folder: None)

    done = jetstream("forget", "Ada", "--yes", sets=True)

    if is_stopped:
        assert done.returncode == 1
        assert "still in sightings/alerts.db" in done.stderr
    else:
        assert "sightings" in done.stdout, done.stderr
        assert IDS[0] not in names_in(config)
