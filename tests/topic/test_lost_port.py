"""The topic's port in another program's hands: the cameras go on without it, and the topic is back when it is free."""

import logging
import socket
import threading
from pathlib import Path

import pytest

from jetstream import startup
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.runtime.supervisor import Supervisor
from tests.support.command import free_port
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A camera and the topic, and nothing in between."""
    return load.build(
        {
            "cameras": [{"name": "demo", "source": "demo", "loop": True}],
            "recognize": {"watch_s": 0},
            "publish": {"endpoint": f"tcp://127.0.0.1:{free_port()}"},
            "metrics": {"enabled": False},
            "web": {"enabled": False},
            "render": {"window": False},
            "pipeline": {
                "run_dir": str(tmp_path / "run"),
                "without": ["detect", "track", "recognize"],
                "restarts": 0,
                "stop_timeout_s": 1.0,
            },
            "sightings": {"enabled": False},
        },
        where="test",
    )


def test_cameras_neither_wait_for_the_topics_port_nor_end_without_it(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jetstream")
    address = ("127.0.0.1", int(config.publish.endpoint.rpartition(":")[2]))
    greeted: list[bytes] = []
    ended = threading.Event()

    def told(words: str, times: int = 1) -> None:
        wait_until(lambda: ended.is_set() or caplog.text.count(words) >= times)

    def is_there() -> bool:
        try:
            with socket.create_connection(address, timeout=PATIENCE_S) as peer:
                greeted.append(peer.recv(1))
        except OSError:
            return False
        return True

    with startup.serve(config) as folder, socket.create_server(address) as other_program:
        supervisor = Supervisor(config, folder)

        def watch() -> None:
            try:
                told("running: capture.demo\n")
                told("publish: ended with exit code 2; starting it again", 2)
                other_program.close()
                wait_until(lambda: ended.is_set() or is_there())
            finally:
                supervisor.stop()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            supervisor.run()
        finally:
            ended.set()
            watcher.join()

    assert greeted == [b"\xff"], "a publisher's"
    assert "ended: 0 frames" not in caplog.text
