"""What a real broker hears of sightings: events once and in order, states as they are, over losses of either side."""

import signal
from pathlib import Path

import msgspec
import pytest

from jetstream.sightings import changes, database, erasure
from tests.support.brokers import Broker, Ears, broker_in, held
from tests.support.sightings import IDS, WALL_NS, at, face, pictures, record
from tests.support.telling import Told, settings, write_enters

EVENT, SIGHTING = "jetstream/camera/door/event", "jetstream/sighting"


def visits(config: object, count: int, first: int = 0) -> None:
    """So many people, one after the other: an `enter` and an `exit` each."""
    seen = [at(10.0 * number, face(f"{first + number:026}", "Ada"), camera="door") for number in range(count)]
    frames = [one for frame in seen for one in (frame, at(frame.frame.pts_s + 5, camera="door", ended=_ids(frame)))]
    record(config, frames)  # type: ignore[arg-type]


def _ids(frame: object) -> tuple[str, ...]:
    return tuple(one.sighting for one in frame.faces)  # type: ignore[attr-defined]


def seqs(ears: Ears, topic: str = SIGHTING) -> list[int]:
    return [message["seq"] for message in ears.told(topic)]


def test_visit_is_events_states_and_a_sensor(tmp_path: Path, broker: Broker, ears: Ears) -> None:
    config = settings(tmp_path, broker.address)
    told = Told(config)
    told.settle()
    stranger, ada = face(IDS[0]), face(IDS[0], "Ada Lovelace")

    record(config, [at(1, stranger, camera="door"), at(2, ada, camera="door"), at(9, camera="door", ended=IDS[:1])])
    told.until(lambda: len(ears.told(SIGHTING)) == 3)
    told.settle()

    events = ears.told(EVENT)
    assert [(one["event_type"], one["name"], one["person"]) for one in events] == [
        ("unknown", None, None),
        ("named", "Ada Lovelace", "ada_lovelace"),
        ("exit", "Ada Lovelace", "ada_lovelace"),
    ]
    assert [one["type"] for one in ears.told(SIGHTING)] == ["new", "update", "end"]
    assert [one["seq"] for one in events] == [1, 2, 3]
    kept = held(broker)
    assert not {EVENT, SIGHTING} & kept.keys(), "an event that is retained would happen again"
    assert kept["jetstream/person/ada_lovelace/area"] == b"not_seen", "years ago"
    assert msgspec.json.decode(kept["jetstream/person/ada_lovelace"])["sighting"] == IDS[0]
    assert kept["jetstream/status"] == b"online"
    components = msgspec.json.decode(kept["homeassistant/device/jetstream/config"])["components"]
    assert components["person_ada_lovelace"]["name"] == "Ada Lovelace"
    told.close()
    assert held(broker, "jetstream/status") == {"jetstream/status": b"offline"}


def test_states_say_who_is_there_now(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(tmp_path, broker.address)
    (tmp_path / "faces" / "Bob").mkdir()
    record(
        config,
        [at(0, face(IDS[0], "Ada"), face(IDS[1], track_id=2), camera="door"), at(1, camera="door")],
        ended=False,
    )

    monkeypatch.setattr("time.time_ns", lambda: WALL_NS + 2_000_000_000)
    told = Told(config)
    told.settle()

    kept = held(broker, "jetstream/#")
    people = msgspec.json.decode(kept["jetstream/camera/door/people"])
    assert (people["names"], people["unknown"]) == (["Ada"], 1)
    assert kept["jetstream/camera/door/unknown"] == b"ON"
    assert kept["jetstream/strangers"] == b"1"
    assert kept["jetstream/person/ada/area"] == b"door"
    assert kept["jetstream/person/bob/area"] == b"not_seen", "who has photos and was never seen"
    told.close()


def test_what_happens_while_the_broker_is_away_is_told_once_in_order(
    tmp_path: Path, broker: Broker, ears: Ears, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(tmp_path, broker.address)
    told = Told(config)
    told.settle()
    broker.stop()
    told.until(lambda: not told.teller.connection.is_open)
    visits(config, 20)
    told.until(lambda: told.teller.connection.failures > 2)
    broker.start()

    told.until(lambda: len(ears.told(SIGHTING)) >= 40)
    told.settle()

    assert seqs(ears) == list(range(1, 41))
    assert seqs(ears, EVENT) == list(range(1, 41))
    assert sum("tried again" in line for line in caplog.messages) <= 3, "once for each reason"
    told.close()


def test_broker_that_is_killed_at_random_loses_nothing(tmp_path: Path, broker: Broker) -> None:
    """What it has confirmed and forgets is its own: here counts what it has confirmed."""
    config = settings(tmp_path, broker.address)
    told = Told(config)
    told.settle()
    confirmed = list[int]()
    outbox, accepted = told.teller._outbox, told.teller._outbox.accepted

    def counted() -> None:
        topic, payload = outbox.current(0.0) or ("", b"")
        if topic == EVENT:
            confirmed.append(msgspec.json.decode(payload)["seq"])
        accepted()

    outbox.accepted = counted  # type: ignore[method-assign]
    write_enters(config, 400)
    for mark in (1, 99, 170, 350):
        told.until(lambda mark=mark: len(confirmed) >= mark)
        broker.kill()
        told.until(lambda: not told.teller.connection.is_open)
        broker.start()
    told.until(lambda: len(confirmed) >= 400)
    told.settle()

    assert confirmed == list(range(1, 401))
    told.close()


def test_restart_of_the_teller_goes_on_where_it_was(tmp_path: Path, broker: Broker, ears: Ears) -> None:
    config = settings(tmp_path, broker.address)
    first = Told(config)
    first.settle()
    visits(config, 5)
    first.until(lambda: len(ears.told(SIGHTING)) >= 4)
    first.teller.connection._client = None  # as one that is killed: nothing is said and nothing is closed in order
    first.teller._outbox.queue.close()
    second = Told(config)
    second.until(lambda: 10 in seqs(ears))
    second.settle()

    told = seqs(ears, EVENT)
    assert sorted(set(told)) == list(range(1, 11))
    assert len(told) <= 11, "one message may come twice, with the same number"
    assert told == sorted(told)
    second.close()


def test_changes_that_are_gone_are_counted(
    tmp_path: Path, broker: Broker, ears: Ears, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(changes, "KEPT", 6)
    config = settings(tmp_path, broker.address)
    told = Told(config)
    told.settle()
    broker.stop()
    told.until(lambda: not told.teller.connection.is_open)
    visits(config, 5)
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        changes.drop_old(connection)
    broker.start()

    told.until(lambda: len(ears.told(SIGHTING)) >= 6)
    told.settle()

    assert seqs(ears) == list(range(5, 11))
    assert told.teller.untold == 4
    assert any("4 changes of sightings were never told" in line for line in caplog.messages)
    told.close()


def test_home_assistant_that_starts_gets_the_devices_again(tmp_path: Path, broker: Broker, ears: Ears) -> None:
    told = Told(settings(tmp_path, broker.address))
    told.settle()
    topic = "homeassistant/device/jetstream_camera_door/config"
    before = sum(one == topic for one, _ in ears.messages)

    ears.say("homeassistant/status", "online")
    told.until(lambda: sum(one == topic for one, _ in ears.messages) > before)

    told.close()


def test_broker_without_its_memory_is_told_everything_again(tmp_path: Path, broker: Broker) -> None:
    told = Told(settings(tmp_path, broker.address))
    told.settle()
    before = held(broker)
    broker.kill()
    for file in (broker.folder / "store").iterdir():
        file.unlink()
    told.until(lambda: not told.teller.connection.is_open)
    broker.start()
    told.until(lambda: told.teller.connection.number == 2)
    told.settle()

    assert held(broker) == before
    told.close()


def test_camera_that_is_gone_from_the_config_is_cleared(tmp_path: Path, broker: Broker) -> None:
    first = Told(settings(tmp_path, broker.address, "door", "yard"))
    first.settle()
    first.close()
    assert any("yard" in topic for topic in held(broker))

    second = Told(settings(tmp_path, broker.address, "door"))
    second.settle()

    assert [topic for topic in held(broker) if "yard" in topic] == []
    second.close()


def test_broker_that_hangs_holds_nothing_up_and_is_left(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetstream.mqtt.connection.ANSWER_S", 0.5)
    config = settings(tmp_path, broker.address)
    told = Told(config)
    told.settle()
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)
    visits(config, 1)

    told.until(lambda: "no answer" in told.teller.connection.why)
    broker.process.send_signal(signal.SIGCONT)
    told.until(lambda: told.teller.connection.number == 2)
    told.settle()

    told.close()


def test_topics_that_its_user_may_not_write_are_said_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:

    rules = tmp_path / "rules"
    rules.write_text("topic read #\ntopic write jetstream/status\ntopic write jetstream/camera/#\n")
    with broker_in(tmp_path / "strict", "allow_anonymous true", f"acl_file {rules}") as broker, caplog.at_level("INFO"):
        config = settings(tmp_path, broker.address)
        told = Told(config)
        told.until(lambda: told.teller.connection.is_open)
        visits(config, 1)
        told.until(lambda: told.teller.untold == 2)
        told.settle()

        assert any("refuses a message: Not authorized" in line for line in caplog.messages)
        assert held(broker, "jetstream/#")["jetstream/camera/door/unknown"] == b"OFF", "the others are told"
        told.close()


def test_face_of_the_last_sighting_is_a_picture_until_it_is_forgotten(tmp_path: Path, broker: Broker) -> None:
    config = settings(tmp_path, broker.address, faces=True)
    seen = [at(second / 2, face(IDS[0], "Ada"), camera="door") for second in range(6)]
    record(config, seen, pictures(config))
    told = Told(config)
    told.settle()
    (file,) = held(broker, "jetstream/camera/door/face").values()
    assert file.startswith(b"\xff\xd8")

    erasure.erase(["Ada"], Path(config.sightings.dir))
    told.teller._has_news = True
    told.settle()

    assert held(broker, "jetstream/camera/door/face") == {}
    told.close()
