"""A pipeline that was started before jetstream was upgraded: what watches it says so, in one sentence."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from jetstream.config.schema import Config
from jetstream.enroll import live_track
from jetstream.errors import PipelineError
from jetstream.ipc.bus import endpoint
from jetstream.messages import Status
from jetstream.monitoring import trace
from jetstream.monitoring.status import statuses
from jetstream.runtime import run_dir
from jetstream.runtime.run_dir import RunDir
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S

OTHERS = msgspec.msgpack.encode({"type": "Status", "pid": 1, "new": "unheard of"})
SENTENCE = "run: another version of jetstream runs here; restart it$"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunDir]:
    """Of a pipeline that says what nobody here knows, all the time."""
    ended = threading.Event()
    with run_dir.claim(tmp_path / "run") as folder:
        folder.write(Config(), {})
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
        socket.bind(endpoint(folder.path, Status, "anyone"))

        def talk() -> None:
            while not ended.wait(0.02):
                socket.send(OTHERS)
            socket.close(linger=0)

        thread = threading.Thread(target=talk)
        thread.start()
        yield folder
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    "watch", [lambda path: next(statuses(path)), lambda path: trace.record(path, 0.1)], ids=["top", "trace"]
)
def test_status_of_another_version_is_one_sentence(watch: Callable[[Path], object], folder: RunDir) -> None:
    with pytest.raises(PipelineError, match=SENTENCE):
        watch(folder.path)


def test_config_of_another_version_is_one_sentence(folder: RunDir) -> None:
    (folder.path / "config.json").write_text('{"telescope": {}}')
    own = msgspec.structs.replace(
        Config(), pipeline=msgspec.structs.replace(Config().pipeline, run_dir=str(folder.path))
    )

    with pytest.raises(PipelineError, match=SENTENCE):
        live_track.running_config(own)


def test_process_that_an_upgrade_meets_says_it_in_one_sentence(folder: RunDir) -> None:
    (folder.path / "config.json").write_text('{"telescope": {}}')
    command = [sys.executable, "-m", "jetstream.runtime.worker", str(folder.path), "detect", str(os.getpid())]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S)
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, line.endswith(SENTENCE.rstrip("$"))) == (1, True), ended.stderr
    assert line.startswith("jetstream error detect: ")
