"""The other side of `detect` in `bench_detect.py`: announces frames that are in their rings, and takes the answers."""

import argparse
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_detect import SLOTS
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.ipc.bus import Inbox, Outbox, Reader
from jetstream.ipc.ring import Ring, segment_name
from jetstream.messages import Captured, Detected, FrameRef
from jetstream.picture_format import AnyPicture, Nv12Picture, PictureFormat
from jetstream.runtime import run_dir as rundir

HEIGHT, WIDTH = 1080, 1920
FPS = 30.0
START_S = 60.0


@contextmanager
def serve(folder: Path, options: argparse.Namespace) -> Iterator[Config]:
    """A run directory with full rings for a stage."""
    names = [f"camera{number:02}" for number in range(options.cameras)]
    data = {
        "cameras": [{"name": name, "source": "demo"} for name in names],
        "pipeline": {"run_dir": str(folder / "run"), "slots": SLOTS},
        "detect": {"search": options.search, "batch": options.batch},
        "recognize": {"watch_s": 0.0},
        "publish": {"enabled": False},
        "sightings": {"enabled": False},
        "web": {"enabled": False},
        "render": {"window": False},
    }
    config = load.build(data, where="benchmark")
    with rundir.claim(Path(config.pipeline.run_dir)) as found, ExitStack() as stack:
        segments = {name: segment_name(name) for name in names}
        for name, picture in zip(names, _pictures(options), strict=True):
            ring = stack.enter_context(Ring.create(segments[name], slots=SLOTS, max_width=WIDTH, max_height=HEIGHT))
            for _ in range(SLOTS):
                ring.write(picture)
        found.write(config, segments)
        yield config


def _pictures(options: argparse.Namespace) -> Iterator[AnyPicture]:
    """One a camera: what is in it, only `--search nth` looks at."""
    draws = np.random.default_rng(1)
    for _ in range(options.cameras):
        if options.bgr:
            yield draws.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        else:
            yield _nv12(draws)


def _nv12(draws: np.random.Generator) -> Nv12Picture:
    luma: NDArray[np.uint8] = draws.integers(16, 235, (HEIGHT, WIDTH), np.uint8)
    chroma: NDArray[np.uint8] = draws.integers(16, 240, (HEIGHT // 2, WIDTH // 2, 2), np.uint8)
    return Nv12Picture(luma, chroma, PictureFormat.NV12_709)


def feed(run_dir: Path, config: Config, count: int, under_way: int, reader: "subprocess.Popen[bytes]") -> None:
    """Announce `count` frames, so many of each camera at a time, and take the answers."""
    outboxes = {
        camera.name: Outbox(run_dir, {Captured: [Reader("detect", lossless=True, ends=True)]})
        for camera in config.cameras
    }
    inbox = Inbox(
        run_dir,
        "track",
        {Detected: None},
        senders=frozenset({"detect"}),
        stop=lambda: reader.poll() is not None,
        tick_s=START_S,
    )
    sent: Counter[str] = Counter()
    for camera in list(outboxes) * under_way:
        _announce(outboxes[camera], camera, sent)
    for answered, message in enumerate(inbox, start=1):
        if not isinstance(message, Detected):
            raise SystemExit("bench_detect: the stage doesn't answer")
        if sent.total() < count:
            _announce(outboxes[message.frame.camera], message.frame.camera, sent)
        elif answered == count:
            for camera, outbox in outboxes.items():
                outbox.end(f"capture.{camera}")
    inbox.close()


def _announce(outbox: Outbox, camera: str, sent: Counter[str]) -> None:
    """The frames in the ring, over and over, each with its time."""
    number = sent[camera]
    sent[camera] += 1
    frame = FrameRef(camera, number % SLOTS, time.monotonic_ns(), time.time_ns(), number / FPS, live=True)
    outbox.send(Captured(frame=frame))
