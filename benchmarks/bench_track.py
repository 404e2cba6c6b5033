"""Processor time of the stage `track` for one frame, and the same with filterpy's 8x8 matrices as each track's filter.

    python -m benchmarks.bench_track

Faces that walk in front of a camera, 25 frames a second, are given to `CameraTracks` as `detect` finds them: with
jitter, weak ones and missed ones. What it asks is answered at once, rightly. What it says is encoded as it is
sent. Both filters get the same frames in turn. Of each frame the least of `ROUNDS` counts, by the process's own clock:
the work is the same in each round, and what other work on the machine adds isn't. The last two columns are the filters
alone: one prediction and one correction of one face.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
import numpy as np

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.messages import Detected, Face, FrameRef, Message, Named, NamedFace, Wanted, box_of, landmarks_of
from jetstream.stages.track import CameraTracks
from jetstream.vision.tracking.kalman import FilterKind, filter_class

FACES: Final = (0, 1, 2, 5, 20)
FPS: Final = 25
SECONDS: Final = 6
ROUNDS: Final = 7
KINDS: Final[tuple[FilterKind, ...]] = ("scalar", "filterpy")
PICTURE_PX: Final = (1280.0, 720.0)
# eyes, nose and corners of the mouth in a face's box
MARKS: Final = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.8), (0.65, 0.8)])


def main() -> None:
    print("| faces | us a frame | with filterpy's filter | ratio | the filter, us a face | filterpy's |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in FACES:
        frames = _frames(count)
        ours, theirs = _least([partial(_frame_us, frames, kind) for kind in KINDS])
        row = f"| {count} | {ours:.0f} | {theirs:.0f} | {theirs / ours:.2f} |"
        if count:
            alone = _least([partial(_filter_us, count, kind) for kind in KINDS])
            row += f" {alone[0]:.1f} | {alone[1]:.0f} |"
        print(row if count else f"{row} | |", flush=True)


def _least(measures: list[Callable[[], list[float]]]) -> list[float]:
    """The mean over the parts of each measure, each part the least of all rounds."""
    rounds = [[measure() for measure in measures] for _ in range(ROUNDS)]
    return np.array(rounds).min(axis=0).mean(axis=1).tolist()


def _frame_us(frames: list[Detected], kind: FilterKind) -> list[float]:
    tracks, encode, taken_us = CameraTracks(_config(kind)), msgspec.msgpack.Encoder().encode, []
    for frame in frames:
        begun_s = time.process_time()
        wanted: Wanted | None = None
        for message in tracks.see(frame):
            encode(message)
            wanted = message if isinstance(message, Wanted) else wanted
        if wanted is not None:
            for message in tracks.hear(_answer(wanted)):
                encode(message)
        taken_us.append((time.process_time() - begun_s) * 1e6)
    return taken_us


def _filter_us(count: int, kind: FilterKind, steps: int = 100) -> list[float]:
    boxes = [(50.0 * i, 20.0, 50.0 * i + 80, 120.0) for i in range(count)]
    filters, taken_us = [filter_class(kind)(box, 1.0) for box in boxes], []
    for _ in range(steps):
        begun_s = time.process_time()
        for kalman, box in zip(filters, boxes, strict=True):
            kalman.predict(1 / FPS)
            kalman.update(box, 0.95)
        taken_us.append((time.process_time() - begun_s) / count * 1e6)
    return taken_us


def _config(kind: FilterKind) -> Config:
    data = {"cameras": [{"name": "door", "source": "demo"}], "track": {"kalman": kind}}
    return load.build(data, where="benchmark")


def _frames(count: int) -> list[Detected]:
    """Faces on their way, which turn at the picture's border."""
    draws = np.random.default_rng(count)
    places, speeds = draws.uniform(0, PICTURE_PX, (count, 2)), draws.normal(0, 40, (count, 2))
    sides = draws.uniform(60, 140, count)
    frames = []
    for number in range(SECONDS * FPS):
        places += speeds / FPS
        speeds[(places < 0) | (places > PICTURE_PX)] *= -1
        found = np.flatnonzero(draws.random(count) < 0.97)
        faces = tuple(_face(places[i], sides[i], draws) for i in found)
        time_ns = number * 1_000_000_000 // FPS
        frame = FrameRef("door", number, captured_ns=time_ns, wall_ns=time_ns, pts_s=number / FPS, live=True)
        frames.append(Detected(frame=frame, faces=faces))
    return frames


def _face(middle: np.ndarray, side: float, draws: np.random.Generator) -> Face:
    size = side * np.array([1.0, 1.25])
    corner = middle - size / 2 + draws.normal(0, 0.02 * side, 2)
    marks = corner + size * (MARKS + draws.normal(0, 0.02, MARKS.shape))
    box, points = np.concatenate([corner, corner + size]).astype(np.float32), marks.astype(np.float32)
    score = 0.7 if draws.random() < 0.05 else 0.99
    return Face(box=box_of(box.tolist()), score=score, landmarks=landmarks_of(points.ravel().tolist()))


def _answer(wanted: Wanted) -> Message:
    """Every track has a name of its own."""
    return Named(
        frame=wanted.frame,
        faces=tuple(
            NamedFace(
                face.track_id,
                f"person {face.track_id}",
                0.95,
                0.3,
                None,
                photo="1.jpg",
                quality=0.9,
                same=True,
                drift=0.15,
            )
            for face in wanted.faces
        ),
    )


if __name__ == "__main__":
    main()
