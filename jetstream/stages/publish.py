"""Tracked frames to other programs, and which gallery their names come from: the detections topic, from a separate
process with its own sockets.

No subscriber, however slow, affects the pipeline: a full queue loses messages, and `seq` shows it. With `publish.keys`
only listed subscribers may connect (`topic.keys`); else only programs on this machine. The format is in docs/events.md.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from jetstream.config.schema import Config
from jetstream.events import event_of, gallery_topic_of, topic_of
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Finished, InUse, Tracked
from jetstream.topic.publisher import open_topic

GALLERY_TOPIC = b"gallery"

log = logging.getLogger("jetstream")


def publish(messages: Iterator[Tracked | InUse], _: FrameReader, config: Config) -> Iterator[Finished]:
    """Two ZeroMQ frames a message: `detections.<camera>`, or `gallery`, and a msgpack map."""
    with open_topic(config.publish) as topic:
        epoch = time.time_ns()
        seqs: Counter[str] = Counter()
        in_use, gallery_seq = None, -1
        newest: dict[str, int] = {}
        for message in messages:
            if isinstance(message, InUse):
                if message != in_use:
                    in_use, gallery_seq = message, gallery_seq + 1
                body = gallery_topic_of(message, epoch=epoch, seq=gallery_seq, wall_ns=time.time_ns())
                topic.send(GALLERY_TOPIC, msgspec.msgpack.encode(body))
                continue
            event = event_of(message, "published", time.monotonic_ns())
            if event.frame_id <= newest.get(event.camera, -1):
                continue  # announced again, because another stage had lost it
            newest[event.camera] = event.frame_id
            body = topic_of(event, epoch=epoch, seq=seqs[event.camera])
            seqs[event.camera] += 1
            topic.send(f"detections.{event.camera}".encode(), msgspec.msgpack.encode(body))
            yield Finished(frame=message.frame)
