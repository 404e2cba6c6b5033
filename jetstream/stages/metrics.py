"""What the supervisor and the machine say, to who asks over HTTP: the page `/metrics` and two short words.

A process of its own, so that no client and no driver that hangs holds up the supervisor. Its work loop hears the
supervisor and reads the meters; threads only repeat what it heard, with how old that is.
"""

import time
from collections.abc import Iterator

import msgspec
import zmq

from jetstream.config import schema as configuration
from jetstream.config.schema import Config
from jetstream.errors import GARBLED
from jetstream.ipc.bus import endpoint
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Message, Status, Tick
from jetstream.monitoring.meters import Meters, Readings
from jetstream.monitoring.server import LastStatus, serving

TURN_MS = 100
"""longest wait between two ticks"""
READ_EVERY_S = 5.0
"""how often the meters are read: Prometheus asks every 15 s or so"""


def metrics(ticks: Iterator[Tick], _: FrameReader, config: Config) -> Iterator[Message]:
    """Answers until told to stop. Tells nobody. Raises UserError when the endpoint can't be had."""
    told, meters, readings = LastStatus(config), Meters(config.record.dir), Readings()
    next_s = 0.0
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(endpoint(configuration.run_dir(config), Status, "anyone"))
    socket.subscribe(b"")
    try:
        with serving(config.metrics, told):
            for _tick in ticks:
                if not socket.poll(TURN_MS):
                    continue
                try:
                    status = msgspec.msgpack.decode(socket.recv(), type=Status)
                except GARBLED:  # as the supervisor does: no reason to end
                    continue
                told.last = (status, readings)
                if time.monotonic() >= next_s:
                    readings = meters.read(status)
                    told.last = (status, readings)
                    next_s = time.monotonic() + READ_EVERY_S
    finally:
        socket.close(linger=0)
    yield from ()
