"""Tracked frames to the page that people open in a browser: see the room `web`.

Its server runs in a thread of its own. This loop hands it the newest frames, and beats only while the server's loop
works.
"""

import time
from collections.abc import Iterator

import msgspec
import zmq

from jetstream.config.schema import Config, run_dir
from jetstream.errors import GARBLED
from jetstream.ipc.bus import endpoint
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Finished, InUse, Status, Tick, Tracked
from jetstream.web.frames import NewestFrames
from jetstream.web.server import serving
from jetstream.web.site import Site

TURN_EVERY_S = 0.2
"""how often the server's loop has to show that it works"""


def web(messages: Iterator[Tracked | InUse | Tick], rings: FrameReader, config: Config) -> Iterator[Finished]:
    """Serve the page until the messages end. Raises UserError when the endpoint can't be bound."""
    frames = NewestFrames(config, rings)
    site = Site(config, frames)
    status: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    status.connect(endpoint(run_dir(config), Status, "anyone"))
    status.subscribe(b"")
    turned_s = 0.0
    try:
        with serving(config.web, site) as server:
            for message in messages:
                if time.monotonic() - turned_s > TURN_EVERY_S:
                    _hear(status, site)
                    server.turn()
                    turned_s = time.monotonic()
                if isinstance(message, InUse):
                    site.gallery = message
                elif isinstance(message, Tracked):
                    frames.put(message)
                    yield Finished(frame=message.frame)
    finally:
        status.close(linger=0)


def _hear(socket: "zmq.Socket[bytes]", site: Site) -> None:
    """The newest status, if there is one."""
    while socket.poll(0):
        try:
            site.status = msgspec.msgpack.decode(socket.recv(), type=Status)
        except GARBLED:  # no reason to end, as in the supervisor
            continue
