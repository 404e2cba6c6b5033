"""Tracked frames to other programs, and which gallery their names come from: the detections topic, from a process and
a socket of its own.

No subscriber, however slow, touches the pipeline: a full queue loses messages, and `seq` shows it. The format is in
README, "The detections topic".
"""

import itertools
import socket as socket_module
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
import zmq

from jetstream.config import Config
from jetstream.errors import UserError
from jetstream.ipc.ring import FrameReader
from jetstream.messages import Finished, InUse, Tracked, event_of, gallery_topic_of, topic_of

GALLERY_TOPIC = b"gallery"
HIGH_WATER = 256
"""messages that a subscriber may be behind before it loses some: ten seconds of one camera"""


def publish(messages: Iterator[Tracked | InUse], _: FrameReader, config: Config) -> Iterator[Finished]:
    """Two ZeroMQ frames a message: `detections.<camera>`, or `gallery`, and a msgpack map."""
    with bind(config.publish.endpoint) as socket:
        epoch = time.time_ns()
        seqs: Counter[str] = Counter()
        galleries = itertools.count()
        newest: dict[str, int] = {}
        for message in messages:
            if isinstance(message, InUse):
                body = gallery_topic_of(message, epoch=epoch, seq=next(galleries), wall_ns=time.time_ns())
                socket.send_multipart([GALLERY_TOPIC, msgspec.msgpack.encode(body)])
                continue
            event = event_of(message)
            if event.frame_id <= newest.get(event.camera, -1):
                continue  # told again, because another stage had lost it
            newest[event.camera] = event.frame_id
            body = topic_of(event, epoch=epoch, seq=seqs[event.camera])
            seqs[event.camera] += 1
            socket.send_multipart([f"detections.{event.camera}".encode(), msgspec.msgpack.encode(body)])
            yield Finished(frame=message.frame)


def bind(endpoint: str) -> "zmq.Socket[bytes]":
    """The topic's socket. Raises UserError when the endpoint can't be had."""
    if endpoint.startswith("ipc://") and _has_listener(endpoint.removeprefix("ipc://")):
        raise UserError(f"publish.endpoint: {endpoint}: another program has it; choose another, or stop that one")
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.LINGER, 500)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise UserError(f"publish.endpoint: {endpoint}: {error.strerror}; choose another, or stop who has it") from None
    return socket


def _has_listener(path: str) -> bool:
    """ZeroMQ would take the path away from who has it, without a word."""
    with socket_module.socket(socket_module.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
