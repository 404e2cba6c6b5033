"""The changes that a reader hasn't handled: what it gives again, and what another reader has to do with it."""

from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.sightings.change_queue import MOST_AT_ONCE, ChangeQueue
from tests.support.sightings import IDS, at, config_with, face, record


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = config_with(tmp_path)
    record(config, [at(0)])
    return config


def numbers(queue: ChangeQueue, now_s: float) -> list[int]:
    return [message.seq for message in queue.look(now_s)]


def test_what_is_not_done_is_given_again_when_asked_for(config: Config) -> None:
    queue = ChangeQueue(Path(config.sightings.dir), "mqtt")
    assert numbers(queue, 0.0) == []
    record(config, [at(0, face(IDS[0])), at(1, face(IDS[0], "Ada"))])
    first, *_ = queue.look(1.0)
    assert numbers(queue, 2.0) == []

    queue.done(first)
    queue.rewind()

    assert numbers(queue, 3.0) == [2, 3]
    queue.close()


def test_what_is_not_done_is_given_after_a_restart(config: Config) -> None:
    queue = ChangeQueue(Path(config.sightings.dir), "mqtt")
    queue.look(0.0)
    record(config, [at(0, face(IDS[0]))])
    first, *_ = queue.look(1.0)
    queue.done(first)
    queue.close()

    again = ChangeQueue(Path(config.sightings.dir), "mqtt")

    assert numbers(again, 0.0) == [2]
    again.close()


def test_what_happened_since_the_first_reader_was_made_is_given(config: Config) -> None:
    """A stage may begin to write before a process that starts with it has opened the database."""
    record(config, [at(0, face(IDS[0]))])
    queue = ChangeQueue(Path(config.sightings.dir), "alerts")
    record(config, [at(100, face(IDS[1]))])

    assert numbers(queue, 0.0) == [3, 4]
    queue.close()


def test_readers_go_on_independently(config: Config) -> None:
    mqtt, alerts = (ChangeQueue(Path(config.sightings.dir), name) for name in ("mqtt", "alerts"))
    mqtt.look(0.0)
    alerts.look(0.0)
    record(config, [at(0, face(IDS[0]))])

    mqtt.done(mqtt.look(1.0)[-1])

    assert numbers(alerts, 1.0) == [1, 2]
    mqtt.close()
    alerts.close()


def test_more_than_one_look_gives_come_in_the_next_ones(config: Config) -> None:
    queue = ChangeQueue(Path(config.sightings.dir), "mqtt")
    queue.look(0.0)
    for second in range(MOST_AT_ONCE):
        record(config, [at(second * 100, face(f"{second:026d}"))])

    given = [numbers(queue, 1.0), numbers(queue, 1.0), numbers(queue, 1.0)]

    assert [len(some) for some in given] == [MOST_AT_ONCE, MOST_AT_ONCE, 0]
    assert [number for some in given for number in some] == list(range(1, 2 * MOST_AT_ONCE + 1))
    queue.close()
