"""Serves what the supervisor and the machine report over HTTP: `/metrics`, `/healthz` and `/readyz`.

A separate process, so that no client and no driver that hangs delays the supervisor. Its work loop receives the
supervisor's status and reads the meters; threads answer from the last status, and report how old it is.
"""

import time
from collections.abc import Iterator

import msgspec
import zmq

from jetstream.config.schema import Config, run_dir
from jetstream.errors import GARBLED
from jetstream.ipc.bus import endpoint
from jetstream.messages import Status, Tick
from jetstream.monitoring.meters import Meters, Readings
from jetstream.monitoring.server import LastStatus, serving

TURN_MS = 100
"""longest wait between two ticks"""
READ_EVERY_S = 5.0
"""how often the meters are read: Prometheus asks every 15 s or so"""


def metrics(ticks: Iterator[Tick], config: Config) -> None:
    """Answer requests until the ticks end. Raises UserError when the endpoint can't be bound."""
    latest, meters, readings = LastStatus(config), Meters(config.record.dir), Readings()
    next_s = 0.0
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(endpoint(run_dir(config), Status, "anyone"))
    socket.subscribe(b"")
    try:
        with serving(config.metrics, latest):
            for _tick in ticks:
                if not socket.poll(TURN_MS):
                    continue
                try:
                    status = msgspec.msgpack.decode(socket.recv(), type=Status)
                except GARBLED:  # no reason to end, as in the supervisor
                    continue
                latest.last = (status, readings)
                if time.monotonic() >= next_s:
                    readings = meters.read(status)
                    latest.last = (status, readings)
                    next_s = time.monotonic() + READ_EVERY_S
    finally:
        socket.close(linger=0)
