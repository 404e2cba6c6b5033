"""One 1080p frame from process to process: the ring beside ZeroMQ with the pixels and `multiprocessing.Queue`.

`python benchmarks/bench_ring.py` prints a table. A hop is from the image in the sender until the receiver has summed a
few of its pixels; first at 30 frames/s, then as fast as no frame is lost.
"""

import argparse
import itertools
import multiprocessing as mp
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zmq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jetstream.ipc.ring import FrameView, Ring, segment_name

HEIGHT, WIDTH, SLOTS, FPS = 1080, 1920, 8, 30
WAITING = 4  # frames that may wait in the ways that have no ring
NOTICE = struct.Struct("=qq")  # frame number, when sent (monotonic ns; 0: that was all)


class Way(NamedTuple):
    """What the two ends need to meet."""

    kind: str
    endpoint: str
    ring: str
    queue: "Queue[tuple[int, NDArray[np.uint8]]]"


def touch(image: NDArray[np.uint8]) -> int:
    return int(image[::16, ::16].sum())


@contextmanager
def ring_sender(way: Way) -> Iterator[Callable[[NDArray[np.uint8], int], None]]:
    with Ring.attach(way.ring) as ring, socket(zmq.PUSH, way) as notices:

        def send(image: NDArray[np.uint8], sent_ns: int) -> None:
            while not ring.wait_for_room(1.0):
                pass
            notices.send(NOTICE.pack(ring.write(image), sent_ns))

        yield send


@contextmanager
def ring_receiver(way: Way) -> Iterator[Callable[[], int]]:
    out = np.empty(HEIGHT * WIDTH * 3, np.uint8)
    with Ring.attach(way.ring) as ring, socket(zmq.PULL, way) as notices:
        cell = ring.register("reader")

        def receive() -> int:
            frame_id, sent_ns = NOTICE.unpack(notices.recv())
            seen: FrameView | NDArray[np.uint8] | None
            if way.kind == "ring, in place":
                seen = view = ring.view(frame_id)
                assert view is not None
                touch(view.image)
                assert view.still_valid()
            else:
                seen = ring.read(frame_id, out if way.kind == "ring, copy into own buffer" else None)
                assert isinstance(seen, np.ndarray)
                touch(seen)
            cell.done(frame_id)
            return int(sent_ns)

        yield receive


@contextmanager
def zmq_sender(way: Way) -> Iterator[Callable[[NDArray[np.uint8], int], None]]:
    with socket(zmq.PUSH, way) as pixels:

        def send(image: NDArray[np.uint8], sent_ns: int) -> None:
            pixels.send_multipart([NOTICE.pack(0, sent_ns), image.data], copy=False)

        yield send


@contextmanager
def zmq_receiver(way: Way) -> Iterator[Callable[[], int]]:
    with socket(zmq.PULL, way) as pixels:

        def receive() -> int:
            notice, image = pixels.recv_multipart(copy=False)
            touch(np.frombuffer(image.buffer, np.uint8).reshape(HEIGHT, WIDTH, 3))
            return int(NOTICE.unpack(notice.bytes)[1])

        yield receive


@contextmanager
def queue_sender(way: Way) -> Iterator[Callable[[NDArray[np.uint8], int], None]]:
    yield lambda image, sent_ns: way.queue.put((sent_ns, image))


@contextmanager
def queue_receiver(way: Way) -> Iterator[Callable[[], int]]:
    def receive() -> int:
        sent_ns, image = way.queue.get()
        touch(image)
        return sent_ns

    yield receive


@contextmanager
def socket(kind: int, way: Way) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(kind) as end:
        end.set_hwm(WAITING)
        if kind == zmq.PUSH:
            end.bind(way.endpoint)
        else:
            end.connect(way.endpoint)
        yield end


WAYS: dict[str, tuple[Any, Any]] = {
    "ring, in place": (ring_sender, ring_receiver),
    "ring, copy": (ring_sender, ring_receiver),
    "ring, copy into own buffer": (ring_sender, ring_receiver),
    "ZeroMQ, pixels, copy=False": (zmq_sender, zmq_receiver),
    "multiprocessing.Queue": (queue_sender, queue_receiver),
}


def receive_all(way: Way, answers: Connection) -> None:
    """Twice: take frames until the last, then answer with each one's hop in ms and the frames per second."""
    with WAYS[way.kind][1](way) as receive:
        answers.send("ready")
        for _ in range(2):
            hops_ms, times_s = [], []
            while sent_ns := receive():
                times_s.append(time.monotonic())
                hops_ms.append((time.monotonic_ns() - sent_ns) / 1e6)
            answers.send((hops_ms, (len(times_s) - 1) / (times_s[-1] - times_s[0])))


def measure(kind: str, seconds: float, images: list[NDArray[np.uint8]]) -> tuple[list[float], float]:
    """Hops in ms at 30 frames/s without the first second's, and the most frames per second."""
    spawn = mp.get_context("spawn")
    name = segment_name("bench")
    with (
        tempfile.TemporaryDirectory() as folder,
        Ring.create(name, slots=SLOTS, max_width=WIDTH, max_height=HEIGHT),
    ):
        way = Way(kind, f"ipc://{folder}/bench", name, spawn.Queue(maxsize=WAITING))
        answers, theirs = spawn.Pipe()
        receiver = spawn.Process(target=receive_all, args=(way, theirs), daemon=True)
        receiver.start()
        with WAYS[kind][0](way) as send:
            answers.recv()
            time.sleep(0.2)
            paced(send, images, seconds)
            hops_ms, _ = answers.recv()
            unpaced(send, images, seconds)
            _, most_fps = answers.recv()
        receiver.join()
        return hops_ms[FPS:], most_fps


def paced(send: Callable[[NDArray[np.uint8], int], None], images: list[NDArray[np.uint8]], seconds: float) -> None:
    start_s = time.monotonic()
    for index in range(int((seconds + 1) * FPS)):
        time.sleep(max(0.0, start_s + index / FPS - time.monotonic()))
        send(images[index % len(images)], time.monotonic_ns())
    send(images[0], 0)


def unpaced(send: Callable[[NDArray[np.uint8], int], None], images: list[NDArray[np.uint8]], seconds: float) -> None:
    end_s = time.monotonic() + seconds
    for image in itertools.cycle(images):
        if time.monotonic() > end_s:
            break
        send(image, time.monotonic_ns())
    send(images[0], 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of the two measurements of each way")
    seconds = parser.parse_args().seconds
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(SLOTS)]
    print(f"{WIDTH} x {HEIGHT}, {HEIGHT * WIDTH * 3 / 1e6:.1f} MB a frame")
    print(f"{'':28} {'hop p50 ms':>10} {'hop p99 ms':>10} {'most frames/s':>14}")
    for kind in WAYS:
        hops_ms, most_fps = measure(kind, seconds, images)
        p50_ms, p99_ms = np.percentile(hops_ms, [50, 99])
        print(f"{kind:28} {p50_ms:10.2f} {p99_ms:10.2f} {most_fps:14.0f}", flush=True)


if __name__ == "__main__":
    main()
