"""What is deleted for its age or its size, and what isn't."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.sightings import database, retention
from jetstream.sightings.retention import RetentionSweeper
from tests.support.sightings import IDS, WALL_NS, at, changes, config_with, face, pictures, record, stored

DAY_S = 86400.0


def swept(config: Config, monkeypatch: pytest.MonkeyPatch, *days: float) -> list[str | None]:
    """Names of the sightings that are left after sweeps so many days after WALL_NS, by a clock that runs well."""
    sweeper = RetentionSweeper(config)
    boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        for number, day in enumerate(days):
            wall_s = WALL_NS * 1e-9 + day * DAY_S
            monkeypatch.setattr(retention.time, "time", lambda wall_s=wall_s: wall_s)
            monkeypatch.setattr(retention.time, "time_ns", lambda wall_s=wall_s: round(wall_s * 1e9))
            monkeypatch.setattr(retention.time, "clock_gettime", lambda _, day=day: boot_s + day * DAY_S)
            sweeper.sweep(connection, number * 100.0)
    return [sighting.name for sighting in stored(config)]


def config_of_two(folder: Path, **settings: Any) -> Config:
    config = config_with(folder, sightings=settings)
    frames = [at(second / 2, face(IDS[0], "Ada"), face(IDS[1], track_id=2)) for second in range(6)]
    record(config, frames, pictures(config))
    return config


def test_strangers_are_kept_for_a_shorter_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of_two(tmp_path, keep_days=10, keep_strangers_days=3)
    looks = {look for sighting in stored(config) if sighting.name is None for look in sighting.looks}
    assert looks

    assert swept(config, monkeypatch, 0, 2) == ["Ada", None]
    assert swept(config, monkeypatch, 2, 4) == ["Ada"]
    assert not any(Path(config.sightings.dir, look).exists() for look in looks)
    assert all(Path(config.sightings.dir, look).exists() for look in stored(config)[0].looks)
    assert [sighting_id for _, sighting_id in changes_left(config)] == [IDS[0], IDS[0]]
    assert swept(config, monkeypatch, 4, 11) == []
    assert list(Path(config.sightings.dir).rglob("*.jpg")) == []


def changes_left(config: Config) -> list[tuple[str, str]]:
    with database.opened(Path(config.sightings.dir)) as connection:
        return connection.execute("SELECT change, sighting_id FROM changes ORDER BY seq").fetchall()


def test_nothing_is_deleted_for_its_age_without_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of_two(tmp_path, keep_days=0, keep_strangers_days=0)

    assert swept(config, monkeypatch, 0, 4000) == ["Ada", None]
    assert len(changes(config)) == 4


def test_clock_that_leapt_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of_two(tmp_path, keep_days=10, keep_strangers_days=10)
    Path(config.sightings.dir, "clock.json").unlink()
    sweeper = RetentionSweeper(config)
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        for number, day in enumerate((0.0, 400.0)):
            wall_s = WALL_NS * 1e-9 + day * DAY_S
            monkeypatch.setattr(retention.time, "time", lambda wall_s=wall_s: wall_s)
            monkeypatch.setattr(retention.time, "time_ns", lambda wall_s=wall_s: round(wall_s * 1e9))
            monkeypatch.setattr(retention.time, "clock_gettime", lambda _, number=number: 1000.0 + 100 * number)
            sweeper.sweep(connection, number * 100.0)

    assert [sighting.name for sighting in stored(config)] == ["Ada", None]
    assert "no sighting is deleted for its age: the clock leapt 400 days ahead" in caplog.text


def test_oldest_looks_go_when_all_take_too_much_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of_two(tmp_path, keep_gb=1.0)
    before = sorted(Path(config.sightings.dir).rglob("*.jpg"), key=lambda path: int(path.stem.split("-")[1]))
    assert len(before) == 6
    sizes = [path.stat().st_size for path in before]
    smaller = msgspec.structs.replace(
        config, sightings=msgspec.structs.replace(config.sightings, keep_gb=sum(sizes[-2:]) * 1e-9)
    )

    assert swept(smaller, monkeypatch, 0) == ["Ada", None], "the sightings stay"
    assert {path for path in before if path.exists()} == set(before[-2:]), "the newest ones"
    assert sum(len(sighting.looks) for sighting in stored(config)) == 2


def test_much_is_deleted_little_by_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_with(tmp_path, sightings={"keep_days": 1, "keep_strangers_days": 0})
    record(config, [at(0, *(face(f"{number:026}", f"P{number}", track_id=number) for number in range(5)))])
    monkeypatch.setattr(retention, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(RetentionSweeper, "_is_doubtful", lambda *_: False)
    monkeypatch.setattr(retention.time, "time_ns", lambda: WALL_NS + 2 * retention.DAY_NS)
    sweeper = RetentionSweeper(config)

    left = []
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        for now_s in (0.0, 0.1, retention.AGAIN_S, 2 * retention.AGAIN_S, 3 * retention.AGAIN_S):
            sweeper.sweep(connection, now_s)
            left.append(len(stored(config)))

    assert left == [3, 3, 1, 0, 0], "so that frames are taken in between"


def test_looks_that_another_program_deletes_meanwhile_are_counted_as_deleted(tmp_path: Path) -> None:
    config = config_of_two(tmp_path, keep_days=0, keep_strangers_days=0, keep_gb=1e-9)
    folder = Path(config.sightings.dir)
    with database.opened(folder, write=True) as connection, database.opened(folder, write=True) as other:
        other.execute("UPDATE looks SET bytes = 1 WHERE n = (SELECT max(n) FROM looks)")
        other_looks = "DELETE FROM looks WHERE n < (SELECT max(n) FROM looks)"

        def forget(statement: str) -> None:
            if statement.startswith(("BEGIN", "SELECT n, file")):
                connection.set_trace_callback(None)
                other.execute(other_looks)

        connection.set_trace_callback(forget)
        RetentionSweeper(config).sweep(connection, 0.0)

        assert connection.execute("SELECT bytes FROM looks").fetchall() == [(1,)], "the last one has room"
