"""Sightings that are recorded, and what arrives of them at a real server."""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jetstream.alerts import alert_file, dry_run
from jetstream.alerts.outbox import MOST_WAITING
from jetstream.config.schema import Config
from jetstream.messages import Status, Tracked
from jetstream.sightings import database, erasure
from jetstream.sightings.recorder import SightingRecorder
from tests.support.alerts import alert, alerting, counts, running, waiting
from tests.support.fulldisk import files_of_at_most
from tests.support.receivers import Receiver, hangs, receiver, says
from tests.support.sightings import IDS, WALL_NS, at, face, pictures, record
from tests.support.stage_messages import rings_for
from tests.support.statuses import beat, status

LATER_S = 60.0


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver(says(200)) as made:
        yield made


def told(server: Receiver) -> list[tuple[str, str | None]]:
    """Each type that arrived, with the name."""
    return [
        (one.json["type"], one.json["data"]["sighting"] and one.json["data"]["sighting"]["name"])
        for one in server.posted
    ]


def sent_of(config: Config, server: Receiver, frames: list[Tracked], **keys: Any) -> list[tuple[str, str | None]]:
    """What arrives of frames that are recorded while the alerts of `config` are at work."""
    record(config, [at(0)])
    with running(config) as run:
        record(config, frames, **keys)
        run.turn(later_s=LATER_S)
        run.until(lambda: not waiting(config), later_s=LATER_S)
    return told(server)


def of(server: Receiver, folder: Path, *when: str, **keys: Any) -> Config:
    return alerting(folder, alert("a", *when, webhook=server.url, **keys))


def test_enter_and_exit_arrive_in_order_with_the_sighting(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter", "exit")

    assert sent_of(config, server, [at(0, face(IDS[0], "Ada")), at(2)]) == [("enter", "Ada"), ("exit", "Ada")]
    first = server.posted[0].json
    assert first["data"]["sighting"]["id"] == IDS[0]
    assert first["data"]["sighting"]["why"] == [], "the names of others stay here"
    assert first["data"]["text"].startswith("Ada came: a, ")
    assert server.posted[0].headers["webhook-id"] == first["data"]["id"]
    assert counts(config).sent == 2


def test_name_that_was_told_with_the_enter_is_not_told_again(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter", "named")
    frames = [at(0, face(IDS[0], "Ada"), face(IDS[1])), at(1, face(IDS[0], "Ada"), face(IDS[1], "Bob"))]

    assert sorted(sent_of(config, server, frames), key=str) == [("enter", "Ada"), ("enter", "Bob"), ("named", "Bob")]


def test_stranger_who_stays_unnamed_is_told_after_the_time_for_a_name(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "unknown", unknown_after_s=5.0)
    record(config, [at(0)])
    with running(config) as run:
        record(config, [at(0, face(IDS[0]), face(IDS[1]))], ended=False)
        run.turn(later_s=5.0)
        assert waiting(config) == []
        record(config, [at(1, face(IDS[1], "Ada"))], ended=False)
        run.turn(later_s=7.0)
        run.until(lambda: server.posted, later_s=7.0)
        run.turn(later_s=7.0)

    assert [one.json["data"]["sighting"]["id"] for one in server.posted] == [IDS[0]]


def test_stranger_who_leaves_before_that_is_told_at_the_end(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "unknown", unknown_after_s=1000.0)

    assert sent_of(config, server, [at(0, face(IDS[0]))]) == [("unknown", None)]


def test_zone_is_told_while_the_sighting_is_open(server: Receiver, tmp_path: Path) -> None:
    zone = {"name": "porch", "polygon": [[0, 0], [100, 0], [100, 100], [0, 100]]}
    camera = {"name": "a", "source": "demo", "zones": [zone]}
    told = alert("a", "zone", webhook=server.url, zones=["porch"], who=["Ada"])
    config = alerting(tmp_path, told, cameras=[camera])
    record(config, [at(0)])
    with running(config) as run:
        recorder = SightingRecorder(config, rings_for(config))
        recorder.saw(at(0, face(IDS[0], "Ada", box=(500.0, 500.0, 540.0, 540.0))), 0.0)
        recorder.saw(at(2, face(IDS[0], "Ada")), 2.0)
        recorder.tend(3.0)
        assert recorder.follower.open_ids
        run.until(lambda: server.posted, now_ns=WALL_NS + 5_000_000_000)
        run.until(lambda: not waiting(config), now_ns=WALL_NS + 5_000_000_000)
        recorder.close(ended=True, now_s=10.0)

    (posted,) = server.posted
    assert (posted.json["data"]["zone"], posted.json["timestamp"]) == ("porch", "2026-11-28T21:06:42.000Z")


def test_same_person_is_not_told_again_before_the_cooldown_ends(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter", "exit", cooldown_s=3600)
    frames = [at(0, face(IDS[0], "Ada")), at(50, ended=(IDS[0],)), at(60, face(IDS[1], "Ada"), face(IDS[2], "Bob"))]

    assert sent_of(config, server, frames) == [("enter", "Ada"), ("exit", "Ada"), ("enter", "Bob"), ("exit", "Bob")]


def test_stranger_with_earlier_sightings_is_told_again(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "stranger_again")
    record(config, [at(0, face(IDS[0])), at(50, ended=(IDS[0],))])
    folder = Path(config.sightings.dir)
    with running(config) as run:
        record(config, [at(100, face(IDS[1])), at(101, face(IDS[1]), face(IDS[2]))], ended=False)
        for id_, number in ((IDS[0], 7), (IDS[1], 7), (IDS[2], 8)):
            grouped(folder, id_, number)
        run.until(lambda: server.posted)
        run.turn()

    (posted,) = server.posted
    assert posted.json["data"]["sighting"]["id"] == IDS[1]
    assert posted.json["data"]["text"].startswith("Stranger 7 was seen again: a, ")


def grouped(folder: Path, id_: str, number: int) -> None:
    """As the grouper does."""
    from jetstream.sightings import changes

    with database.opened(folder, write=True) as connection, database.transaction(connection):
        connection.execute("INSERT OR IGNORE INTO strangers (id, first_ns) VALUES (?, 0)", (number,))
        connection.execute("UPDATE sightings SET stranger = ? WHERE id = ?", (number, id_))
        changes.add(connection, "stranger", id_)


def test_camera_that_gives_no_frames_is_told_and_told_again_when_it_does(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "camera_down", down_s=60)
    with running(config) as run:
        begun_ns = time.monotonic_ns()
        for after_s, newest_s in ((1, 0), (61, 0), (62, 0), (70, 69), (71, 70)):
            run.turn(status=camera_status(begun_ns, after_s, newest_s))
        run.until(lambda: not waiting(config) and len(server.posted) == 2)

    assert told(server) == [("camera_down", None), ("camera_up", None)]
    assert server.posted[0].json["data"]["text"].startswith("Camera a gives no frames, ")


def camera_status(begun_ns: int, after_s: float, newest_s: float) -> Status:
    levels = {"newest a": begun_ns + round(newest_s * 1e9)}
    return status(beat("track", levels=levels), turn_ns=begun_ns + round(after_s * 1e9))


def test_picture_is_sent_where_it_is_asked_for(server: Receiver, tmp_path: Path) -> None:
    import base64

    config = of(server, tmp_path, "exit", looks=True)
    sent_of(config, server, [at(second, face(IDS[0], "Ada")) for second in range(3)], rings=pictures(config))

    assert base64.b64decode(server.posted[0].json["data"]["look"])[:3] == b"\xff\xd8\xff"
    plain = of(server, tmp_path / "b", "exit")
    sent_of(plain, server, [at(0, face(IDS[0], "Ada"))])
    assert server.posted[-1].json["data"]["look"] is None


def test_what_happened_while_nothing_ran_is_told_after_the_start(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter")
    record(config, [at(0)])
    with running(config):
        pass
    record(config, [at(0, face(IDS[0], "Ada"))])
    with running(config) as run:
        run.until(lambda: server.posted)
    with running(config) as run:
        run.turn()

    assert told(server) == [("enter", "Ada")]


def test_what_is_a_day_old_is_not_told(server: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = of(server, tmp_path, "enter", "unknown")
    record(config, [at(0)])
    with running(config):
        pass
    record(config, [at(0, face(IDS[0], "Ada"), face(IDS[1]))])
    with running(config, later_s=90_000) as run:
        run.turn(later_s=90_000)
        assert (waiting(config), counts(config).dropped) == ([], 0)

    assert caplog.text == ""


def test_history_is_not_told_when_alerts_are_new(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter", "exit", "unknown")
    record(config, [at(0, face(IDS[0], "Ada"))])
    with running(config) as run:
        run.turn(later_s=LATER_S)
        assert waiting(config) == []


def test_crash_between_the_file_and_the_note_tells_nothing_twice(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter")
    record(config, [at(0)])
    note = Path(config.sightings.dir, "alerts.json")
    with running(config):
        before = note.read_bytes()
    sent_of(config, server, [at(0, face(IDS[0], "Ada"))])
    note.write_bytes(before)
    with running(config) as run:
        run.turn()
        assert waiting(config) == []

    assert told(server) == [("enter", "Ada")]


def test_receiver_that_hangs_holds_up_its_own_alert_alone(server: Receiver, tmp_path: Path) -> None:
    with receiver(hangs) as stuck:
        tables = (
            alert("stuck", "enter", webhook=stuck.url, send_timeout_s=1),
            alert("a", "enter", webhook=server.url),
        )
        config = alerting(tmp_path, *tables)
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"), face(IDS[1], "Bob"))])
            run.until(lambda: len(server.posted) == 2)
            assert [one.alert for one in waiting(config)] == ["stuck", "stuck"]

    assert len(stuck.posted) == 1, "one try at a time"


def test_failed_try_is_repeated_with_the_same_id_and_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with receiver(says(500, 503, 200)) as server:
        config = of(server, tmp_path, "enter", "exit")
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"))])
            run.until(lambda: len(server.posted) == 1)
            run.until(lambda: len(server.posted) == 2, later_s=20)
            run.until(lambda: not waiting(config), later_s=60)

    ids = [one.headers["webhook-id"] for one in server.posted]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [kind for kind, _ in told(server)] == ["enter", "enter", "enter", "exit"]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("jetstream.alerts")]
    assert said == [
        "alert a: can't be sent: it answered HTTP 500; it is tried again for 24 h",
        "alert a: is sent again; 0 were dropped",
    ]


def test_clock_that_is_set_back_holds_up_nothing(tmp_path: Path) -> None:
    with receiver(says(500, 200)) as server:
        config = of(server, tmp_path, "enter")
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"))])
            run.until(lambda: counts(config).fault, later_s=80_000)
            run.until(lambda: not waiting(config))

    assert len(server.posted) == 2


def test_message_that_is_refused_does_not_hold_up_the_next(tmp_path: Path) -> None:
    with receiver(says(422, 422, 422, 200)) as server:
        config = of(server, tmp_path, "enter", "exit")
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"))])
            run.until(lambda: not waiting(config), each_s=10.0)

    assert counts(config).dropped == 1
    assert told(server)[-1] == ("exit", "Ada")


def test_outbox_is_bounded_in_count_and_age(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiver(says(500)) as server:
        config = of(server, tmp_path, "enter", "exit", "unknown")
        record(config, [at(0)])
        with running(config) as run:
            for number in range(MOST_WAITING // 2 + 5):
                id_ = f"01M8JFTDB6GVM5814RJ1{number:06d}"
                record(config, [at(number * 100, face(id_, "Ada"))]) if number % 100 == 0 else add_change(config, id_)
            run.until(lambda: counts(config).dropped == 10)
            assert len(waiting(config)) == MOST_WAITING
            run.until(lambda: not waiting(config), later_s=86_500.0)

    assert counts(config).dropped == MOST_WAITING + 10
    assert caplog.text.count("the oldest are dropped") == 1
    assert caplog.text.count("couldn't be sent for 24 h") == 1


def add_change(config: Config, id_: str) -> None:
    """An enter and an exit, without the time that recording takes."""
    from jetstream.sightings.writer import OpenSighting, SightingQueue

    queue = SightingQueue()
    sighting = OpenSighting(id_, "a", "a", "Ada", WALL_NS, WALL_NS, 0.0, 0.0)
    queue.put(sighting, "enter")
    queue.put(sighting, "exit")
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        queue.write(connection)


def test_person_who_is_forgotten_meanwhile_is_not_told(tmp_path: Path) -> None:
    with receiver(says(500, 200)) as server:
        config = of(server, tmp_path, "enter")
        record(config, [at(0)])
        with running(config) as run:
            record(config, [at(0, face(IDS[0], "Ada"), face(IDS[1], "Bob"))])
            run.until(lambda: server.posted and counts(config).fault)
            erasure.erase(["Ada"], Path(config.sightings.dir))
            run.until(lambda: not waiting(config), later_s=60)

    assert told(server)[1:] == [("enter", "Bob")]


def test_damaged_file_is_kept_beside_a_new_one(
    server: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = of(server, tmp_path, "enter")
    record(config, [at(0)])
    with running(config):
        pass
    path = alert_file.path_in(Path(config.sightings.dir))
    path.write_bytes(b"no database" * 1000)
    with running(config) as run:
        record(config, [at(0, face(IDS[0], "Ada"))])
        run.until(lambda: server.posted)

    assert "is damaged" in caplog.text
    assert len(list(path.parent.glob("alerts.db.damaged-*"))) == 1


def test_locked_file_is_waited_for_and_said_once(
    server: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_file, "WAIT_S", 0.05)
    config = of(server, tmp_path, "enter")
    record(config, [at(0)])
    with running(config) as run:
        with contextlib.closing(sqlite3.connect(alert_file.path_in(Path(config.sightings.dir)))) as other:
            other.execute("BEGIN IMMEDIATE")
            record(config, [at(0, face(IDS[0], "Ada"))])
            for _ in range(3):
                run.turn(passed_s=3.0)
            assert server.posted == []
        run.until(lambda: server.posted)

    assert caplog.text.count("alerts wait, and everything else goes on") == 1


def test_full_disk_loses_no_alert(server: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = of(server, tmp_path, "enter")
    record(config, [at(0)])
    with running(config) as run:
        record(config, [at(0, face(IDS[0], "Ada"))])
        with files_of_at_most(0):
            for _ in range(3):
                run.turn(passed_s=3.0)
        assert server.posted == []
        run.until(lambda: server.posted)

    assert told(server) == [("enter", "Ada")]
    assert caplog.text.count("alerts wait, and everything else goes on") == 1


def test_second_pipeline_on_the_folder_sends_nothing(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter")
    record(config, [at(0)])
    with running(config) as first, running(config) as second:
        record(config, [at(0, face(IDS[0], "Ada"))])
        for _ in range(3):
            second.turn(passed_s=3.0)
        assert server.posted == []
        first.until(lambda: server.posted)


def test_file_is_private_and_holds_no_name(server: Receiver, tmp_path: Path) -> None:
    config = of(server, tmp_path, "enter", "named", cooldown_s=600)
    sent_of(config, server, [at(0, face(IDS[0], "Zoë"))])

    for path in Path(config.sightings.dir).glob("alerts.db*"):
        assert os.stat(path).st_mode & 0o077 == 0, path
        assert "Zoë".encode() not in path.read_bytes()


def test_dry_run_tells_what_was_told(server: Receiver, tmp_path: Path) -> None:
    kinds = ("enter", "exit", "named", "unknown", "stranger_again")
    config = alerting(
        tmp_path,
        alert("a", *kinds, webhook=server.url, unknown_after_s=0.0),
        alert("b", "enter", webhook=server.url, who=["Bob"], cooldown_s=600),
    )
    begun_ns = time.time_ns()
    frames = [
        at(0, face(IDS[0], "Ada"), face(IDS[1])),
        at(1, face(IDS[0], "Ada"), face(IDS[1], "Bob")),
        at(50, ended=(IDS[0], IDS[1])),
        at(60, face(IDS[2])),
    ]
    record(config, [at(0)])
    live: list[tuple[str, str, str]] = []
    with receiver(says(500)) as failing:
        broken = alerting(tmp_path, *({**one, "webhook": failing.url} for one in _tables(config)))
        with running(broken) as run:
            record(config, frames)
            grouped(Path(config.sightings.dir), IDS[2], 7)
            run.turn(later_s=LATER_S)
            live = [(one.alert, one.kind, one.sighting) for one in waiting(config)]
    with database.opened(Path(config.sightings.dir)) as connection:
        past = dry_run.told(config.alerts, connection, from_ns=begun_ns, to_ns=time.time_ns() + 10**12)

    assert sorted((one.alert, one.occasion.kind, one.occasion.sighting) for one in past) == sorted(live)
    assert len(live) > 6


def _tables(config: Config) -> list[dict[str, Any]]:
    import msgspec

    return [msgspec.to_builtins(one) for one in config.alerts]
