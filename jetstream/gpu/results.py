"""The block of bytes that holds a batch's answers, copied down from the GPU: totals, then faces, then thumbnails.

Knows no GPU; kernels/cascade.cu writes it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.structs import FACE_FLOATS, PlannedThumbnail
from jetstream.vision.detection.detections import Detections

TOTALS_BYTES = 16  # a picture


class CascadeResult(NamedTuple):
    """The answer to one picture."""

    faces: Detections
    thumbnail: NDArray[np.uint8]
    clipped: int  # candidates over BUDGET; those with the lowest scores were left out


def thumbnails_at(pictures: int, face_rows: int) -> int:
    """Offset of the thumbnails in bytes, behind totals and as many faces as there can be."""
    return -(-(TOTALS_BYTES * pictures + 4 * FACE_FLOATS * face_rows) // 16) * 16


def totals_of(block: NDArray[np.uint8], pictures: int) -> NDArray[np.int32]:
    """(pictures, 4): faces, rows of R-Net, rows of O-Net, clipped."""
    return block[: TOTALS_BYTES * pictures].view(np.int32).reshape(-1, 4)


def results(
    block: NDArray[np.uint8], planned: Sequence[PlannedThumbnail], most_pictures: int, face_rows: int
) -> list[CascadeResult]:
    """One result for each of the batch's pictures, copied out of the block."""
    first = TOTALS_BYTES * most_pictures
    rows = block[first : first + 4 * FACE_FLOATS * face_rows].view(np.float32).reshape(-1, FACE_FLOATS)
    thumbnails = block[thumbnails_at(most_pictures, face_rows) :]
    totals = totals_of(block, len(planned)).tolist()
    kept: list[int] = []
    row = 0  # of O-Net: a picture's faces begin at its first row
    for count, _, asked, _ in totals:
        kept.extend(range(row, row + count))
        row += asked
    faces = _detections(rows[np.array(kept, np.intp)])  # of all pictures: a call takes as long for one
    found = []
    end = 0
    for (count, _, _, clipped), (first, height, width) in zip(totals, planned, strict=True):
        begin, end = end, end + count
        one = Detections(faces.boxes[begin:end], faces.scores[begin:end], faces.landmarks[begin:end])
        thumbnail = thumbnails[first : first + height * width].reshape(height, width).copy()
        found.append(CascadeResult(one, thumbnail, clipped))
    return found


def _detections(faces: NDArray[np.float32]) -> Detections:
    scores = 1 / (1 + np.exp(-faces[:, 4]))
    return Detections(faces[:, :4].copy(), np.asarray(scores, np.float32), faces[:, 5:].reshape(-1, 5, 2).copy())
