"""How far the same faces lie apart in two answers to one picture."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.boxes import iou
from jetstream.vision.detection.detections import SAME_FACE_IOU, Detections


class FaceMoves(NamedTuple):
    """Of M faces that both answers have; `lonely` are the scores of those that only one has."""

    shares: NDArray[np.float32]  # (M,) of the longer side: the farthest edge or landmark
    scores: NDArray[np.float32]  # (M,) difference
    lonely: list[float]


def between(given: Detections, wanted: Detections) -> FaceMoves:
    """Faces belong together that overlap most, since close scores may change places."""
    overlap = iou(given.boxes, wanted.boxes)
    best = [(i, int(row.argmax())) for i, row in enumerate(overlap) if row.max(initial=0) > SAME_FACE_IOU]
    pairs = [(i, j) for i, j in best if overlap[:, j].argmax() == i]
    ours, theirs = np.array(pairs, np.intp).reshape(-1, 2).T
    boxes, landmarks = wanted.boxes[theirs], wanted.landmarks[theirs]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    edges = np.abs(given.boxes[ours] - boxes).max(axis=1)
    points = np.linalg.norm(given.landmarks[ours] - landmarks, axis=2).max(axis=1)
    scores = np.abs(given.scores[ours] - wanted.scores[theirs])
    lonely = [*np.delete(given.scores, ours).tolist(), *np.delete(wanted.scores, theirs).tolist()]
    return FaceMoves(np.maximum(edges, points) / sides, scores, lonely)
