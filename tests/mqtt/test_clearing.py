"""`jetstream forget` and the broker: nothing of the person is left there, whoever runs and whenever it is reached."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import cv2
import msgspec
import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.sightings import erasure
from tests.support.brokers import Broker, held
from tests.support.inside import Inside
from tests.support.sightings import IDS, at, face, record
from tests.support.telling import Told, settings
from tests.support.waiting import PATIENCE_S

NOTE = "sightings/mqtt-retained.json"


@pytest.fixture
def jetstream(tmp_path: Path, models_dir: Path) -> Inside:
    return Inside(tmp_path, models_dir)


@pytest.fixture
def config(tmp_path: Path, broker: Broker, portraits: dict[str, np.ndarray], own_models: Path) -> Config:
    """Zoë and Bob have photos and sightings, and the broker was told of both."""
    config = settings(tmp_path, broker.address)
    for name, image in zip(("Zoë", "Bob"), portraits.values(), strict=True):
        (tmp_path / "faces" / name).mkdir()
        cv2.imwrite(str(tmp_path / "faces" / name / "1.jpg"), image)
    record(config, [at(1, face(IDS[0], "Zoë"), face(IDS[1], "Bob", track_id=2), camera="door")])
    return config


@contextmanager
def told_in_a_thread(config: Config) -> Iterator[None]:
    """As by the sidecar of a pipeline, from when the broker has everything."""
    settled, over = Event(), Event()

    def tell() -> None:
        told = Told(config)
        told.settle()
        settled.set()
        told.until(over.is_set)
        told.close()

    thread = Thread(target=tell)
    thread.start()
    assert settled.wait(PATIENCE_S)
    try:
        yield
    finally:
        over.set()
        thread.join()


def forget(jetstream: Inside, config: Config) -> "subprocess.CompletedProcess[str]":
    (jetstream.folder / "home.toml").write_text(
        f'[mqtt]\nenabled = true\nbroker = "{config.mqtt.broker}"\nclient_id = "jetstream-test"\n'
        f'[models]\ndir = "models"\n[[cameras]]\nname = "yard"\nsource = "demo"\n'
    )
    run_dir = f"pipeline.run_dir={jetstream.run_dir}"
    return jetstream("forget", "Zoë", "--config", "home.toml", "--yes", "--set", run_dir)


def of_zoe(broker: Broker) -> list[str]:
    return [topic for topic, payload in held(broker).items() if b"zo" in topic.encode() or "Zoë".encode() in payload]


def test_broker_is_cleared_and_searched_while_no_pipeline_runs(
    config: Config, broker: Broker, jetstream: Inside
) -> None:
    told = Told(config)
    told.settle()
    told.close()
    assert len(of_zoe(broker)) == 3, "two topics and the discovery"

    result = forget(jetstream, config)

    assert result.returncode == 0, result.stderr
    assert "verified gone from " in result.stdout and broker.address in result.stdout  # noqa: PT018
    assert of_zoe(broker) == []
    kept = held(broker)
    assert "jetstream/person/bob/area" in kept
    assert "jetstream/camera/door/people" in kept, "a camera of the run, which the command doesn't know"
    assert kept["jetstream/status"] == b"offline"
    assert b"zo" not in (jetstream.folder / NOTE).read_bytes()


def test_running_pipeline_clears_it(config: Config, broker: Broker, jetstream: Inside) -> None:
    with told_in_a_thread(config):
        result = forget(jetstream, config)

        assert result.returncode == 0, result.stderr
        assert broker.address in result.stdout
        assert of_zoe(broker) == []
        assert held(broker)["jetstream/status"] == b"online"


def test_broker_that_is_away_is_said_and_cleared_at_the_next_connection(
    config: Config, broker: Broker, jetstream: Inside
) -> None:
    told = Told(config)
    told.settle()
    told.close()
    broker.stop()

    result = forget(jetstream, config)

    assert result.returncode == 0, "everything on this machine is erased"
    sentence = f"{broker.address}: still holds what it was told of Zoë (can't be reached (Connection refused)); "
    assert sentence in result.stderr
    assert broker.address not in result.stdout
    broker.start()
    assert len(of_zoe(broker)) == 3
    again = Told(config)
    again.settle()
    assert of_zoe(broker) == []
    assert b"zo" not in (jetstream.folder / NOTE).read_bytes()
    again.close()


def test_what_waits_for_the_broker_of_a_forgotten_person_is_never_told(config: Config, broker: Broker) -> None:
    told = Told(config)
    told.settle()
    broker.stop()
    told.until(lambda: not told.teller.connection.is_open)
    record(config, [at(100, face(IDS[2], "Zoë"), camera="door"), at(200, camera="door", ended=IDS[2:])])
    told.until(lambda: told.teller.connection.failures > 1)
    erasure.erase(["Zoë"], Path(config.sightings.dir))
    broker.start()
    sent = list[bytes]()
    before = told.teller.connection.send

    def send(topic: str, payload: bytes, now_s: float, *, retain: bool) -> int:
        if not retain:
            sent.append(payload)
        return before(topic, payload, now_s, retain=retain)

    told.teller.connection.send = send  # type: ignore[method-assign]
    told.settle()

    assert [msgspec.json.decode(payload) for payload in sent] == []
    told.close()
