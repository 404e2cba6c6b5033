"""Rectangles as arrays: how they overlap, which to keep, how to shape them.

Knows no picture, no network and no time. A box is (left, top, right, bottom) in pixels, float32, right and bottom
exclusive, so width is right - left and a pixel at column x covers [x, x + 1).
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]  # (N, 4) float32 xyxy px


def area(boxes: Boxes) -> NDArray[np.float32]:
    """(N,) float32 px^2; 0 for a box turned inside out."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """(N, M) float32 px^2 that each of the N boxes `a` shares with each of the M boxes `b`."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """(N, M) float32, 0..1: intersection over union of every pair; 0 where both boxes are empty."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    overlaps = np.zeros_like(shared)
    np.divide(shared, union, out=overlaps, where=union > 0)
    return overlaps


def nms(boxes: Boxes, scores: NDArray[np.float32], max_iou: float) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best score first: each one overlaps no better one by more than `max_iou`.

    Equal scores keep their order, so the answer is a function of the input. `scores` are (N,) of any sign.
    """
    if len(boxes) < 2:
        return np.arange(len(boxes), dtype=np.intp)
    order = np.argsort(-scores, kind="stable")
    xywh = boxes[order].astype(np.float64)
    xywh[:, 2:] -= xywh[:, :2]
    # Ranks for scores: OpenCV 5 drops scores that aren't above its threshold and refuses thresholds below 0.
    ranks: Any = np.arange(len(boxes), 0, -1, dtype=np.float32)
    kept: Any = cv2.dnn.NMSBoxes(xywh, ranks, 0.0, max_iou)  # type: ignore[arg-type]
    return np.asarray(order[np.asarray(kept).reshape(-1)], np.intp)


def nms_min(boxes: Boxes, scores: NDArray[np.float32], max_share: float) -> NDArray[np.intp]:
    """Like `nms`, but overlap is measured against the smaller box, so a box inside another one is suppressed."""
    areas = area(boxes)
    kept: list[int] = []
    for candidate in np.argsort(-scores, kind="stable").tolist():
        shared = intersection(boxes[[candidate]], boxes[kept])[0]
        if not np.any(shared > max_share * np.minimum(areas[candidate], areas[kept])):
            kept.append(candidate)
    return np.array(kept, np.intp)


def square(boxes: Boxes) -> Boxes:
    """The smallest squares around the boxes' centres that hold their longer sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    top_left = boxes[:, :2] + (sides - longer) * np.float32(0.5)
    return np.concatenate([top_left, top_left + longer], axis=1)


def widen(boxes: Boxes, share: float) -> Boxes:
    """The boxes grown around their centres by `share` of their sides (0.2: a fifth longer)."""
    margin = (boxes[:, 2:] - boxes[:, :2]) * np.float32(share / 2)
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)


def clip(boxes: Boxes, width_px: float, height_px: float) -> Boxes:
    """The parts of the boxes inside a picture; a box wholly outside comes back empty, on the border."""
    limit = np.array([width_px, height_px, width_px, height_px], np.float32)
    return np.clip(boxes, np.float32(0), limit)
