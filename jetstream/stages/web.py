"""Tracked frames to the page that people open in a browser: see the room `web`.

Its server runs in a thread of its own. This loop hands it the newest frames, and beats only while the server's loop
works.
"""

import logging
import time
from collections.abc import Iterator

from jetstream.config.schema import Config, run_dir
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Finished, InUse, Tick, Tracked
from jetstream.monitoring.status import heard, subscribed
from jetstream.web.frames import NewestFrames
from jetstream.web.server import serving
from jetstream.web.site import Site

TURN_EVERY_S = 0.2
"""how often the server's loop has to show that it works"""

log = logging.getLogger(__name__)


def web(messages: Iterator[Tracked | InUse | Tick], rings: FrameReader, config: Config) -> Iterator[Finished]:
    """Serve the page until the messages end. Raises UserError when the endpoint can't be bound."""
    frames = NewestFrames(config, rings)
    site = Site(config, frames)
    turned_s = 0.0
    with subscribed(run_dir(config)) as statuses, serving(config.web, site) as server:
        log.info("the page is at %s", config.web.endpoint)
        for message in messages:
            if time.monotonic() - turned_s > TURN_EVERY_S:
                while (status := heard(statuses, 0)) is not None:
                    site.hear(status)
                server.turn()
                turned_s = time.monotonic()
            if isinstance(message, Tracked):
                frames.put(message)
                site.faces.see(message, time.monotonic())
                yield Finished(frame=message.frame)
            elif isinstance(message, InUse):
                site.news.in_use = message
                site.people.read_ahead()
