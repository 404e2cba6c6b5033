"""`jetstream top` and `jetstream subscribe`: what a running pipeline says of itself, and what it sees.

Knows only the two sockets; changes nothing.
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
from jetstream.topic.keys import KeyFile

REFUSAL_TURN_MS = 200
QUIET_S = 5.0
"""without a message, before somebody who waits is told so"""


def detections(
    address: str, camera: str = "", key: KeyFile | None = None, told: Callable[[str], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """The messages of a detections topic, as maps, for ever; of one camera or all. What is none is passed over.

    `key` shows who asks; `told` hears when it, or having none, is the reason that nothing comes, and once when nothing
    has come for QUIET_S. Raises UserError: a bad address.
    """
    topic = f"detections.{camera}".encode()
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.set(zmq.MAXMSGSIZE, LARGEST_BYTES)
    socket.set(zmq.IPV6, int("[" in address))
    if key is not None:
        key.authenticate(socket, key.server or key.public)
    socket.subscribe(topic)
    refusals = _refusals(socket)
    try:
        socket.connect(address)
        tell_at_s = time.monotonic() + QUIET_S
        while True:
            while not socket.poll(REFUSAL_TURN_MS):
                if refusals.poll(0):
                    tell_at_s = math.inf
                    told(_why(refusals.recv_multipart(), address, key))
                if time.monotonic() > tell_at_s:
                    tell_at_s = math.inf
                    of = f" of camera {camera}" if camera else ""
                    told(f"{address}: nothing{of} so far; it waits on for a pipeline that publishes there")
            tell_at_s = math.inf
            event = event_in(socket.recv_multipart(), topic, camera)
            if event is not None:
                yield event
    except zmq.ZMQError as error:
        raise UserError(f"{address}: {error.strerror}; expected an endpoint such as tcp://127.0.0.1:5570") from None
    finally:
        socket.disable_monitor()
        refusals.close(linger=0)
        socket.close(linger=0)


def event_in(frames: list[bytes], topic: bytes, camera: str) -> dict[str, Any] | None:
    """The map of a message, as far as `line` needs it whole; None where it is another camera's, or garbage."""
    if len(frames) != 2 or (camera and frames[0] != topic):  # a subscription is a prefix: `door` also gets `door2`
        return None
    try:
        msgspec.msgpack.decode(frames[1], type=Event)
        event: dict[str, Any] = msgspec.msgpack.decode(frames[1])
    except GARBLED:
        return None
    return event


def _refusals(socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
    """What ZeroMQ tells of handshakes that failed."""
    monitor: zmq.Socket[bytes] = socket.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    )
    return monitor


def _why(told: list[bytes], address: str, key: KeyFile | None) -> str:
    if key is None:
        return f"{address}: refused: it wants a key, or isn't a topic; name yours with --key"
    if int.from_bytes(told[0][:2], sys.byteorder) == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return f"{address}: refused: the key {key.name} is not on its list (`jetstream keys allow` there adds it)"
    return f"{address}: refused: it has no keys, another one than {key.name} expects, or isn't a topic"


def line(event: dict[str, Any]) -> str:
    """An event for people: `12:00:01.250 door #7 Ada 97 %, unknown #9`."""
    faces = ", ".join(
        f"#{track['track_id']} {track['name'] or 'unknown'}" + (f" {track['confidence']:.0%}" if track["name"] else "")
        for track in event["tracks"]
    )
    text = f"{event['wall'][11:23]} {event['camera']} {faces or '-'}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)  # a terminal obeys some letters
