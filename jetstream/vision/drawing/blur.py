"""Faces made unrecognisable in a picture, in place.

Knows no window and no file. Nothing of a face's features is left to be sharpened again: a few averages stay of it.
"""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing.draw import Drawable

Who = Literal["none", "unknown", "all"]
CELLS = 4
"""averages along each side of what is hidden. Of 100 pictures of 10 people MTCNN finds none again (with 8 cells: 56),
and the nearest clear picture is the same person's for 8 of them, as chance has it"""
MARGIN = 0.25
"""of the box's sides, more on each side: MTCNN's boxes leave out hair and chin"""
LOST_MARGIN = 0.6
"""the same where the box is a guess"""


def hide(
    image: NDArray[np.uint8], tracks: Sequence[Drawable], who: Who, others: Sequence[Sequence[float]] = ()
) -> None:
    """Hide `who` of the tracks on `image` (H, W, 3) uint8 BGR; `unknown` are those without a name, and the `others`,
    boxes (x1, y1, x2, y2) px of faces that no track follows."""
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
