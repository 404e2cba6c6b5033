"""One box over time: where a face should be now.

Knows no image, no clock and no other track: elapsed seconds and measured boxes come in, a box comes out.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jetstream.vision.tracking import single_modules

KalmanFilter: Final = single_modules.kalman_filter()
MIN_SIDE_PX: Final = 1.0
# Limit for a face that isn't detected: 2 s of predicted growth are mostly the error of a bad last box.
MAX_GROWTH_UNSEEN: Final = 1.7
# Inflation of the variance in one update; without a limit one absurd box would reset the filter.
MAX_LOOSENING: Final = 100.0
PLACES: Final = np.arange(4)
SPEEDS: Final = np.arange(4, 8)


class BoxFilter:
    """Kalman filter of one box: centre x, centre y, width, height and the velocity of each.

    The model is SORT's (Bewley et al. 2016, "Simple Online and Realtime Tracking", section 3.2): linear, constant
    velocity, boxes as measurements. It differs in four points:

    - Width and height are states of their own, and every noise is a share of the box's side along that axis, so that
      near and far faces behave alike (Aharon et al. 2022, "BoT-SORT", section 3.1; DeepSORT does it with the height).
    - Time is in seconds and the acceleration is white noise in continuous time (Bar-Shalom, Li, Kirubarajan 2001,
      "Estimation with Applications to Tracking and Navigation", section 6.2), so that dropped frames and uneven rates
      need no special case: two steps of dt / 2 are one step of dt.
    - A weak detection has less weight: its noise grows as its score decreases (after Du et al. 2021, "GIAOTracker",
      NSA).
    - Two large innovations in a row to the same side are motion and not jitter: the variance is then inflated, and the
      filter catches up. So it can smooth a jittery detector without lagging behind a face that starts to move.
    """

    def __init__(
        self,
        box: ArrayLike,
        score: float = 1.0,
        *,
        jitter: float = 0.05,
        initial_speed: float = 2.0,
        acceleration: float = 0.15,
        growth: float = 0.2,
        surprise: float = 1.5,
    ) -> None:
        """Start at rest.

        box            (4,) xyxy px, the first detection
        score          its score, 0..1
        jitter         standard deviation of a detection of score 1 around the truth, in sides
        initial_speed  standard deviation of a new face's speed, in sides a second
        acceleration   by how much the speed of the centre changes in one second, in sides a second
        growth         the same for width and height
        surprise       standard deviations by which two measurements in a row may miss the prediction to the same side
        """
        self._jitter = jitter
        self._surprise = surprise
        self._drive: NDArray[np.float64] = np.array([acceleration, acceleration, growth, growth]) ** 2
        measured = _measure(box)
        self._sides = measured[[2, 3, 2, 3]]
        self._missed = [0.0, 0.0]  # of centre x and y: the last measurement's miss, in standard deviations
        self._filter: Any = KalmanFilter(dim_x=8, dim_z=4)
        self._filter.x = np.concatenate([measured, np.zeros(4)])
        self._filter.H = np.eye(4, 8)
        grow_share = growth / acceleration if acceleration > 0 else 1.0
        speeds = initial_speed * np.array([1.0, 1.0, grow_share, grow_share]) * self._sides
        self._filter.P = np.diag(np.concatenate([self._scatter(score), speeds]) ** 2)

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32 xyxy px; each side is at least a pixel."""
        x, y, width, height = self._filter.x[:4]
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dtype=np.float32)

    def predict(self, dt_s: float, *, persistence: float = 1.0) -> None:
        """Predict `dt_s` seconds ahead; a zero or negative step changes nothing.

        persistence  0..1, the share of the speed that lasts over this step: people change direction in seconds
        """
        if dt_s <= 0:
            return
        transition = np.eye(8)
        transition[PLACES, SPEEDS] = dt_s * persistence
        transition[SPEEDS, SPEEDS] = persistence
        self._filter.predict(F=transition, Q=self._process_noise(dt_s))
        self._keep_size(MAX_GROWTH_UNSEEN)

    def move(self, right_px: float, down_px: float) -> None:
        """Move the box and leave its speed: the camera moved, not the face."""
        self._filter.x[:2] += (right_px, down_px)

    def update(self, box: ArrayLike, score: float = 1.0) -> None:
        """Correct by a detection: box (4,) xyxy px, score 0..1."""
        measured = _measure(box)
        noise = np.diag(self._scatter(score) ** 2)
        self._loosen(measured, noise)
        self._filter.update(measured, R=noise)
        self._keep_size()
        self._sides = self._filter.x[[2, 3, 2, 3]]

    def _scatter(self, score: float) -> NDArray[np.float64]:
        """(4,) standard deviation of a detection, px; twice as much at score 0 as at score 1."""
        sides: NDArray[np.float64] = self._jitter * (2.0 - min(max(score, 0.0), 1.0)) * self._sides
        return sides

    def _process_noise(self, dt_s: float) -> NDArray[np.float64]:
        """(8, 8) covariance of integrated white acceleration over dt_s.

        Scaled by the sides at the last detection, so that a prediction doesn't depend on its number of steps.
        """
        power = self._drive * self._sides**2
        noise = np.zeros((8, 8))
        noise[PLACES, PLACES] = power * dt_s**3 / 3
        noise[PLACES, SPEEDS] = noise[SPEEDS, PLACES] = power * dt_s**2 / 2
        noise[SPEEDS, SPEEDS] = power * dt_s
        return noise

    def _loosen(self, measured: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
        """Inflate the variance along an axis whose last two measurements missed to the same side.

        Of the centre only: the measured size of a face drifts for many frames although the face doesn't grow.
        """
        for axis in (0, 1):
            spread = math.sqrt(self._filter.P[axis, axis] + noise[axis, axis])
            missed = float(measured[axis] - self._filter.x[axis]) / spread
            before, self._missed[axis] = self._missed[axis], missed
            lasting = min(abs(missed), abs(before)) if missed * before > 0 else 0.0
            if lasting > self._surprise:
                gain = min((lasting / self._surprise) ** 2, MAX_LOOSENING)
                # Only a centre and its speed are correlated: the filter's axes are independent.
                self._filter.P[axis :: PLACES.size, axis :: PLACES.size] *= gain

    def _keep_size(self, most: float = math.inf) -> None:
        """Limit width and height to at least a pixel, and to `most` times the side last detected or its inverse.

        The velocities stay: a face that is found again after the limit was reached is still growing or shrinking.
        """
        for side in (2, 3):
            seen = float(self._sides[side])
            shortest, longest = max(seen / most, MIN_SIDE_PX), max(seen * most, MIN_SIDE_PX)
            self._filter.x[side] = min(max(float(self._filter.x[side]), shortest), longest)


def _measure(box: ArrayLike) -> NDArray[np.float64]:
    """xyxy to centre x, centre y, width, height."""
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, MIN_SIDE_PX), max(y2 - y1, MIN_SIDE_PX)])
