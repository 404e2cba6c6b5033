"""P-Net, MTCNN's first network, over a whole picture: squares that may hold a face, at every size.

Knows one picture at a time, and not the networks that check its proposals.

P-Net looks at every second 12 x 12 cell of a level. Its boxes follow the published Matlab code, which counts pixels
from 1 and includes the last; here they are half-open, so the left and top are one less.
"""

import numpy as np
from numpy.typing import NDArray

from jetstream.runners.base import Runner
from jetstream.vision.boxes import Boxes, nms, square
from jetstream.vision.detection.pyramid import Pyramid, level_shape

CELL_PX = 12
STRIDE_PX = 2
WITHIN_LEVEL_IOU = 0.5
ACROSS_LEVELS_IOU = 0.7

Found = tuple[Boxes, NDArray[np.float32], NDArray[np.float32]]  # (N, 4) px, (N,) logits, (N, 4) offsets


def propose(pnet: Runner, picture: Pyramid, scales: list[float], min_logit: float, max_iou: float) -> Boxes:
    """(N, 4) squares in pixels of the picture that may hold a face, highest score first, without a limit.

    Squares that overlap a better one by more than `max_iou` are left out.
    """
    found = [_propose_at(pnet, picture, scale, min_logit) for scale in scales]
    if not found:
        return np.empty((0, 4), np.float32)
    boxes, logits, offsets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept = nms(boxes, logits, ACROSS_LEVELS_IOU)
    boxes, offsets = boxes[kept], offsets[kept]
    # Only here do offsets count in steps from the first pixel to the last, one less than the width.
    steps = boxes[:, 2:] - boxes[:, :2] - np.float32(1)
    squares = square(boxes + offsets * np.tile(steps, 2))
    return squares[nms(squares, logits[kept], max_iou)]


def scales_of(height_px: int, width_px: int, largest: float, smallest: float, factor: float) -> list[float]:
    """From `largest`, each `factor` times the one before, while they are at least `smallest` and a cell fits."""
    scales: list[float] = []
    scale = largest
    while scale >= smallest and min(level_shape(height_px, width_px, scale)) >= CELL_PX:
        scales.append(scale)
        scale *= factor
    return scales


def _propose_at(pnet: Runner, picture: Pyramid, scale: float, min_logit: float) -> Found:
    """The proposals of one level; the boxes are whole cells, their offsets not yet applied."""
    answer = pnet.infer({"image": picture.level(scale)})
    logits = answer["logit"][0, 0]
    rows, columns = np.nonzero(logits >= min_logit)
    first = np.stack([columns, rows], axis=1) * STRIDE_PX
    boxes = np.hstack([np.floor((first + 1) / scale) - 1, np.floor((first + CELL_PX) / scale)]).astype(np.float32)
    kept = nms(boxes, logits[rows, columns], WITHIN_LEVEL_IOU)
    rows, columns = rows[kept], columns[kept]
    return boxes[kept], logits[rows, columns], answer["offsets"][0][:, rows, columns].T
