"""Tells changes of sightings, and cameras that give no frames, to webhooks and programs, as `[[alerts]]` says.

Handles no frame. Its work loop evaluates the changes; threads wait for receivers, each for one try and its time limit.
"""

import time
from collections.abc import Iterator

from jetstream.alerts.service import AlertService
from jetstream.config.schema import Config, run_dir
from jetstream.messages import Tick
from jetstream.monitoring.status import heard, subscribed

TURN_S = 0.1
"""longest wait between two ticks"""


def alerts(ticks: Iterator[Tick], config: Config) -> None:
    """Send alerts until the ticks end. What couldn't be sent then is sent after the next start."""
    service = AlertService(config)
    try:
        with subscribed(run_dir(config)) as socket:
            for _tick in ticks:
                service.turn(time.monotonic(), time.time_ns(), heard(socket, 0))
                service.wait(TURN_S)
    finally:
        service.close()
