"""What a process did at which time, sent to `jetstream trace` while it listens; at other times nothing is kept or sent.

Knows no stage. Times are of CLOCK_MONOTONIC.
"""

import contextlib
import os
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from jetstream.ipc.bus import endpoint
from jetstream.messages import FrameRef, Span, Spans

LISTENER = "trace"
"""reader of spans"""
MOST = 4096
"""spans kept between two heartbeats; a few hundred come in a quarter of a second at most"""
RECONNECT_MS = 200
"""how soon a new listener is found"""


class SpanSender:
    """Sends the spans of one process. `send` finds out whether there is a listener; without one nothing is kept."""

    def __init__(self, name: str, run_dir: Path) -> None:
        self._name = name
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, 64)
        self._socket.set(zmq.IMMEDIATE, 1)  # without a listener nothing is queued for one
        self._socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.connect(endpoint(run_dir, Spans, LISTENER))
        self._spans: list[Span] = []
        self._listened_to = False

    def add(
        self, kind: Literal["turn", "frame", "capture"], begin_ns: int, end_ns: int, frame: FrameRef | None = None
    ) -> None:
        if self._listened_to and len(self._spans) < MOST:
            camera, frame_id = (frame.camera, frame.frame_id) if frame is not None else ("", -1)
            self._spans.append(Span(kind, begin_ns, end_ns, camera, frame_id))

    def send(self) -> None:
        """Send the spans added since the last call; never waits."""
        self._listened_to = bool(self._socket.poll(0, zmq.POLLOUT))
        spans, self._spans = tuple(self._spans), []
        if self._listened_to:
            with contextlib.suppress(zmq.Again):  # it stopped listening
                message = Spans(process=self._name, pid=os.getpid(), spans=spans)
                self._socket.send(msgspec.msgpack.encode(message), zmq.NOBLOCK)

    def close(self) -> None:
        self.send()
        self._socket.close(linger=0)
