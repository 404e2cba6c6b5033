"""What every face detector takes and gives: pictures in, boxes, scores and landmarks out.

Knows no detector.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.boxes import Boxes

SAME_FACE_IOU = 0.3  # of a face's last box and its next

Picture = NDArray[np.uint8]  # (H, W, 3) uint8 BGR


class Detections(NamedTuple):
    """Faces of one picture, highest score first, in its pixels. A box may reach over the border, as the face would."""

    boxes: Boxes  # (N, 4) float32 xyxy px, right and bottom exclusive
    scores: NDArray[np.float32]  # (N,) 0..1: the detector's probability that this is a face
    landmarks: NDArray[np.float32]  # (N, 5, 2) px: left eye, right eye, nose, left and right mouth corner as seen
