"""YuNet and SCRFD: one network that looks at a whole picture once and says for each cell whether a face is there.

Knows no file and no time, and keeps nothing between calls. A cell is a square of 8, 16 or 32 pixels. YuNet (Wu et al.,
2023) says of each cell a class and an objectness, whose geometric mean is its score; SCRFD (Guo et al., 2021) says one
score for each of two anchors. Where faces were last, only a window around each is looked at: neither has a second
network that could verify a box.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError
from jetstream.picture_format import bgr_of
from jetstream.runners.base import Arrays, Runner
from jetstream.vision.boxes import Boxes, iou, nms, square, widen
from jetstream.vision.detection.detections import Detections, Picture
from jetstream.vision.detection.detector import DetectorInput, DetectorOutput, Ticket
from jetstream.vision.detection.pyramid import Pyramid

Layout = Literal["yunet", "scrfd"]

INPUT: Final = "image"
STRIDES: Final = (8, 16, 32)
SMALLEST_PX: Final = 24.0  # the smallest face is scaled to this
LARGEST_PX: Final = 640  # a picture whose longer side is larger is looked at once more at a quarter, for close faces
WINDOW_PX: Final = 128
WINDOW_SHARE: Final = 1.0  # of a face's side, added to it: a face may move by half of its width
SAME_PLACE_IOU: Final = 0.15
MAX_IOU: Final = 0.3
# Scores to what MTCNN's probabilities mean to tracks and presets: benchmarks/bench_detectors.py has what it finds.
_RAW = (0.0, 0.6, 0.7, 0.75, 0.85, 1.0)
_PROBABILITY = (0.0, 0.5, 0.85, 0.93, 0.98, 1.0)


class _Cells(NamedTuple):
    """The cells of one stride: all in their picture's pixels, rows in the order of the network's."""

    scores: NDArray[np.float32]  # (N,)
    boxes: Boxes
    points: NDArray[np.float32]  # (N, 5, 2)


class YunetDetector:
    """A `vision.detection.detector.Detector` on a runner, which stays the caller's to close; for one thread."""

    reads_in_place = False
    gives_thumbnails = False
    gpu = None

    def __init__(
        self, network: Runner, layout: Layout, *, min_face_px: float, max_face_px: float | None, least_score: float
    ) -> None:
        """`least_score`: probability from which a cell is a face. Raises ModelError for a network of another form."""
        names = {spec.name for spec in network.outputs}
        for name in (name for stride in STRIDES for name in output_names(layout, stride)):
            if name not in names:
                raise ModelError(f"a detector of the layout {layout} has no output {name}; add it again")
        self._network, self._layout = network, layout
        self._min_face_px, self._max_face_px = min_face_px, max_face_px
        self._scale = min(1.0, SMALLEST_PX / min_face_px)
        self._least_raw = float(np.interp(least_score, _PROBABILITY, _RAW))

    def submit(self, inputs: Sequence[DetectorInput]) -> Ticket:
        """Only keep the inputs for `collect`."""
        return inputs

    def collect(self, ticket: Ticket) -> list[DetectorOutput]:
        """Search whole pictures, and look at windows around known faces in the others."""
        inputs: Sequence[DetectorInput] = ticket
        return [
            DetectorOutput(
                self._search(bgr_of(one.image)) if one.search else self._verify(bgr_of(one.image), one.known)
            )
            for one in inputs
        ]

    def _search(self, image: Picture) -> Detections:
        picture = Pyramid(image)
        scales = [self._scale]
        if max(image.shape[:2]) * self._scale > LARGEST_PX:
            scales.append(self._scale / 4)
        found = []
        for scale in scales:
            if min(picture.level_shape(scale)) >= 1:
                level = picture.level(scale)
                rows, columns = level.shape[2:]
                zoom = np.array([image.shape[1] / columns, image.shape[0] / rows], np.float32)
                found.append(self._faces(level, np.zeros(2, np.float32), zoom))
        return self._best(found)

    def _verify(self, image: Picture, known: Boxes) -> Detections:
        if not len(known):
            return self._best([])
        windows = widen(square(known), WINDOW_SHARE)
        crops = Pyramid(image).crops(windows, WINDOW_PX)
        found = [
            self._faces(crop[None], window[:2], (window[2:] - window[:2]) / np.float32(WINDOW_PX))
            for crop, window in zip(crops, windows, strict=True)
        ]
        best = self._best(found)
        there = iou(best.boxes, known).max(axis=1, initial=0) >= SAME_PLACE_IOU
        return Detections(best.boxes[there], best.scores[there], best.landmarks[there])

    def _faces(self, planes: NDArray[np.float32], start: NDArray[np.float32], zoom: NDArray[np.float32]) -> _Cells:
        """Cells that are faces, of (1, 3, H, W) BGR 0..255, in pixels of the picture that begins at `start`."""
        rows, columns = (math.ceil(side / STRIDES[-1]) * STRIDES[-1] for side in planes.shape[2:])
        padded = np.zeros((1, 3, rows, columns), np.float32)
        padded[:, :, : planes.shape[2], : planes.shape[3]] = planes
        answers = self._network.infer({INPUT: padded})
        parts = [decoded(answers, self._layout, stride, columns // stride, self._least_raw) for stride in STRIDES]
        scores, boxes, points = (np.concatenate(one) for one in zip(*parts, strict=True))
        return _Cells(scores, boxes * np.tile(zoom, 2) + np.tile(start, 2), points * zoom + start)

    def _best(self, found: Sequence[_Cells]) -> Detections:
        scores = np.concatenate([np.empty(0, np.float32), *(one.scores for one in found)])
        boxes = np.concatenate([np.empty((0, 4), np.float32), *(one.boxes for one in found)])
        points = np.concatenate([np.empty((0, 5, 2), np.float32), *(one.points for one in found)])
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
        right_size = (sides >= 0.8 * self._min_face_px) & (sides <= (self._max_face_px or np.inf))
        rows = np.flatnonzero(right_size)
        rows = rows[nms(boxes[rows], scores[rows], MAX_IOU)]
        probabilities = np.interp(scores[rows], _RAW, _PROBABILITY)
        return Detections(
            np.asarray(boxes[rows], np.float32),
            np.asarray(probabilities, np.float32),
            np.asarray(points[rows], np.float32),
        )


def output_names(layout: Layout, stride: int) -> list[str]:
    """The network's outputs for the cells of one stride: (cells * anchors, 1), (..., 4) and (..., 10)."""
    scores = [f"class_{stride}", f"object_{stride}"] if layout == "yunet" else [f"class_{stride}"]
    return [*scores, f"box_{stride}", f"points_{stride}"]


def decoded(answers: Arrays, layout: Layout, stride: int, columns: int, least: float) -> _Cells:
    """The cells of one stride whose score is at least `least`."""
    *parts, box, point = (answers[name] for name in output_names(layout, stride))
    scores = np.prod([np.clip(part.reshape(-1), 0, 1) for part in parts], axis=0) ** (1 / len(parts))
    rows = np.flatnonzero(scores >= least)
    box, point = box.reshape(-1, 4)[rows], point.reshape(-1, 5, 2)[rows]
    cells = rows // (2 if layout == "scrfd" else 1)
    corner = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)
    if layout == "yunet":
        middle, sides = corner + box[:, :2], np.exp(box[:, 2:])
        boxes = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)
    else:
        boxes = np.concatenate([corner - box[:, :2], corner + box[:, 2:]], axis=1)
    points = corner[:, None] + point
    return _Cells(
        np.asarray(scores[rows], np.float32),
        np.asarray(boxes * stride, np.float32),
        np.asarray(points * stride, np.float32),
    )
