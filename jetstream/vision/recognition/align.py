"""Five landmarks to dlib's 150 x 150 chip. Enrolment and live use both cut faces here and nowhere else.

Knows no detector and no network: a picture and points in, pixels out.

The similarity transform goes from the template to the picture, fitted by weighted least squares to MTCNN's five points.
The chip is sampled as dlib's `get_face_chip` does, its offsets of half a pixel included, because the embedding network
was trained on such chips. Template and weights were fitted so that MTCNN's points land where dlib's own would.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CHIP_PX = 150

# Part of every gallery's manifest. Increase it whenever the same photo would give another chip.
ALIGNMENT_VERSION = 1

# Left eye, right eye, nose, left mouth corner, right mouth corner, as fractions of the chip's side.
TEMPLATE = np.array(
    [[0.32294, 0.31045], [0.68425, 0.31021], [0.50154, 0.52413], [0.34303, 0.70618], [0.66288, 0.70652]]
)
WEIGHTS = np.array([0.429, 0.413, 0.053, 0.053, 0.052])
TEMPLATE.setflags(write=False)
WEIGHTS.setflags(write=False)

# Picture pixels a chip pixel. A larger face can't be one; this also bounds the work that a wrong landmark can cause.
_MAX_SCALE = 1000.0


class Similarity(NamedTuple):
    """A transform in complex numbers: template pixel x + iy lies at picture pixel `turn * (x + iy) + shift`."""

    turn: complex
    shift: complex

    @property
    def scale(self) -> float:
        """Picture pixels a chip pixel."""
        return abs(self.turn)


class ChipPlace(NamedTuple):
    """Where a chip is sampled: a part of the picture, halved `levels` times by cv2.pyrDown, then warped by `matrix`."""

    left: int  # px of the picture; left and top are multiples of 2**levels
    top: int
    right: int
    bottom: int
    levels: int
    matrix: NDArray[np.float64]  # (2, 3): a pixel of the chip to one of the halved part


def similarity(landmarks: NDArray[Any]) -> Similarity | None:
    """The rotation, scale and shift that bring the template nearest to `landmarks` (5, 2), x and y in pixels.

    Weighted least squares in the picture: in complex numbers, turn = sum(w conj(t) p) / sum(w |t|^2) over centred
    points, which can't mirror. None where the landmarks can't be a face: a coordinate isn't finite, all points are in
    one place, or the scale is over 1000 or under 1/1000. Raises ValueError for another number of points.
    """
    if not np.isfinite(landmarks).all():
        return None
    points = _complex(np.asarray(landmarks, dtype=np.float64).reshape(5, 2))
    template = _complex(TEMPLATE * CHIP_PX)
    weights = WEIGHTS / WEIGHTS.sum()
    template_centre, centre = weights @ template, weights @ points
    spread = template - template_centre
    turn = complex((weights * spread.conj()) @ (points - centre) / (weights @ np.abs(spread) ** 2))
    if not 1.0 / _MAX_SCALE < abs(turn) < _MAX_SCALE:
        return None
    return Similarity(turn, complex(centre - turn * template_centre))


def chip(image: NDArray[np.uint8], landmarks: NDArray[Any]) -> NDArray[np.uint8]:
    """One face, upright: (150, 150, 3) uint8 BGR.

    `image` is (H, W, 3) uint8 BGR, `landmarks` (5, 2) in its pixels: left eye, right eye, nose, left and right mouth
    corner as seen in the picture. The chip is black outside the picture, and all black where the landmarks can't be a
    face (see `similarity`).
    """
    found = similarity(landmarks)
    if found is None:
        return np.zeros((CHIP_PX, CHIP_PX, 3), dtype=np.uint8)
    return _sample(image, found)


def chips(image: NDArray[np.uint8], landmarks: NDArray[Any] | Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """`chip` for each of `landmarks` (N, 5, 2) of one picture: (N, 150, 150, 3) uint8 BGR; N may be 0."""
    cut = np.empty((len(landmarks), CHIP_PX, CHIP_PX, 3), dtype=np.uint8)
    for index, points in enumerate(landmarks):
        cut[index] = chip(image, points)
    return cut


def place(found: Similarity, height: int, width: int) -> ChipPlace | None:
    """Where `chip` samples a picture of `height` x `width` px: halved until a chip pixel is at most two pixels wide.

    dlib spreads the chip's 150 pixels over `150 * scale - 1` picture pixels around the point under chip (75, 75). None
    where the whole chip lies outside the picture.
    """
    middle = found.turn * complex(CHIP_PX / 2, CHIP_PX / 2) + found.shift
    side_px = CHIP_PX * found.scale
    step = found.turn / found.scale * (side_px - 1) / (CHIP_PX - 1)
    start = middle - step * complex((CHIP_PX - 1) / 2, (CHIP_PX - 1) / 2)

    levels = _levels(side_px)
    left, top, right, bottom = _part(middle, side_px, levels, height, width)
    if left >= right or top >= bottom:
        return None
    start -= complex(left, top)
    for _ in range(levels):
        # dlib's own halving drops a border and places its pixels half a pixel to the right and up.
        step, start = step / 2, start / 2 + complex(-0.25, 0.25)
    matrix = np.array([[step.real, -step.imag, start.real], [step.imag, step.real, start.imag]])
    return ChipPlace(left, top, right, bottom, levels, matrix)


def _complex(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * points[..., 1], dtype=np.complex128)


def _sample(image: NDArray[np.uint8], found: Similarity) -> NDArray[np.uint8]:
    where = place(found, *image.shape[:2])
    if where is None:
        return np.zeros((CHIP_PX, CHIP_PX, 3), dtype=np.uint8)
    image = image[where.top : where.bottom, where.left : where.right]
    for _ in range(where.levels):
        image = cv2.pyrDown(image).astype(np.uint8, copy=False)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, where.matrix, (CHIP_PX, CHIP_PX), flags=flags).astype(np.uint8, copy=False)


def _levels(side_px: float) -> int:
    """How often dlib halves the picture: as long as the face's square, halved again, is still larger than the chip.

    A side of n pixels becomes (n + 1) / 2 when halved. Found by comparison with dlib at every threshold.
    """
    levels = 0
    while (side_px + 1) / 2 > CHIP_PX:
        side_px = (side_px + 1) / 2
        levels += 1
    return levels


def _part(middle: complex, side_px: float, levels: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in px of all that the chip can sample: halving a whole 12-megapixel photo is slow."""
    grid = 2**levels
    # The chip's half diagonal, and room for the halving filters (two pixels at each level).
    reach = side_px * 0.7072 + 4 * grid
    # The corner lies on the grid, so that halving gives the same pixels as it would in the whole picture.
    left, top = (int(max(edge - reach, 0) // grid * grid) for edge in (middle.real, middle.imag))
    right, bottom = (int(max(edge + reach, 0)) + 1 for edge in (middle.real, middle.imag))
    return left, top, min(right, width), min(bottom, height)
