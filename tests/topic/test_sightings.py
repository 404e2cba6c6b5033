"""`sighting` messages from the database through a real socket to a subscriber."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.ipc.rings import Rings
from jetstream.messages import Finished, Tick, Tracked
from jetstream.sighting import SightingMessage
from jetstream.stages.publish import publish
from jetstream.topic import subscriber
from jetstream.topic.publisher import Topic
from tests.support.command import free_port
from tests.support.sightings import IDS, at, config_with, face, record
from tests.support.waiting import wait_until


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_with(tmp_path, "a", "b", "bb", publish={"endpoint": f"tcp://127.0.0.1:{free_port()}"})


class ListeningSubscriber:
    """What `jetstream subscribe --sightings` hears, in a thread of its own."""

    def __init__(self, config: Config, camera: str = "") -> None:
        self.heard: list[SightingMessage] = []
        self._source = subscriber.sightings(config.publish.endpoint, camera)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for message in self._source:
            self.heard.append(message)

    def changes(self) -> list[tuple[int, str]]:
        return [(message.seq, message.change) for message in self.heard]


def test_publish_tells_the_changes_in_the_database(config: Config) -> None:
    record(config, [at(0)])
    everywhere, at_b = ListeningSubscriber(config), ListeningSubscriber(config, "b")
    frames = [at(0, face(IDS[0], "Ada")), at(1, face(IDS[1]), camera="bb"), at(2, face(IDS[2]), camera="b")]

    def messages() -> Iterator[Tracked | Tick]:
        recorded = False
        while len(everywhere.heard) < 6 or len(at_b.heard) < 2:
            yield Tick()
            if not recorded and _is_connected():
                record(config, frames)
                recorded = True
            threading.Event().wait(0.02)

    beats: list[int] = []

    def _is_connected() -> bool:
        beats.append(1)
        return len(beats) > 25  # half a second: subscriptions travel on their own

    finished = [message for message in publish(messages(), Rings({}), config) if isinstance(message, Finished)]

    assert finished == []
    assert [seq for seq, _ in everywhere.changes()] == [1, 2, 3, 4, 5, 6]
    assert [message.sighting.id for message in at_b.heard] == [IDS[2], IDS[2]], "not those of bb"


def test_repeated_number_and_other_bytes_are_left_out(config: Config) -> None:
    record(config, [at(0)])
    listening = ListeningSubscriber(config)
    topic = Topic(config.publish)
    message = _message(1)
    wait_until(lambda: bool(topic.send(b"sighting.a", msgspec.msgpack.encode(message)) or listening.heard))
    for body in (b"\xff", b"", msgspec.msgpack.encode({"seq": 9}), msgspec.msgpack.encode(_message(1))):
        topic.send(b"sighting.a", body)
    topic.send(b"sighting.a", msgspec.msgpack.encode(_message(2)))
    wait_until(lambda: len(listening.heard) >= 2)
    topic.close()

    assert [one.seq for one in listening.heard] == [1, 2]


def _message(seq: int) -> SightingMessage:
    from jetstream.sighting import Sighting

    sighting = Sighting(
        id=IDS[0],
        camera="a",
        area="a",
        state="open",
        name="Ada",
        machine_name="Ada",
        stranger=None,
        begin="2026-11-28T21:06:39.000Z",
        end="2026-11-28T21:06:39.000Z",
        begin_s=0.0,
        end_s=0.0,
        confidence=0.9,
        correction="",
    )
    return SightingMessage(1, 7, seq, "enter", "2026-11-28T21:06:39.000Z", sighting)
