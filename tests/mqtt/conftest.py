"""A broker and a teller of sightings, which turns until something is so."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jetstream.config.schema import Config
from jetstream.mqtt.teller import BrokerTeller
from tests.support.brokers import Broker, Ears, broker_in
from tests.support.sightings import at, config_with, record
from tests.support.waiting import wait_until


class Told:
    """A teller of the sightings in a folder."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.teller = BrokerTeller(config)

    def until(self, is_so: Callable[[], object]) -> None:
        def turned() -> bool:
            self.teller.turn(time.monotonic(), 0.05)
            return bool(is_so())

        wait_until(turned)

    def settle(self) -> None:
        """Until the broker has everything."""
        teller = self.teller
        self.until(
            lambda: (
                teller.connection.is_open
                and teller.retained.is_settled
                and teller.retained.devices
                and not teller.has_more
            )
        )

    def close(self) -> None:
        self.teller.close(time.monotonic())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def ears(broker: Broker) -> Iterator[Ears]:
    ears = Ears(broker)
    yield ears
    ears.close()


def settings(tmp_path: Path, address: str, *cameras: str, **mqtt: Any) -> Config:
    """A config whose sightings, of nobody yet, are told to a broker."""
    faces = tmp_path / "faces"
    faces.mkdir(exist_ok=True)
    told = {"enabled": True, "broker": address, "client_id": "jetstream-test", **mqtt}
    recognize = {"faces": str(faces)}
    config = config_with(tmp_path, *(cameras or ("door",)), mqtt=told, recognize=recognize, pipeline={"run_dir": "run"})
    record(config, [at(0, camera=config.cameras[0].name)])
    return config
