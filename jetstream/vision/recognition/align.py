"""Five landmarks to the upright chip that an embedding network takes. Enrolment and live use both cut faces here and
nowhere else.

Knows no detector and no network: a picture, points and a template in, pixels out.

Template and picture are brought together by a similarity transform, fitted by weighted least squares. Each network was
trained on chips of one kind, which its template describes.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import AnyPicture, bgr_part

# Part of every gallery's manifest. Increase it whenever the same photo would give another chip.
ALIGNMENT_VERSION = 1

# Picture pixels a chip pixel. A larger face can't be one; this also bounds the work that a wrong landmark can cause.
_MAX_SCALE = 1000.0


class FaceTemplate(NamedTuple):
    """Where a face's five points lie in a chip, and how the chip is sampled."""

    name: str
    side_px: int  # of the chip, which is a square
    points: NDArray[np.float64]  # (5, 2) px: left eye, right eye, nose, left and right mouth corner
    weights: NDArray[np.float64]  # (5,) of the points in the fit; their sum is 1
    as_dlib: bool  # fitted and sampled as dlib's `get_face_chip` does, else as ArcFace's training did

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of a chip."""
        return self.side_px, self.side_px, 3


def _template(name: str, side_px: int, points: NDArray[np.float64], weights: NDArray[np.float64]) -> FaceTemplate:
    for array in (points, weights):
        array.setflags(write=False)
    return FaceTemplate(name, side_px, points, weights, as_dlib=name.startswith("dlib"))


_DLIB_POINTS = [[0.32294, 0.31045], [0.68425, 0.31021], [0.50154, 0.52413], [0.34303, 0.70618], [0.66288, 0.70652]]
_DLIB_WEIGHTS = np.array([0.429, 0.413, 0.053, 0.053, 0.052])
_ARCFACE_POINTS = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
]

DLIB: Final = _template("dlib150", 150, np.array(_DLIB_POINTS) * 150, _DLIB_WEIGHTS / _DLIB_WEIGHTS.sum())
"""Fitted, with its weights, so that MTCNN's points land where dlib's own would. Quality is measured on these chips."""
ARCFACE: Final = _template("arcface112", 112, np.array(_ARCFACE_POINTS), np.full(5, 0.2))
"""The five points of ArcFace (Deng et al., 2019), which SFace and most newer networks were trained with."""
TEMPLATES: Final = {template.name: template for template in (DLIB, ARCFACE)}


def scaled(template: FaceTemplate, side_px: int) -> FaceTemplate:
    """The same template for a chip of another size; its name ends with the size."""
    if side_px == template.side_px:
        return template
    points = template.points * (side_px / template.side_px)
    return _template(f"{template.name.rstrip('0123456789')}{side_px}", side_px, points, template.weights)


def of_points(points: NDArray[np.float64], side_px: int) -> FaceTemplate:
    """A template of (5, 2) `points` in a chip of `side_px`. Raises ValueError where they can't be an upright face."""
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    is_inside = bool(np.isfinite(points).all()) and points.min() >= 0 and points.max() <= side_px
    is_upright = left_eye[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    if not (is_inside and is_upright and max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])):
        raise ValueError(f"not the points of an upright face in a chip of {side_px} px")
    return _template(f"points{side_px}", side_px, np.array(points, np.float64), np.full(5, 0.2))


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


def similarity(landmarks: NDArray[Any], template: FaceTemplate) -> Similarity | None:
    """The rotation, scale and shift from `template` to `landmarks` (5, 2), x and y in pixels.

    Weighted least squares of complex numbers over centred points, which can't mirror. With dlib's template the error is
    the picture's, turn = sum(w conj(t) p) / sum(w |t|^2); with ArcFace's it is the chip's, turn = sum(w |p|^2) /
    sum(w conj(p) t). None where the landmarks can't be a face: a coordinate isn't finite, all points are in one place,
    or the scale is over 1000 or under 1/1000. Raises ValueError for another number of points.
    """
    if not np.isfinite(landmarks).all():
        return None
    points = _complex(np.asarray(landmarks, dtype=np.float64).reshape(5, 2))
    expected = _complex(template.points)
    weights = template.weights
    expected_centre, centre = complex(weights @ expected), complex(weights @ points)
    turn = _turn(expected - expected_centre, points - centre, template)
    if not 1.0 / _MAX_SCALE < abs(turn) < _MAX_SCALE:
        return None
    return Similarity(turn, centre - turn * expected_centre)


def chip(image: AnyPicture, landmarks: NDArray[Any], template: FaceTemplate) -> NDArray[np.uint8]:
    """One face, upright: (S, S, 3) uint8 BGR, with S = `template.side_px`.

    `image` is (H, W, 3) uint8 BGR or NV12, `landmarks` (5, 2) in its pixels: left eye, right eye, nose, left and right
    mouth corner as seen in the picture. The chip is black outside the picture, and all black where the landmarks can't
    be a face (see `similarity`).
    """
    found = similarity(landmarks, template)
    if found is None:
        return np.zeros(template.shape, dtype=np.uint8)
    return _sample(image, found, template)


def chips(
    image: AnyPicture, landmarks: NDArray[Any] | Sequence[NDArray[Any]], template: FaceTemplate
) -> NDArray[np.uint8]:
    """`chip` for each of `landmarks` (N, 5, 2) of one picture: (N, S, S, 3) uint8 BGR; N may be 0."""
    cut = np.empty((len(landmarks), *template.shape), dtype=np.uint8)
    for index, points in enumerate(landmarks):
        cut[index] = chip(image, points, template)
    return cut


def place(found: Similarity, template: FaceTemplate, height: int, width: int) -> ChipPlace | None:
    """Where `chip` samples a picture of `height` x `width` px: halved until a chip pixel is at most two pixels wide.

    dlib spreads the chip's S pixels over `S * scale - 1` picture pixels around the point under the chip's middle. None
    where the whole chip lies outside the picture.
    """
    side = template.side_px
    middle = found.turn * complex(side / 2, side / 2) + found.shift
    side_px = side * found.scale
    step, start = found.turn, found.shift
    if template.as_dlib:
        step = found.turn / found.scale * (side_px - 1) / (side - 1)
        start = middle - step * complex((side - 1) / 2, (side - 1) / 2)

    levels = _levels(side_px, side)
    left, top, right, bottom = _part(middle, side_px, levels, height, width)
    if left >= right or top >= bottom:
        return None
    start -= complex(left, top)
    for _ in range(levels):
        # dlib's own halving drops a border and places its pixels half a pixel to the right and up.
        step, start = step / 2, start / 2 + (complex(-0.25, 0.25) if template.as_dlib else 0)
    matrix = np.array([[step.real, -step.imag, start.real], [step.imag, step.real, start.imag]])
    return ChipPlace(left, top, right, bottom, levels, matrix)


def _complex(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * points[..., 1], dtype=np.complex128)


def _turn(expected: NDArray[np.complex128], points: NDArray[np.complex128], template: FaceTemplate) -> complex:
    weights = template.weights
    if template.as_dlib:
        return complex((weights * expected.conj()) @ points / (weights @ np.abs(expected) ** 2))
    shared = complex((weights * points.conj()) @ expected)
    return complex(weights @ np.abs(points) ** 2) / shared if shared else 0j


def _sample(image: AnyPicture, found: Similarity, template: FaceTemplate) -> NDArray[np.uint8]:
    where = place(found, template, *image.shape[:2])
    if where is None:
        return np.zeros(template.shape, dtype=np.uint8)
    part = bgr_part(image, where.top, where.bottom, where.left, where.right)
    for _ in range(where.levels):
        part = cv2.pyrDown(part).astype(np.uint8, copy=False)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(part, where.matrix, template.shape[:2], flags=flags).astype(np.uint8, copy=False)


def _levels(side_px: float, chip_px: int) -> int:
    """How often dlib halves the picture: as long as the face's square, halved again, is still larger than the chip.

    A side of n pixels becomes (n + 1) / 2 when halved. Found by comparison with dlib at every threshold.
    """
    levels = 0
    while (side_px + 1) / 2 > chip_px:
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
