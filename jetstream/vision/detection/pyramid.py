"""One picture at every size that the networks need: whole levels and square crops, float32 BGR planes 0..255.

Knows no network and no face. This is the definition of how pictures are sampled; the tests' reference repeats it:

1. Halvings: halving k + 1 is halving k, less its last row or column where that is odd, averaged 2 x 2 and rounded.
   So pixel (x, y) of halving k covers the square [x, x + 1) * 2^k of the picture, exactly.
2. A level at scale s <= 1 samples the largest halving k with 2^-k >= s bilinearly at (i + 0.5) / (s * 2^k) - 0.5,
   borders repeated, rounded; it has round(columns * s * 2^k) columns. Exact halvings and one cheap step cost a tenth
   of a direct area average and alias little, because the cheap step shrinks less than twofold.
3. A crop of a box to side * side samples halving k bilinearly at side * side centres evenly spread over the box, black
   outside the picture, rounded; k is the largest with 2^k <= the box's longer side / side, as far as there are
   halvings.
"""

import math

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from jetstream.vision.boxes import Boxes

Planes = NDArray[np.float32]  # (N, 3, rows, columns) float32 BGR 0..255
MOST_PX = 32766  # cv2.remap reads no larger picture
CROPS_AT_ONCE = 512  # bounds the memory of a crowd or of noise, and the rows of one cv2.remap


class Pyramid:
    """The halvings of one picture, computed when first needed; `image` is (H, W, 3) uint8 BGR and isn't copied."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.height_px, self.width_px = image.shape[:2]
        self._halvings = [np.ascontiguousarray(image)]

    def level_shape(self, scale: float) -> tuple[int, int]:
        """(rows, columns) of the level at this scale."""
        return level_shape(self.height_px, self.width_px, scale)

    def level(self, scale: float) -> Planes:
        """The whole picture at this scale: (1, 3, rows, columns)."""
        k = halvings_for(scale)
        shrink = scale * 2**k
        return _planes(cv2.resize(self._halving(k), None, fx=shrink, fy=shrink, interpolation=cv2.INTER_LINEAR), 1)

    def crops(self, boxes: Boxes, side_px: int) -> Planes:
        """The contents of the (N, 4) px boxes: (N, 3, side_px, side_px)."""
        chosen = self._halvings_for_crops(boxes, side_px)
        crops = np.empty((len(boxes), 3, side_px, side_px), np.float32)
        for k in np.unique(chosen).tolist():
            ours = np.flatnonzero(chosen == k)
            for start in range(0, len(ours), CROPS_AT_ONCE):
                some = ours[start : start + CROPS_AT_ONCE]
                crops[some] = _cut(self._halving(k), boxes[some] / np.float32(2**k), side_px)
        return crops

    def _halving(self, k: int) -> NDArray[np.uint8]:
        while len(self._halvings) <= k:
            last = self._halvings[-1]
            rows, columns = last.shape[0] // 2, last.shape[1] // 2
            even = last[: rows * 2, : columns * 2]
            self._halvings.append(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
        return self._halvings[k]

    def _halvings_for_crops(self, boxes: Boxes, side_px: int) -> NDArray[np.intp]:
        longer = np.maximum(boxes[:, 2:] - boxes[:, :2], 1).max(axis=1)
        least = math.ceil(math.log2(max(self.width_px, self.height_px, MOST_PX) / MOST_PX))
        most = int(math.log2(max(min(self.width_px, self.height_px), 1)))
        return np.asarray(np.clip(np.floor(np.log2(longer / side_px)), least, max(least, most)), np.intp)


def level_shape(height_px: int, width_px: int, scale: float) -> tuple[int, int]:
    """(rows, columns) of the level at this scale of a picture."""
    k = halvings_for(scale)
    shrink = scale * 2**k
    return round((height_px >> k) * shrink), round((width_px >> k) * shrink)  # half to even, as cv2.resize rounds


def halvings_for(scale: float) -> int:
    """How often a picture is halved for a level: the largest k >= 0 with 2^-k >= scale."""
    return max(0, math.floor(-math.log2(scale)))


def _cut(image: NDArray[np.uint8], boxes: Boxes, side_px: int) -> Planes:
    """(N, 3, side_px, side_px): the (N, 4) boxes of this image, in its own pixels, in one call of remap."""
    centres = (np.arange(side_px, dtype=np.float32) + np.float32(0.5)) / np.float32(side_px)
    sides = boxes[:, 2:] - boxes[:, :2]
    points = boxes[:, :2, None] + sides[:, :, None] * centres - np.float32(0.5)  # (N, xy, side_px)
    shape = (len(boxes), side_px, side_px)
    columns = np.broadcast_to(points[:, 0, None, :], shape).reshape(-1, side_px)
    rows = np.broadcast_to(points[:, 1, :, None], shape).reshape(-1, side_px)
    stacked = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return _planes(stacked, len(boxes))


def _planes(stacked: MatLike, count: int) -> Planes:
    """(count * rows, columns, 3) pictures on top of each other to (count, 3, rows, columns)."""
    rows = stacked.shape[0] // count
    planes = np.empty((count, 3, rows, stacked.shape[1]), np.float32)
    for colour, plane in enumerate(cv2.split(stacked)):
        planes[:, colour] = plane.reshape(count, rows, -1)
    return planes
