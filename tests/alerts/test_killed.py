"""The sidecar in a process of its own, killed at any moment."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.sighting import Sighting
from jetstream.sightings import database, reader
from tests.support.alerts import alert, alerting, running, waiting
from tests.support.receivers import Receiver, receiver, says
from tests.support.repository import REPOSITORY
from tests.support.sightings import at, face, record
from tests.support.waiting import wait_until

SIDECAR = """
import itertools, sys
import msgspec
from jetstream.config.schema import Config
from jetstream.messages import Tick
from jetstream.stages.alerts import alerts
alerts(itertools.repeat(Tick()), msgspec.json.decode(sys.stdin.buffer.read(), type=Config))
"""
VISITS = 60


@contextlib.contextmanager
def sidecar(config: Config) -> Iterator["subprocess.Popen[bytes]"]:
    """The sidecar at work; killed at the end of the block."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", SIDECAR], stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(config))
        process.stdin.close()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def id_of(number: int) -> str:
    return f"01M8JFTDB6GVM5814RJ{number:07d}"


def started(folder: Path, server: Receiver) -> Config:
    """A config whose alerts have begun, so that what follows is told."""
    run_dir = folder / "run"
    run_dir.mkdir(mode=0o700)
    told = alert("a", "enter", "exit", webhook=server.url)
    config = alerting(folder, told, pipeline={"run_dir": str(run_dir)})
    record(config, [at(0)])
    with running(config):
        pass
    return config


def test_delivery_whose_answer_was_not_noted_is_sent_again_with_its_id(tmp_path: Path) -> None:
    def answer(connection: socket.socket, number: int) -> None:
        if number == 0:
            connection.recv(1)  # the process is killed meanwhile
        else:
            says(200)(connection, number)

    with receiver(answer) as server:
        config = started(tmp_path, server)
        record(config, [at(0, face(id_of(0), "Ada"))], ended=False)
        with sidecar(config):
            wait_until(lambda: server.posted)
        with sidecar(config):
            wait_until(lambda: not waiting(config))

    first, again = server.posted
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.json["data"] == again.json["data"]


@pytest.mark.parametrize("seed", [1, 2])
def test_each_change_is_told_with_one_id_and_in_order_whenever_the_sidecar_is_killed(tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    with receiver(says(200)) as server:
        config = started(tmp_path, server)
        for start in range(0, VISITS, 10):
            with sidecar(config):
                visits = range(start, start + 10)
                record(config, [at(number * 100, face(id_of(number), "Ada")) for number in visits])
                time.sleep(moments.uniform(0.2, 0.9))
        with sidecar(config):
            wait_until(lambda: {(one.json["data"]["sighting"]["id"]) for one in server.posted} >= set(all_ids()))
            wait_until(lambda: not waiting(config))

    ids = defaultdict(set)
    order: list[tuple[str, str]] = []
    for one in server.posted:
        key = (one.json["data"]["sighting"]["id"], one.json["type"])
        ids[key].add(one.headers["webhook-id"])
        order += [key] if key not in order else []
    assert {len(some) for some in ids.values()} == {1}, "evaluated once"
    assert order == changes_of(config), "all, and in order"


def changes_of(config: Config) -> list[tuple[str, str]]:
    with database.opened(Path(config.sightings.dir)) as connection:
        found = reader.changes_after(connection, 0)
    return [(msgspec.json.decode(body, type=Sighting).id, change) for _, _, change, body in found]


def all_ids() -> list[str]:
    return [id_of(number) for number in range(VISITS)]
