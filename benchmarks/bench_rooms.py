"""CPU time of each step of a frame, measured on the same frames in one process and one thread.

    python -m benchmarks.bench_rooms [--video FILE] [--frames N]

Prints the median CPU time in ms, and how often a step runs in the pipeline.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from jetstream.config import load
from jetstream.events import event_of
from jetstream.ipc.ring import Ring, segment_name
from jetstream.messages import FrameRef, Tracked, TrackedFace, box_of, landmarks_of
from jetstream.networks import build
from jetstream.networks.open import open_detector, open_embedder
from jetstream.vision.detection import motion
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.drawing import draw
from jetstream.vision.recognition import align
from tests.support import defaults
from tests.support.defaults import open_source, video_sink

REPOSITORY = Path(__file__).resolve().parent.parent
HOW_OFTEN = {
    "decode to BGR": "every frame, capture",
    "write to the ring": "every frame, capture",
    "read from the ring": "every frame, detect and record",
    "what changed": "every frame, detect",
    "search the whole picture": "every 4th frame, detect",
    "verify the last faces": "the other frames, detect",
    "track": "every frame, track",
    "align one face": "up to 20 a second and camera, recognize",
    "embed one face": "up to 20 a second and camera, recognize",
    "event to JSON": "every frame, record",
    "draw": "every frame, record and render",
    "encode H.264": "every frame, record",
}


class Clock:
    """Times of named steps."""

    def __init__(self) -> None:
        self.ms: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def time(self, step: str) -> Iterator[None]:
        started = time.process_time_ns()
        yield
        self.ms[step].append((time.process_time_ns() - started) / 1e6)


def main() -> None:
    data = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=data / "video" / "friends_dev.mp4")
    parser.add_argument("--frames", type=int, default=200)
    options = parser.parse_args()
    if not options.video.exists():
        sys.exit(f"{options.video}: no such video; give --video, or set JETSTREAM_DATA")
    clock = Clock()
    walk(options.video, options.frames, clock)
    print(f"{options.video.name}, {options.frames} frames\n\n| step | ms | how often |\n| --- | --- | --- |")
    for step, often in HOW_OFTEN.items():
        print(f"| {step} | {statistics.median(clock.ms[step]):.2f} | {often} |")


def walk(video: Path, frames: int, clock: Clock) -> None:
    config = load.build({"models": {"dir": str(REPOSITORY / "models")}}, where="benchmark")
    build.prepare_models(config)
    tracker, before, known = defaults.tracker(), None, np.empty((0, 4), np.float32)
    with (
        open_source(str(video)) as source,
        open_detector(config) as detector,
        open_embedder(config) as embedder,
        Ring.create(segment_name("bench"), slots=16, max_width=1920, max_height=1080) as ring,
        tempfile.TemporaryDirectory() as folder,
        video_sink(Path(folder) / "out.mp4", fps=25, width=1280, height=720) as sink,
    ):
        for index in range(frames):
            frame = timed(clock, "decode to BGR", lambda: next(source))
            frame_id = timed(clock, "write to the ring", lambda frame=frame: ring.write(frame.image))
            image = timed(clock, "read from the ring", lambda frame_id=frame_id: ring.read(frame_id))
            with clock.time("what changed"):
                thumbnail = motion.thumbnail(image)
                motion.change(before if before is not None else thumbnail, thumbnail)
            before = thumbnail
            answers = {}
            for name, search in (("verify the last faces", False), ("search the whole picture", True)):
                look = DetectorInput(image, known, search)
                answers[search] = timed(clock, name, lambda look=look: detector.collect(detector.submit([look])))
            found = answers[True][0].faces
            known = found.boxes
            with clock.time("track"):
                tracks = tracker.update(found.boxes, found.scores, found.landmarks, index / 25)
            for points in found.landmarks:
                chip = timed(
                    clock,
                    "align one face",
                    lambda image=image, points=points: align.chip(image, points, embedder.spec.template),
                )
                timed(clock, "embed one face", lambda chip=chip: embedder.embed(chip[None], mirror=False))
            tracked = Tracked(
                frame=FrameRef(camera="a", frame_id=index, captured_ns=1, wall_ns=1, pts_s=0.0, live=False),
                faces=tuple(
                    TrackedFace(
                        track_id=t.track_id,
                        state=t.state,
                        box=box_of(t.box.tolist()),
                        score=t.score,
                        landmarks=None if t.landmarks is None else landmarks_of(t.landmarks.ravel().tolist()),
                        name="Somebody",
                        confidence=0.9,
                        age_s=t.age_s,
                    )
                    for t in tracks
                ),
            )
            timed(clock, "event to JSON", lambda tracked=tracked: msgspec.json.encode(event_of(tracked)))
            timed(clock, "draw", lambda image=image, tracked=tracked: draw.faces(image, tracked.faces, landmarks=True))
            timed(clock, "encode H.264", lambda image=image, index=index: sink.write(image, index / 25))


def timed(clock: Clock, step: str, call: Callable[[], Any]) -> Any:
    with clock.time(step):
        return call()


if __name__ == "__main__":
    main()
