"""The detections of one frame, as arrays.

Knows no track and no time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FoundFaces:
    boxes: NDArray[np.float32]  # (N, 4) xyxy px, finite and of an area
    scores: NDArray[np.float32]  # (N,) 0..1
    landmarks: NDArray[np.float32] | None  # (N, 5, 2) px

    def marks(self, index: int) -> NDArray[np.float32] | None:
        return None if self.landmarks is None else self.landmarks[index]


def usable(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], landmarks: NDArray[np.float32] | None
) -> FoundFaces:
    """The detections whose boxes are finite and have an area; a NaN would stay in a filter for ever."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    scores = np.asarray(scores, np.float32).reshape(-1)
    fine = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    marks = None if landmarks is None else np.asarray(landmarks, np.float32).reshape(-1, 5, 2)[fine]
    return FoundFaces(boxes[fine], scores[fine], marks)
