"""How far the picture moved between two thumbnails, because the camera turned, shook or was carried.

Pure: thumbnails in, pixels out. Knows no face, and takes a picture that mostly moves for a camera that does.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.detection.motion import STRIDE, correlation

# Of the picture's pixels that changed. On still cameras 2 to 4 % do where somebody talks; at a shift of one pixel of
# the thumbnail 7 % and more.
LEAST_CHANGE: Final = 0.05
# In pixels of the thumbnail: smaller shifts are lost in a moving face's own motion, and no box is missed for them.
LEAST_PX: Final = 0.5
# Of the picture's side. Two thumbnails that overlap less have too little in common.
MOST: Final = 0.3
# By how much the difference of the two thumbnails must decrease when the first is moved onto the second.
EXPLAINED: Final = 0.8
# Then they must correlate as one scene's. Pairs of pictures from two scenes that a shift seemed to explain: up to 0.30.
SAME_SCENE: Final = 0.6


class Shift(NamedTuple):
    """By how much everything in the picture moved, in pixels of the full frame."""

    right_px: float
    down_px: float

    def plus(self, other: "Shift") -> "Shift":
        return Shift(self.right_px + other.right_px, self.down_px + other.down_px)

    def minus(self, other: "Shift") -> "Shift":
        return Shift(self.right_px - other.right_px, self.down_px - other.down_px)


STILL: Final = Shift(0.0, 0.0)


def shift(before: NDArray[np.uint8], after: NDArray[np.uint8], changed: float = 1.0) -> Shift:
    """From one thumbnail to the next, both (H, W) uint8; `STILL` where the camera stood still or nothing can be told.

    Phase correlation (Kuglin and Hines 1975), to fractions of a thumbnail's pixel. It finds the motion of the largest
    part of the picture, and is believed only where moving the picture by it explains the difference. So there is none
    at a hard cut; a fast pan, which `motion.change` may take for one, has one.

    changed  share of the picture that changed, see `motion.change`
    """
    if changed < LEAST_CHANGE or before.shape != after.shape or min(before.shape) < 8:
        return STILL
    height, width = before.shape
    # OpenCV multiplies the arrays that it is given by the window.
    (right, down), _ = cv2.phaseCorrelate(before.astype(np.float32), after.astype(np.float32), _window(width, height))
    least = max(abs(right), abs(down)) >= LEAST_PX
    if not (least and abs(right) <= MOST * width and abs(down) <= MOST * height):  # nor where it is NaN
        return STILL
    if not _explains(before, after, round(right), round(down)):
        return STILL
    return Shift(right * STRIDE, down * STRIDE)


def _explains(before: NDArray[np.uint8], after: NDArray[np.uint8], right: int, down: int) -> bool:
    """Whether `before`, moved by whole pixels, is much more like `after` than it is where it was."""
    height, width = before.shape
    here = np.s_[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    there = np.s_[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    now, source = after[here], before[there]
    moved = cv2.norm(now, source, cv2.NORM_L1) / now.size  # the mean difference: the sum of bytes is exact
    if moved > EXPLAINED * (cv2.norm(now, before[here], cv2.NORM_L1) / now.size):
        return False
    return correlation(source, now) >= SAME_SCENE


@lru_cache(maxsize=64)
def _window(width: int, height: int) -> Any:
    """A Hanning window, so that the picture's borders, which don't move, don't count."""
    return cv2.createHanningWindow((width, height), cv2.CV_32F)
