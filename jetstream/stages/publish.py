"""Tracked frames to other programs, and which gallery their names come from: the detections topic, from a separate
process with its own sockets.

No subscriber, however slow, affects the pipeline: a full queue loses messages, and `seq` shows it. With `publish.keys`
only listed subscribers may connect (`topic.keys`); else only programs on this machine. The format is in docs/events.md.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from jetstream.config.schema import Config
from jetstream.events import event_of, gallery_topic_of, topic_of
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Finished, InUse, Tick, Tracked
from jetstream.sighting import SightingMessage
from jetstream.sightings.teller import SightingTeller
from jetstream.topic.publisher import Topic, open_topic

GALLERY_TOPIC = b"gallery"
SIGHTING_TOPIC = "sighting"

log = logging.getLogger("jetstream")


def publish(messages: Iterator[Tracked | InUse | Tick], _: FrameReader, config: Config) -> Iterator[Finished]:
    """Two ZeroMQ frames a message: `detections.<camera>`, `gallery` or `sighting.<camera>`, and a msgpack map."""
    with ExitStack() as stack:
        topic = stack.enter_context(open_topic(config.publish))
        teller = SightingTeller(Path(config.sightings.dir)) if config.sightings.enabled else None
        stack.callback(_end, teller, topic)
        epoch = time.time_ns()
        seqs: Counter[str] = Counter()
        in_use, gallery_seq = None, -1
        newest: dict[str, int] = {}
        tell, encode = partial(_tell, topic), msgspec.msgpack.Encoder().encode
        for message in messages:
            if teller is not None:
                teller.tell(tell, time.monotonic())
            if isinstance(message, Tick):
                continue
            if isinstance(message, InUse):
                if message != in_use:
                    in_use, gallery_seq = message, gallery_seq + 1
                body = gallery_topic_of(message, epoch=epoch, seq=gallery_seq, wall_ns=time.time_ns())
                topic.send(GALLERY_TOPIC, encode(body))
                continue
            event = event_of(message, "published", time.monotonic_ns())
            if event.frame_id <= newest.get(event.camera, -1):
                continue  # announced again, because another stage had lost it
            newest[event.camera] = event.frame_id
            body = topic_of(event, epoch=epoch, seq=seqs[event.camera])
            seqs[event.camera] += 1
            topic.send(f"detections.{event.camera}".encode(), encode(body))
            yield Finished(frame=message.frame)


def _tell(topic: Topic, message: SightingMessage) -> None:
    topic.send(f"{SIGHTING_TOPIC}.{message.sighting.camera}".encode(), msgspec.msgpack.encode(message))


def _end(teller: SightingTeller | None, topic: Topic) -> None:
    """Tell what was written until now; what comes later is told at the next start."""
    if teller is not None:
        teller.tell(partial(_tell, topic), math.inf)
        teller.close()
