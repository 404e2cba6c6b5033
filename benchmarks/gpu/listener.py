"""A subscriber of the detections topic that counts events and measures their age, as another program would.

    python -m benchmarks.gpu.listener ENDPOINT BEGIN_S END_S     of CLOCK_MONOTONIC

Prints the figures of the events between these times, as one line of JSON.
"""

import sys
import time

import msgspec
import numpy as np
import zmq

from jetstream.child_process import die_with_parent

FOREVER_S = 120


class Heard(msgspec.Struct):
    frames: int
    faces: int
    named: int
    p50_ms: float
    p99_ms: float


class Seen(msgspec.Struct):
    name: str | None


class Body(msgspec.Struct):
    """What is counted of an event."""

    captured_ns: int
    tracks: list[Seen]


def main() -> None:
    die_with_parent()
    endpoint, begin_s, end_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    socket.subscribe(b"detections.")
    socket.connect(endpoint)
    print(msgspec.json.encode(hear(socket, begin_s, end_s)).decode())


def hear(socket: "zmq.Socket[bytes]", begin_s: float, end_s: float) -> Heard:
    decoder = msgspec.msgpack.Decoder(Body)
    ages_ms, faces, named = [], 0, 0
    while (now_s := time.monotonic()) < min(end_s, begin_s + FOREVER_S):
        if not socket.poll(max(1, int((end_s - now_s) * 1000))):
            break
        payload = socket.recv_multipart()[1]
        now_ns = time.monotonic_ns()
        if begin_s * 1e9 <= now_ns < end_s * 1e9:
            body = decoder.decode(payload)
            ages_ms.append((now_ns - body.captured_ns) / 1e6)
            faces += len(body.tracks)
            named += sum(track.name is not None for track in body.tracks)
    p50, p99 = np.percentile(ages_ms, (50, 99)).tolist() if ages_ms else (0.0, 0.0)
    return Heard(len(ages_ms), faces, named, p50, p99)


if __name__ == "__main__":
    main()
