"""Motion that all faces of a picture share, because the camera turned, shook or was carried.

Knows no picture: where faces should be and where some were found comes in, one shift comes out.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.tracking.kalman import Corners
from jetstream.vision.tracking.ordered import median

Vector = NDArray[np.float64]  # (2,) right, down

# Three people may turn at the same moment by chance, and the shift is wrong for those who are not seen.
LEAST_FACES: Final = 4
LEAST_SHARE: Final = 0.7
# In sides of a face. Two boxes are one face's if their sides differ by less than `ALIKE` (logarithm) and a shift brings
# them within `NEAR`; a shift is sought up to `REACH`.
ALIKE: Final = 0.35
NEAR: Final = 0.3
REACH: Final = 1.5
# Another shift than the expected one must explain the boxes better by this share.
MARGIN: Final = 0.2
# Standard deviation of one face's deviation from its prediction, in sides: of the detector, and a second for the face.
JITTER: Final = 0.03
RESTLESS: Final = 0.3
# A shift of more than 5 standard deviations counts at once. A smaller one counts as far as shifts of the last
# `MEMORY_S` were larger than chance (2 standard deviations) explains: a camera that stands is not moved by noise.
CERTAIN: Final = 30.0
CHANCE: Final = 4.0
MEMORY_S: Final = 2.0
# The speed of the shift follows within `FOLLOW_S`, and fades where nothing is seen.
FOLLOW_S: Final = 0.2
FADE_S: Final = 1.0
# Limits of the search, which is of 64 shifts of 16 faces.
MOST_FACES: Final = 16
MOST_SHIFTS: Final = 64


class _Excess(NamedTuple):
    """By how much the faces moved beyond what was expected."""

    sides: Vector  # in sides of a face
    deviation: Vector  # standard deviation of `sides`
    side_px: Vector


class CommonMotion:
    """The common motion of the faces of one camera.

    A face's own predicted motion is not part of it, and who changes direction alone doesn't change it: it is the median
    of what the faces moved beyond their predictions. The shift that most of them agree on is found by voting, so that
    it may be wider than the faces are apart.
    """

    def __init__(self) -> None:
        self._speed: Vector | None = None  # px a second; None: no motion was seen
        self._variance = 0.0  # of `sides` beyond chance

    def restart(self) -> None:
        """Forget everything: there is another scene."""
        self._speed, self._variance = None, 0.0

    def seen(self, predicted: Sequence[Corners], found: Sequence[Corners], elapsed_s: float) -> tuple[float, float]:
        """The shift to the right and down since the last frame, px: of all faces beyond their predictions.

        predicted  boxes of faces that were followed for a while and seen lately
        found      boxes of the detections of this frame
        elapsed_s  since the last frame
        """
        few = min(len(predicted), len(found)) < LEAST_FACES
        if elapsed_s <= 0 or (few and self._speed is None):
            return 0.0, 0.0
        speed = np.zeros(2) if self._speed is None else self._speed * math.exp(-elapsed_s / FADE_S)
        shift = expected = speed * elapsed_s
        if not few:
            excess = _excess(_array(predicted[:MOST_FACES]), _array(found), expected, elapsed_s)
            if excess is not None:
                shift = expected + self._believed(excess, elapsed_s) * excess.sides * excess.side_px
            speed = speed + (1 - math.exp(-elapsed_s / FOLLOW_S)) * (shift / elapsed_s - speed)
        self._speed = speed
        right_px, down_px = shift.tolist()
        return right_px, down_px

    def _believed(self, excess: _Excess, elapsed_s: float) -> float:
        """The share of the excess that is the camera's, 0..1 (James and Stein 1961); learns how much it moves."""
        chance, power = float(excess.deviation @ excess.deviation), float(excess.sides @ excess.sides)
        beyond = max(power - CHANCE * chance, -chance)
        self._variance += (1 - math.exp(-elapsed_s / MEMORY_S)) * (beyond - self._variance)
        usual = max(0.0, self._variance)
        return max(usual / (usual + chance), 1 - CERTAIN * chance / max(power, 1e-9))


def _array(boxes: Sequence[Corners]) -> NDArray[np.float64]:
    """(N, 4), as a detector gives them: of 32 bits."""
    return np.array(boxes, np.float32).astype(np.float64)


def _excess(
    predicted: NDArray[np.float64], found: NDArray[np.float64], expected: Vector, elapsed_s: float
) -> _Excess | None:
    """The median of what the faces moved beyond `expected`; None where too few agree."""
    sides = predicted[:, 2:] - predicted[:, :2]
    ratios = np.log(np.maximum(found[:, 2:] - found[:, :2], 1.0) / np.maximum(sides, 1.0)[:, None])
    alike: NDArray[np.bool_] = np.all(np.abs(ratios) < ALIKE, axis=2)
    ways = ((found[:, :2] + found[:, 2:]) - (predicted[:, :2] + predicted[:, 2:])[:, None]) / 2  # (T, N, 2) px
    shift = _voted(ways, alike, sides, expected)
    for _ in range(2):
        away = np.where(alike, (((ways - shift) / sides[:, None]) ** 2).sum(axis=2), np.inf)
        nearest = away.argmin(axis=1)
        met = away[np.arange(len(sides)), nearest] < NEAR**2
        if met.sum() < max(LEAST_FACES, LEAST_SHARE * len(sides)):
            return None
        moved = ways[np.arange(len(sides)), nearest][met]
        shift = median(moved)
    side_px = median(sides[met])
    # 1.25 / sqrt(n) of the deviation of one is that of a median of n; 1.48 times the median deviation is that of one.
    scatter = 1.25 * 1.48 * median(np.abs(moved - shift)) / side_px
    deviation = np.maximum(scatter, math.hypot(JITTER, RESTLESS * elapsed_s)) / math.sqrt(len(moved))
    return _Excess((shift - expected) / side_px, deviation, side_px)


def _voted(ways: NDArray[np.float64], alike: NDArray[np.bool_], sides: NDArray[np.float64], expected: Vector) -> Vector:
    """The shift that brings most faces onto detections: of `expected`, none at all, and each from a face to a find."""
    (score,) = _scores(ways, alike, sides, expected[None])
    if score >= (1 - MARGIN) * len(sides):
        return expected  # no other can be better by the margin
    near = alike & (np.abs(ways - expected) / sides[:, None] < REACH).all(axis=2)
    others = ways[near]
    others = np.concatenate([np.zeros((1, 2)), others[:: max(1, math.ceil(len(others) / MOST_SHIFTS))]])
    scores = _scores(ways, alike, sides, others)
    best = int(scores.argmax())
    return expected if scores[best] - MARGIN * len(sides) <= score else np.asarray(others[best])


def _scores(
    ways: NDArray[np.float64], alike: NDArray[np.bool_], sides: NDArray[np.float64], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(S,) of each of the (S, 2) shifts: how many faces it brings onto detections, each 1 if exactly."""
    away = (((ways[None] - shifts[:, None, None]) / sides[None, :, None]) ** 2).sum(axis=3)
    scores: NDArray[np.float64] = (
        np.where(alike[None], np.maximum(0.0, 1 - away / NEAR**2), 0.0).max(axis=2).sum(axis=1)
    )
    return scores
