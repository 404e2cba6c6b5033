"""What a process says of itself: counts, rate, latency and drops, told to the supervisor from the work loop.

Because nothing else tells, a stage that hangs in a native call falls silent. Knows no stage.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec
import zmq

from jetstream.ipc.bus import Inbox, Outbox, endpoint
from jetstream.messages import Detected, Dropped, Framed, FrameRef, Heartbeat, InUse, Message, Named, Searching, Tracked
from jetstream.runtime.counters import Counts
from jetstream.runtime.spans import SpanSender

SUPERVISOR = "supervisor"
"""reader of heartbeats"""
BEAT_EVERY_S = 0.25
LATENCY_WINDOW = 256
"""frames whose latency a heartbeat sums up: ten seconds of one camera"""
MOST_TAKEN = 1024
"""frames that were taken and not answered yet; those that fell on the way are forgotten beyond it"""
LOST_ON = {"lapped": "ring", "unread": "camera", "reconnect": "camera", "disk": "disk"}
"""where a frame of which the stage itself says why it fell was lost"""
STATES = ("tentative", "confirmed", "lost")


class HeartbeatSender:
    """Counts what a process does and tells the supervisor, from the work loop, so that a hung stage falls silent.

    `min_quality`: looks below it were not embedded.
    """

    def __init__(self, name: str, run_dir: Path, *, min_quality: float = 0.0) -> None:
        self._name, self._min_quality = name, min_quality
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, 4)
        self._socket.connect(endpoint(run_dir, Heartbeat, SUPERVISOR))
        self._encoder = msgspec.msgpack.Encoder()
        self._spans = SpanSender(name, run_dir)
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_WINDOW)
        self._handled_s: deque[float] = deque(maxlen=LATENCY_WINDOW)
        self._handled_ns = 0
        self._taken_ns: dict[tuple[str, int], int] = {}
        self._track_ids: dict[str, int] = {}  # the newest of each camera
        self._frames = 0
        self._next_s = 0.0
        self._counts = Counts()
        self._levels: dict[str, int] = {}
        self.outbox: Outbox | None = None
        self.inbox: Inbox | None = None

    def took(self, messages: Sequence[Message], now_ns: int) -> None:
        """The stage gets these. Work on a frame begins when it is first told of, not when its names come."""
        for message in messages:
            if isinstance(message, Framed) and not isinstance(message, Named):
                self._taken_ns.setdefault((message.frame.camera, message.frame.frame_id), now_ns)
        while len(self._taken_ns) > MOST_TAKEN:
            del self._taken_ns[next(iter(self._taken_ns))]

    def turned(self, begun_ns: int) -> None:
        """The stage wants more: it is done with what it took at `begun_ns`, as far as it will be."""
        self._spans.add("turn", begun_ns, time.monotonic_ns())

    def handled(self, frame: FrameRef, now_ns: int) -> None:
        """The stage answers a frame."""
        self._frames += 1
        self._handled_s.append(now_ns * 1e-9)
        self._latencies_ms.append((now_ns - frame.captured_ns) * 1e-6)
        self._counts.add("frames", frame.camera)
        self._counts.observe("latency", (now_ns - frame.captured_ns) * 1e-9)
        self._levels[f"newest {frame.camera}"] = frame.captured_ns
        taken_ns = self._taken_ns.pop((frame.camera, frame.frame_id), None)
        if taken_ns is not None:
            self._counts.observe("work", (now_ns - taken_ns) * 1e-9)
            self._spans.add("frame", taken_ns, now_ns, frame)
        else:  # from a camera, one after the other
            self._spans.add("capture", max(frame.captured_ns, self._handled_ns), now_ns, frame)
        self._handled_ns = now_ns

    def said(self, message: Message) -> None:
        """Count what is in a stage's answer; no names."""
        if isinstance(message, Dropped):
            self._counts.add("drops", message.reason, LOST_ON.get(message.reason, self._name), by=message.count)
        elif isinstance(message, Detected):
            self._counts.add("faces", message.frame.camera, by=len(message.faces))
        elif isinstance(message, Named):
            for face in message.faces:
                outcome = "poor" if face.quality < self._min_quality else "named" if face.name else "unknown"
                self._counts.add("votes", message.frame.camera, outcome)
        elif isinstance(message, Tracked):
            self._said_tracks(message)
        elif isinstance(message, InUse):
            self._levels |= {"gallery people": message.people, "gallery photos": message.photos}
        elif isinstance(message, Searching):
            self._levels["search_every"] = message.every

    def _said_tracks(self, tracked: Tracked) -> None:
        camera, faces = tracked.frame.camera, tracked.faces
        for state in STATES:
            self._levels[f"tracks {camera} {state}"] = sum(face.state == state for face in faces)
        self._levels[f"named {camera}"] = sum(face.state == "confirmed" and face.name is not None for face in faces)
        newest = self._track_ids.get(camera, 0)
        self._counts.add("tracks", camera, by=sum(face.track_id > newest for face in faces))
        self._track_ids[camera] = max([newest, *(face.track_id for face in faces)])

    def beat(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + BEAT_EVERY_S
        with contextlib.suppress(zmq.Again):  # nobody listens: a stage run alone
            self._socket.send(self._encoder.encode(self._heartbeat(now_s)), zmq.NOBLOCK)
        self._spans.tell()

    def close(self) -> None:
        self._next_s = 0.0
        self.beat()
        self._socket.close(linger=200)
        self._spans.close()

    def _heartbeat(self, now_s: float) -> Heartbeat:
        while self._handled_s and now_s - self._handled_s[0] > 10:
            self._handled_s.popleft()
            self._latencies_ms.popleft()
        span_s = now_s - self._handled_s[0] if len(self._handled_s) > 1 else 0.0
        ordered = sorted(self._latencies_ms)
        self._look_at_doorways()
        return Heartbeat(
            process=self._name,
            pid=os.getpid(),
            frames=self._frames,
            fps=round((len(self._handled_s) - 1) / span_s, 2) if span_s > 0 else 0.0,
            latency_p50_ms=round(_quantile(ordered, 0.50), 2),
            latency_p95_ms=round(_quantile(ordered, 0.95), 2),
            counts=self._counts.as_dict(),
            levels=self._levels,
        )

    def _look_at_doorways(self) -> None:
        for doorway, full in (self.outbox.full_at if self.outbox else {}).items():
            self._counts.reached(full, "drops", "full", doorway)
        for doorway, waiting, late in self.inbox.queues() if self.inbox else ():
            self._counts.reached(late, "drops", "late", doorway)
            self._levels[f"queue {doorway}"] = waiting
        for doorway, garbled in self.inbox.garbled.items() if self.inbox else ():
            self._counts.reached(garbled, "drops", "garbled", doorway)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
