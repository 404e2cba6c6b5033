"""`recognize.model` of a running pipeline, changed by a reload. Real processes, the demo's scene."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

from tests.support.command import Command
from tests.support.statuses import frames_flow
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.pipeline

KNOWN = "Eileen Collins"


def configured(path: Path, model: str) -> str:
    path.write_text(
        '[[cameras]]\nname = "demo"\nsource = "demo"\nloop = true\nfps = 10\n'
        f'[recognize]\nfaces = "demo"\nmodel = "{model}"\n'
    )
    return str(path)


class Listener:
    """Hears a pipeline's topic in the test's own thread."""

    def __init__(self, endpoint: str) -> None:
        self.events: list[dict] = []
        self.galleries: list[str] = []
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)

    def hear(self, until: Callable[[], bool]) -> None:
        """Take messages until it holds."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline_s, (self.galleries, self.events[-1:])
            if self._socket.poll(500):
                topic, body = self._socket.recv_multipart()
                told = msgpack.unpackb(body)
                if topic == b"gallery":
                    self.galleries += [told["hash"]] if told["hash"] not in self.galleries[-1:] else []
                elif topic.startswith(b"detections."):
                    self.events.append(told)

    def names_of(self, track_id: int) -> list[str | None]:
        tracks = (track for event in self.events for track in event["tracks"])
        return [track["name"] for track in tracks if track["track_id"] == track_id]

    def close(self) -> None:
        self._socket.close(linger=0)


@pytest.fixture
def own(tmp_path: Path, own_models: Path) -> Command:
    """With galleries of its own, which no other test trains."""
    return Command(tmp_path, own_models)


@pytest.fixture
def listener(own: Command) -> Iterator[Listener]:
    listener = Listener(own.endpoint)
    yield listener
    listener.close()


def test_running_pipeline_changes_its_network_and_back_without_losing_a_name(
    own: Command, listener: Listener, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    assert own("train", "--config", configured(config, "sface"), sets=True).returncode == 0
    with own.running(configured(config, "sface"), "--headless") as process:
        own.wait(frames_flow, process)
        listener.hear(lambda: any(KNOWN in names(event) for event in listener.events))
        assert own("train", "--config", configured(config, "dlib"), sets=True).returncode == 0
        for count, model in ((2, "dlib"), (3, "sface")):
            configured(config, model)
            process.send_signal(signal.SIGHUP)
            listener.hear(lambda count=count: len(listener.galleries) == count)
            heard = len(listener.events)
            listener.hear(lambda heard=heard: len(listener.events) > heard + 30)
        pids = [p for p in own.wait(lambda _: True, process).processes if p.restarts]

    assert pids == []
    assert listener.galleries[0] == listener.galleries[2] != listener.galleries[1]
    numbers = [event["frame_id"] for event in listener.events]
    assert numbers == sorted(set(numbers))
    followed = {track["track_id"] for event in listener.events for track in event["tracks"] if track["name"]}
    for track_id in followed:
        seen = listener.names_of(track_id)
        assert set(seen[seen.index(KNOWN) :]) == {KNOWN}
    assert own.log().count("config reloaded: took recognize.model (learn, recognize started again)") == 2


def names(event: dict) -> set[str | None]:
    return {track["name"] for track in event["tracks"]}
