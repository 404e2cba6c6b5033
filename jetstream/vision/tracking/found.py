"""The detections of one frame, as plain numbers.

Knows no track and no time.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.tracking.kalman import Corners


@dataclass(frozen=True, slots=True)
class FoundFaces:
    boxes: list[Corners]  # finite and of an area
    scores: list[float]  # 0..1
    landmarks: list[NDArray[np.float32] | None]  # (5, 2) px each


def usable(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], landmarks: NDArray[np.float32] | None
) -> FoundFaces:
    """The detections whose boxes are finite and have an area; a NaN would stay in a filter for ever."""
    corners = np.asarray(boxes, np.float32).reshape(-1, 4).tolist()
    values = np.asarray(scores, np.float32).reshape(-1).tolist()
    marks = None if landmarks is None else np.asarray(landmarks, np.float32).reshape(-1, 5, 2)
    found = FoundFaces([], [], [])
    for index, ((x1, y1, x2, y2), score) in enumerate(zip(corners, values, strict=True)):
        # a sum is finite only where its parts are, and those of float32 don't overflow
        if x2 > x1 and y2 > y1 and isfinite(x1 + y1 + x2 + y2 + score):
            found.boxes.append((x1, y1, x2, y2))
            found.scores.append(score)
            found.landmarks.append(None if marks is None else marks[index])
    return found
