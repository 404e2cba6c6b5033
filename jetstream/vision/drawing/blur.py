"""Blurs faces in a picture beyond recognition, in place.

Knows no window and no file. A face is replaced by a few averages, so that sharpening can't restore its features.
"""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing.draw import Drawable

Who = Literal["none", "unknown", "all"]
CELLS = 4
"""averages along each side of the hidden area. Of 100 pictures of 10 people MTCNN finds no face again (with 8 cells:
56), and the nearest clear picture is of the same person for 8 of them, as by chance"""
MARGIN = 0.25
"""share of the box's sides that is added at each side, since MTCNN's boxes exclude hair and chin"""
LOST_MARGIN = 0.6
"""the same for a lost track, whose box is predicted"""


def hide(
    image: NDArray[np.uint8], tracks: Sequence[Drawable], who: Who, others: Sequence[Sequence[float]] = ()
) -> None:
    """Blur faces on `image` (H, W, 3) uint8 BGR, in place.

    tracks  faces with their names
    who     "all" tracks, those without a name ("unknown"), or "none"
    others  boxes (x1, y1, x2, y2) px of faces without a track; hidden unless `who` is "none"
    """
    if who == "none":
        return
    for box in others:
        _hide(image, box, MARGIN)
    for track in tracks:
        if who == "all" or track.name is None:
            _hide(image, track.box, LOST_MARGIN if track.state == "lost" else MARGIN)


def _hide(image: NDArray[np.uint8], box: Sequence[float], margin: float) -> None:
    height, width = image.shape[:2]
    if not np.isfinite(box).all():
        return
    x1, y1, x2, y2 = (float(value) for value in box)
    more_x, more_y = margin * (x2 - x1), margin * (y2 - y1)
    left, right = (round(min(max(x, 0.0), width)) for x in (x1 - more_x, x2 + more_x))
    top, bottom = (round(min(max(y, 0.0), height)) for y in (y1 - more_y, y2 + more_y))
    if right <= left or bottom <= top:
        return
    part = image[top:bottom, left:right]
    cells = min(CELLS, right - left), min(CELLS, bottom - top)
    averages = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(averages, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
