"""What a process says of itself: counts, rate, latency and drops, told to the supervisor from the work loop.

Because nothing else tells, a stage that hangs in a native call falls silent. Knows no stage.
"""

import contextlib
import os
import time
from collections import Counter, deque
from pathlib import Path

import msgspec
import zmq

from jetstream.ipc.bus import endpoint
from jetstream.messages import FrameRef, Heartbeat

SUPERVISOR = "supervisor"
"""reader of heartbeats"""
BEAT_EVERY_S = 0.25
LATENCY_WINDOW = 256
"""frames whose latency a heartbeat sums up: ten seconds of one camera"""


class Pulse:
    """Counts what a process does and tells the supervisor, from the work loop, so that a hung stage falls silent."""

    def __init__(self, name: str, run_dir: Path) -> None:
        self._name = name
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, 4)
        self._socket.connect(endpoint(run_dir, Heartbeat, SUPERVISOR))
        self._encoder = msgspec.msgpack.Encoder()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_WINDOW)
        self._handled_s: deque[float] = deque(maxlen=LATENCY_WINDOW)
        self._frames = 0
        self._next_s = 0.0
        self.drops: Counter[str] = Counter()
        self.edge_drops: Counter[str] = Counter()  # of the outbox

    def handled(self, frame: FrameRef) -> None:
        now_s = time.monotonic()
        self._frames += 1
        self._handled_s.append(now_s)
        self._latencies_ms.append(now_s * 1e3 - frame.captured_ns * 1e-6)

    def beat(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + BEAT_EVERY_S
        with contextlib.suppress(zmq.Again):  # nobody listens: a stage run alone
            self._socket.send(self._encoder.encode(self._heartbeat(now_s)), zmq.NOBLOCK)

    def close(self) -> None:
        self._next_s = 0.0
        self.beat()
        self._socket.close(linger=200)

    def _heartbeat(self, now_s: float) -> Heartbeat:
        while self._handled_s and now_s - self._handled_s[0] > 10:
            self._handled_s.popleft()
            self._latencies_ms.popleft()
        span_s = now_s - self._handled_s[0] if len(self._handled_s) > 1 else 0.0
        ordered = sorted(self._latencies_ms)
        drops = self.drops + self.edge_drops
        return Heartbeat(
            process=self._name,
            pid=os.getpid(),
            frames=self._frames,
            fps=round((len(self._handled_s) - 1) / span_s, 2) if span_s > 0 else 0.0,
            latency_p50_ms=round(_quantile(ordered, 0.50), 2),
            latency_p95_ms=round(_quantile(ordered, 0.95), 2),
            drops=dict(drops),
        )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
