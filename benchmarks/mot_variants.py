"""Sequences of MOTChallenge made harder, so that a gain can be told from chance: one figure of a sequence of 71 frames
changes by .1 with one switch.

Knows no tracker. Everything is drawn from a seed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.boxes import iou


class Labelled(NamedTuple):
    boxes: NDArray[np.float32]  # (N, 4) float32 xyxy px
    ids: NDArray[np.int64]  # (N,)
    scores: NDArray[np.float32]  # (N,) 0..1


class Sequence15(NamedTuple):
    frames_per_s: float
    detections: list[Labelled]
    truth: list[Labelled]


def every(sequence: Sequence15, count: int) -> Sequence15:
    """Each `count`-th frame: a slower camera."""
    return Sequence15(sequence.frames_per_s / count, sequence.detections[::count], sequence.truth[::count])


def noisy(sequence: Sequence15, seed: int, *, jitter: float = 0.02, missed: float = 0.05) -> Sequence15:
    """Detections whose sides jitter by a share of the box, and of which some are missing."""
    rng, detections = np.random.default_rng(seed), []
    for found in sequence.detections:
        kept = rng.random(len(found.boxes)) >= missed
        boxes = found.boxes[kept]
        scatter = rng.normal(0, jitter, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        detections.append(Labelled((boxes + scatter).astype(np.float32), found.ids[kept], found.scores[kept]))
    return sequence._replace(detections=detections)


def hidden(sequence: Sequence15, seed: int, *, hidden_s: float = 0.6, every_s: float = 6.7) -> Sequence15:
    """Each person is undetected for a while, now and then."""
    rng, fps = np.random.default_rng(seed), sequence.frames_per_s
    gaps: dict[int, set[int]] = {}
    for person in sorted({number for frame in sequence.truth for number in frame.ids.tolist()}):
        gaps[person], frame = set(), 0
        while frame < len(sequence.truth):
            frame += max(1, int(rng.exponential(every_s) * fps))
            gaps[person] |= set(range(frame, frame + max(1, round(hidden_s * fps))))
            frame += max(1, round(hidden_s * fps))
    detections = []
    for number, (found, truth) in enumerate(zip(sequence.detections, sequence.truth, strict=True)):
        overlaps = iou(found.boxes, truth.boxes)
        kept = np.ones(len(found.boxes), bool)
        for i, row in enumerate(overlaps):
            if len(row) and row.max() >= 0.4:
                kept[i] = number not in gaps[int(truth.ids[row.argmax()])]
        detections.append(Labelled(found.boxes[kept], found.ids[kept], found.scores[kept]))
    return sequence._replace(detections=detections)


def panned(sequence: Sequence15, seed: int, *, speed: float = 1.5, lasts_s: float = 1.0) -> Sequence15:
    """A camera that turns at random, at `speed` widths of a person a second, for about `lasts_s` in one direction."""
    rng = np.random.default_rng(seed)
    widths = np.concatenate([frame.boxes[:, 2] - frame.boxes[:, 0] for frame in sequence.detections])
    sigma = speed * float(np.median(widths))
    stay = float(np.exp(-1 / (sequence.frames_per_s * lasts_s)))
    velocity, place, shifts = rng.normal(0, sigma, 2), np.zeros(2), []
    for _ in sequence.truth:
        velocity = stay * velocity + np.sqrt(1 - stay**2) * rng.normal(0, sigma, 2) * (1.0, 0.3)
        place = place + velocity / sequence.frames_per_s
        shifts.append(np.tile(place, 2).astype(np.float32))

    def moved(frames: list[Labelled]) -> list[Labelled]:
        return [frame._replace(boxes=frame.boxes + shift) for frame, shift in zip(frames, shifts, strict=True)]

    return sequence._replace(detections=moved(sequence.detections), truth=moved(sequence.truth))


VARIANTS: dict[str, Callable[[Sequence15, int], Sequence15]] = {
    "each 2nd frame": lambda sequence, _: every(sequence, 2),
    "each 3rd frame": lambda sequence, _: every(sequence, 3),
    "jitter, misses": noisy,
    "hidden 0.6 s": hidden,
    "camera turns": panned,
}
