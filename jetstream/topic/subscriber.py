"""A subscriber of the detections topic and of its sightings, for `jetstream subscribe`.

Knows no config and no run directory.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import zmq

from jetstream.errors import GARBLED, UserError
from jetstream.events import Event
from jetstream.ipc.bus import LARGEST_BYTES
from jetstream.sighting import SightingMessage
from jetstream.topic.keys import KeyFile

REFUSAL_TURN_MS = 200
QUIET_S = 5.0
"""Seconds without a message after which a notice is printed, once."""


def detections(
    address: str, camera: str = "", key: KeyFile | None = None, say: Callable[[str], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """The messages of a detections topic, as maps, without end; of one camera, or of all (""). Skips other bytes.

    `key` is the subscriber's pair. `say` gets a line for the user when the publisher refuses the connection, and once
    when nothing has arrived for QUIET_S. Raises UserError for a bad address.
    """
    for frames in _received("detections", address, camera, key, say, quiet_s=QUIET_S):
        event = event_in(frames, f"detections.{camera}".encode(), camera)
        if event is not None:
            yield event


def sightings(
    address: str, camera: str = "", key: KeyFile | None = None, say: Callable[[str], None] = lambda _: None
) -> Iterator[SightingMessage]:
    """The `sighting` messages of a topic, as `detections`; each number once. None comes while nobody comes or goes, so
    that silence isn't told."""
    newest: dict[int, int] = {}  # by epoch
    for frames in _received("sighting", address, camera, key, say, quiet_s=math.inf):
        try:
            message = msgspec.msgpack.decode(frames[-1], type=SightingMessage)
        except GARBLED:
            continue
        is_other = camera != "" and message.sighting.camera != camera  # a subscription is a prefix
        if is_other or message.seq <= newest.get(message.epoch, 0):
            continue
        newest[message.epoch] = message.seq
        yield message


def _received(
    kind: str, address: str, camera: str, key: KeyFile | None, say: Callable[[str], None], *, quiet_s: float
) -> Iterator[list[bytes]]:
    """The ZeroMQ frames of each message of a kind. Raises UserError for a bad address."""
    topic = f"{kind}.{camera}".encode()
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.set(zmq.MAXMSGSIZE, LARGEST_BYTES)
    socket.set(zmq.IPV6, int("[" in address))
    if key is not None:
        key.authenticate(socket, key.server or key.public)
    socket.subscribe(topic)
    refusals = _refusals(socket)
    try:
        socket.connect(address)
        quiet_at_s = time.monotonic() + quiet_s
        while True:
            while not socket.poll(REFUSAL_TURN_MS):
                if refusals.poll(0):
                    quiet_at_s = math.inf
                    say(_refusal(refusals.recv_multipart(), address, key))
                if time.monotonic() > quiet_at_s:
                    quiet_at_s = math.inf
                    of = f" of camera {camera}" if camera else ""
                    say(f"{address}: no message{of} so far; still waiting for a pipeline that publishes there")
            quiet_at_s = math.inf
            yield socket.recv_multipart()
    except zmq.ZMQError as error:
        raise UserError(f"{address}: {error.strerror}; expected an endpoint such as tcp://127.0.0.1:5570") from None
    finally:
        socket.disable_monitor()
        refusals.close(linger=0)
        socket.close(linger=0)


def event_in(frames: list[bytes], topic: bytes, camera: str) -> dict[str, Any] | None:
    """A message's map, checked for all that `line` needs; None for another camera's, or bytes that are no event."""
    if len(frames) != 2 or (camera and frames[0] != topic):  # a subscription is a prefix: `door` also gets `door2`
        return None
    try:
        msgspec.msgpack.decode(frames[1], type=Event)
        event: dict[str, Any] = msgspec.msgpack.decode(frames[1])
    except GARBLED:
        return None
    return event


def _refusals(socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
    """ZeroMQ's monitor socket of `socket`, which reports failed handshakes."""
    monitor: zmq.Socket[bytes] = socket.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    )
    return monitor


def _refusal(report: list[bytes], address: str, key: KeyFile | None) -> str:
    """Why the handshake failed, for the user; `report` is a message of the monitor socket."""
    if key is None:
        return f"{address}: refused: the publisher requires a key, or this is no topic; name your key with --key"
    if int.from_bytes(report[0][:2], sys.byteorder) == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return f"{address}: refused: the key {key.name} is not on its list (`jetstream keys allow` there adds it)"
    return f"{address}: refused: the publisher has no keys, or not the one that {key.name} expects, or this is no topic"


def line(event: dict[str, Any]) -> str:
    """An event for people: `12:00:01.250 door #7 Ada 97 %, unknown #9`."""
    faces = ", ".join(
        f"#{track['track_id']} {track['name'] or 'unknown'}" + (f" {track['confidence']:.0%}" if track["name"] else "")
        for track in event["tracks"]
    )
    text = f"{event['wall'][11:23]} {event['camera']} {faces or '-'}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)  # no control codes to the terminal
