"""What a process reports of itself to the supervisor: counts, frame rate, latency and drops.

It is sent from the work loop and from nowhere else, so a stage that hangs in a native call sends none. Knows no
stage.
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
from jetstream.messages import Framed, FrameRef, Heartbeat, Message
from jetstream.runtime.counters import Counts
from jetstream.runtime.spans import SpanSender

SUPERVISOR = "supervisor"
"""reader of heartbeats"""
BEAT_EVERY_S = 0.25
RATE_WINDOW_S = 10.0
"""frame rate and latencies are those of the last so many seconds"""
LATENCY_WINDOW = 256
"""frames whose latency a heartbeat sums up: ten seconds of one camera"""
MOST_TAKEN = 1024
"""frames that were taken and not answered yet; beyond that the oldest, which were dropped on the way, are forgotten"""


class HeartbeatSender:
    """Counts what a process does and reports it to the supervisor. `min_quality` (0..1): faces of a lower quality were
    not embedded."""

    def __init__(self, process: str, run_dir: Path, *, min_quality: float = 0.0) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, 4)
        self._socket.connect(endpoint(run_dir, Heartbeat, SUPERVISOR))
        self._encoder = msgspec.msgpack.Encoder()
        self._spans = SpanSender(process, run_dir)
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_WINDOW)
        self._handled_s: deque[float] = deque(maxlen=LATENCY_WINDOW)
        self._handled_ns = 0
        self._taken_ns: dict[tuple[str, int], int] = {}
        self._frames = 0
        self._next_s = 0.0
        self._counts = Counts(process, min_quality=min_quality)
        self.patience_s = 0.0
        self.outbox: Outbox | None = None
        self.inbox: Inbox | None = None

    def took(self, messages: Sequence[Message], now_ns: int) -> None:
        """Record that the stage gets these messages. Work on a frame begins with the first message that begins it."""
        for message in messages:
            if isinstance(message, Framed) and message.begins_work:
                self._taken_ns.setdefault((message.frame.camera, message.frame.frame_id), now_ns)
        while len(self._taken_ns) > MOST_TAKEN:
            del self._taken_ns[next(iter(self._taken_ns))]

    def turned(self, begun_ns: int) -> None:
        """Record that the stage requests more: its turn of the work loop that began at `begun_ns` is over."""
        self._spans.add("turn", begun_ns, time.monotonic_ns())

    def count(self, message: Message) -> None:
        """Count what is in a stage's answer; no names."""
        message.add_to(self._counts)

    def handled(self, frame: FrameRef, now_ns: int) -> None:
        """Record that the stage's work on a frame has ended."""
        self.passed(now_ns)
        self._latencies_ms.append((now_ns - frame.captured_ns) * 1e-6)
        self._counts.add("frames", frame.camera)
        self._counts.observe("latency", (now_ns - frame.captured_ns) * 1e-9)
        self._counts.set_level(frame.captured_ns, "newest", frame.camera)
        taken_ns = self._taken_ns.pop((frame.camera, frame.frame_id), None)
        if taken_ns is not None:
            self._counts.observe("work", (now_ns - taken_ns) * 1e-9)
            self._spans.add("frame", taken_ns, now_ns, frame)
        else:  # from a camera, one after the other
            self._spans.add("capture", max(frame.captured_ns, self._handled_ns), now_ns, frame)
        self._handled_ns = now_ns

    def passed(self, now_ns: int) -> None:
        """Record that what is to become a frame has passed: of `frames` and their rate, and not of the camera's frames,
        which the process that writes them counts."""
        self._frames += 1
        self._handled_s.append(now_ns * 1e-9)

    def beat(self) -> None:
        """Send a heartbeat when it is due; never waits."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + BEAT_EVERY_S
        with contextlib.suppress(zmq.Again):  # no supervisor: a stage run alone
            self._socket.send(self._encoder.encode(self._heartbeat(now_s)), zmq.NOBLOCK)
        self._spans.send()

    def beat_now(self) -> None:
        """Send a heartbeat, due or not; never waits."""
        self._next_s = 0.0
        self.beat()

    def close(self) -> None:
        """Send the last counts, unless there was no heartbeat: a process that failed before never was at work."""
        if self._next_s > 0:
            self._next_s = 0.0
            self.beat()
        self._socket.close(linger=200)
        self._spans.close()

    def _heartbeat(self, now_s: float) -> Heartbeat:
        while self._handled_s and now_s - self._handled_s[0] > RATE_WINDOW_S:
            self._handled_s.popleft()
            if self._latencies_ms:
                self._latencies_ms.popleft()
        span_s = now_s - self._handled_s[0] if len(self._handled_s) > 1 else 0.0
        ordered = sorted(self._latencies_ms)
        self._count_at_endpoints()
        return Heartbeat(
            process=self._counts.process,
            pid=os.getpid(),
            frames=self._frames,
            fps=round((len(self._handled_s) - 1) / span_s, 2) if span_s > 0 else 0.0,
            latency_p50_ms=round(_quantile(ordered, 0.50), 2),
            latency_p95_ms=round(_quantile(ordered, 0.95), 2),
            counts=self._counts.as_dict(),
            levels=self._counts.levels(),
            patience_s=self.patience_s,
        )

    def _count_at_endpoints(self) -> None:
        for name, full in (self.outbox.full_at if self.outbox else {}).items():
            self._counts.set_total(full, "drops", "full", name)
        for name, waiting, late in self.inbox.queues() if self.inbox else ():
            self._counts.set_total(late, "drops", "late", name)
            self._counts.set_level(waiting, "queue", name)
        for name, garbled in self.inbox.garbled.items() if self.inbox else ():
            self._counts.set_total(garbled, "drops", "garbled", name)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
