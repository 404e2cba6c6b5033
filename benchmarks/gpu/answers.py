"""The cascade's answers: compared with the CPU's on every picture, and for equality over many runs."""

import itertools
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.gpu.inputs import NOTHING, Options, as_nv12, config_of, in_ring, on_card, pictures, reference_answers
from jetstream.gpu.detector import GpuDetector
from jetstream.networks.gpu import open_gpu_detector
from jetstream.picture_format import PictureFormat, PicturePlace
from jetstream.runners import cuda_driver
from jetstream.vision.boxes import iou
from jetstream.vision.detection.detections import Detections, Picture
from jetstream.vision.detection.detector import DetectorInput, Ticket
from tests.support.nv12 import FORMATS, nv12_of

SAME_IOU = 0.5
FRAMES = 10_000
BATCH = 8
TURNS = 12


class Difference(NamedTuple):
    """Between two answers to one picture; the largest of its faces."""

    box_px: float = 0.0
    box_share: float = 0.0  # of the face's longer side
    landmark_px: float = 0.0
    landmark_share: float = 0.0
    score: float = 0.0
    lonely: tuple[float, ...] = ()  # scores of faces that only one of them has


def compared(ours: Detections, theirs: Detections) -> Difference:
    """Faces belong together that overlap most, since close scores may change places."""
    overlap = iou(ours.boxes, theirs.boxes)
    pairs = [
        (i, int(overlap[i].argmax()))
        for i in range(len(ours.boxes))
        if overlap.shape[1] and overlap[i].max() > SAME_IOU and overlap[:, overlap[i].argmax()].argmax() == i
    ]
    lonely = np.concatenate(
        [np.delete(ours.scores, [i for i, _ in pairs]), np.delete(theirs.scores, [j for _, j in pairs])]
    )
    if not pairs:
        return Difference(lonely=tuple(lonely.tolist()))
    mine, yours = (list(numbers) for numbers in zip(*pairs, strict=True))
    sides = (theirs.boxes[yours, 2:] - theirs.boxes[yours, :2]).max(axis=1)
    boxes = np.abs(ours.boxes[mine] - theirs.boxes[yours]).max(axis=1)
    points = np.linalg.norm(ours.landmarks[mine] - theirs.landmarks[yours], axis=2).max(axis=1)
    scores = np.abs(ours.scores[mine] - theirs.scores[yours])
    largest = [float(values.max()) for values in (boxes, boxes / sides, points, points / sides, scores)]
    return Difference(*largest, tuple(lonely.tolist()))


def against_cpu(options: Options) -> None:
    """Every picture of the data, whatever its size."""
    images = pictures(options.data)
    expected = reference_answers(images)
    faces = sum(len(one.boxes) for one in expected)
    print(f"{len(images)} pictures, {faces} faces by the CPU cascade; largest differences\n")
    head = "pictures with another number of faces", "scores of faces that only one has", "box px", "of the side"
    print(f"| | {' | '.join((*head, 'landmark px', 'of the side', 'score'))} |\n{'| --- ' * 8}|", flush=True)
    for precision in ("fp32", "fp16"):
        try:
            size = (max(image.shape[0] for image in images), max(image.shape[1] for image in images))
            with open_gpu_detector(config_of(options, precision, size=size)) as detector:
                found = [_alone(detector, image) for image in images]
                print(f"| {precision} | {_line(found, expected)} |", flush=True)
                for form in FORMATS:
                    print(f"| {precision}, {form.name} on the card | {_of_form(detector, images, form)} |", flush=True)
        except Exception as reason:  # the other rows go on
            print(f"| {precision} | failed: {reason!r} | | | | | | |", flush=True)


def _of_form(detector: GpuDetector, images: Sequence[Picture], form: PictureFormat) -> str:
    """NV12 of a matrix and a range, beside the CPU's answers to the BGR that this is."""
    some = [nv12_of(image, form) for image in images[:TURNS]]
    expected = reference_answers([one.bgr() for one in some])
    with on_card(some, detector._device) as there:
        return _line([_alone(detector, one) for one in there], expected)


def _line(found: Sequence[Detections], expected: Sequence[Detections]) -> str:
    differences = [compared(*both) for both in zip(found, expected, strict=True)]
    others = sum(len(ours.boxes) != len(theirs.boxes) for ours, theirs in zip(found, expected, strict=True))
    lonely = ", ".join(f"{score:.3f}" for one in differences for score in one.lonely) or "none"
    most = [max(one[number] for one in differences) for number in range(5)]
    return f"{others} | {lonely} | {most[0]:.3f} | {most[1]:.2%} | {most[2]:.3f} | {most[3]:.2%} | {most[4]:.2e}"


def _alone(detector: GpuDetector, image: PicturePlace) -> Detections:
    return detector.collect(detector.submit([DetectorInput(image, NOTHING, True)]))[0].faces


def stability(options: Options) -> None:
    """10,000 frames: without faces, with one, with many, in turn; alone, then in batches of changing sizes."""
    images = pictures(options.data)
    expected = reference_answers(images)
    chosen = _kinds(images, expected)
    print(f"{', '.join(f'{name}: {len(some)} pictures' for name, some in chosen.items())}; in turn\n", flush=True)
    cycles = [itertools.cycle(some) for some in chosen.values()]
    turns = [next(cycle) for _ in range(TURNS) for cycle in cycles]
    for precision in ("fp16", "fp32"):
        try:
            with in_ring(turns) as ringed, open_gpu_detector(config_of(options, precision)) as detector:
                _repeat(detector, ringed, precision)
            with (
                open_gpu_detector(config_of(options, precision)) as detector,
                on_card(as_nv12(turns), detector._device) as there,
            ):
                _repeat(detector, there, f"{precision}, NV12 on the card")
        except Exception as reason:  # the other rows go on
            print(f"{precision}: failed: {reason!r}", flush=True)


def _kinds(images: Sequence[Picture], answers: Sequence[Detections]) -> dict[str, list[Picture]]:
    """Pictures without a face, with one, and with the most."""
    counted = sorted(zip([len(one.boxes) for one in answers], range(len(images)), strict=True))
    none = [images[i] for count, i in counted if count == 0]
    one = [images[i] for count, i in counted if count == 1] or [images[counted[0][1]]]
    crowd = [images[i] for _, i in counted[-3:]]
    empty = {"no face": none} if none else {"no face (grey)": [np.full((1080, 1920, 3), 90, np.uint8)]}
    return {**empty, "one face": one, f"{counted[-1][0]} faces at most": crowd}


def _repeat(detector: GpuDetector, images: Sequence[PicturePlace], precision: str) -> None:
    alone = [_alone(detector, image) for image in images]
    in_batches = _in_batches(len(images))
    _checked(detector, images, alone, in_batches[:24], ahead=1)  # makes every graph
    head = "frames", "equal bit for bit", "other number of faces", "largest difference, px", "score", "GPU MB in use"
    print(f"| {precision} | {' | '.join(head)} | resident MB |\n{'| --- ' * 8}|")
    print(f"| at the start | 0 | | | | | {_memory(detector)} |", flush=True)
    began_s = time.perf_counter()
    singles = [[number % len(images)] for number in range(FRAMES // 2)]
    for name, batches, ahead in (("one at a time", singles, 0), ("1 to 8 at once, two under way", in_batches, 1)):
        tally = _checked(detector, images, alone, batches, ahead)
        print(f"| {name} | {tally.line()} | {_memory(detector)} |", flush=True)
    print(f"\n{FRAMES:,} frames in {time.perf_counter() - began_s:.1f} s; clipped candidates: {detector.clipped}\n")


def _in_batches(count: int) -> list[list[int]]:
    """Of 1 to 8 of so many pictures, which changes which graph they run in."""
    batches, first, size = [], 0, 1
    while first < FRAMES // 2:
        size = min(size % BATCH + 1, FRAMES // 2 - first)
        batches.append([number % count for number in range(first, first + size)])
        first += size
    return batches


class Tally:
    """Answers counted against those that each picture got alone."""

    def __init__(self) -> None:
        self._frames = self._equal = self._others = 0
        self._px = self._score = 0.0

    def add(self, found: Detections, alone: Detections) -> None:
        self._frames += 1
        if all(map(np.array_equal, found, alone)):
            self._equal += 1
            return
        self._others += len(found.boxes) != len(alone.boxes)
        difference = compared(found, alone)
        self._px = max(self._px, difference.box_px, difference.landmark_px)
        self._score = max(self._score, difference.score)

    def line(self) -> str:
        return f"{self._frames:,} | {self._equal:,} | {self._others} | {self._px:.4f} | {self._score:.1e}"


def _checked(
    detector: GpuDetector,
    images: Sequence[PicturePlace],
    alone: Sequence[Detections],
    batches: Sequence[Sequence[int]],
    ahead: int,
) -> Tally:
    """`ahead`: batches that are handed in before the one before them is waited for."""
    tally = Tally()
    under_way: deque[tuple[Ticket, Sequence[int]]] = deque()

    def finish() -> None:
        ticket, numbers = under_way.popleft()
        for seen, number in zip(detector.collect(ticket), numbers, strict=True):
            tally.add(seen.faces, alone[number])

    for numbers in batches:
        under_way.append(
            (detector.submit([DetectorInput(images[number], NOTHING, True) for number in numbers]), numbers)
        )
        while len(under_way) > ahead:
            finish()
    while under_way:
        finish()
    return tally


def _memory(detector: GpuDetector) -> str:
    context = detector._device._context
    with context.current():
        used = cuda_driver.gpu(context.device).memory_bytes - context.free_bytes()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return f"{used / 1e6:.1f} | {int(status['VmRSS'].split()[0]) / 1024:.1f}"
