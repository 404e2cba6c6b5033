"""Serves what the supervisor and the machine report over HTTP: `/metrics`, `/healthz` and `/readyz`.

A separate process, so that no client and no driver that hangs delays the supervisor. Its work loop receives the
supervisor's status and reads the meters; threads answer from the last status, and report how old it is.
"""

import time
from collections.abc import Iterator

from jetstream.config.schema import Config, run_dir
from jetstream.messages import Tick
from jetstream.monitoring.meters import Meters, Readings
from jetstream.monitoring.server import LastStatus, serving
from jetstream.monitoring.status import heard, subscribed

TURN_MS = 100
"""longest wait between two ticks"""
READ_EVERY_S = 5.0
"""how often the meters are read: Prometheus asks every 15 s or so"""


def metrics(ticks: Iterator[Tick], config: Config) -> None:
    """Answer requests until the ticks end. Raises UserError when the endpoint can't be bound."""
    latest, meters, readings = LastStatus(config), Meters(config.record.dir), Readings()
    next_s = 0.0
    with subscribed(run_dir(config)) as socket, serving(config.metrics, latest):
        for _tick in ticks:
            if (status := heard(socket, TURN_MS)) is None:
                continue
            latest.last = (status, readings)
            if time.monotonic() >= next_s:
                readings = meters.read(status)
                latest.last = (status, readings)
                next_s = time.monotonic() + READ_EVERY_S
