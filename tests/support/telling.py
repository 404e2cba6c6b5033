"""A teller of sightings, which turns until something is so."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jetstream.config.schema import Config
from jetstream.mqtt.teller import BrokerTeller
from jetstream.sightings import database
from jetstream.sightings.writer import OpenSighting, SightingQueue
from tests.support.sightings import WALL_NS, at, config_with, record
from tests.support.waiting import PATIENCE_S


class Told:
    """A teller of the sightings in a folder."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.teller = BrokerTeller(config)

    def until(self, is_so: Callable[[], object]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not is_so():
            self.teller.turn(time.monotonic(), 0.02)
            assert time.monotonic() < until_s, f"waited {PATIENCE_S:.0f} s in vain: {self.teller.connection.why}"

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


def settings(tmp_path: Path, address: str, *cameras: str, **mqtt: Any) -> Config:
    """A config whose sightings, of nobody yet, are told to a broker."""
    faces = tmp_path / "faces"
    faces.mkdir(exist_ok=True)
    told = {"enabled": True, "broker": address, "client_id": "jetstream-test", **mqtt}
    recognize = {"faces": str(faces)}
    config = config_with(tmp_path, *(cameras or ("door",)), mqtt=told, recognize=recognize, pipeline={"run_dir": "run"})
    record(config, [at(0, camera=config.cameras[0].name)])
    return config


def write_enters(config: Config, count: int) -> None:
    """So many people who come in, written at once."""
    queue = SightingQueue()
    for number in range(count):
        begin_ns = WALL_NS + number
        queue.put(OpenSighting(f"{number:026}", "door", "door", "Ada", begin_ns, begin_ns, 0.0, 0.0), "enter")
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        queue.write(connection)
