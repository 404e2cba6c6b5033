"""The filter of `kalman` with filterpy's 8x8 matrices: what that one is measured by.

The tracker uses it where `track.kalman` says so: for a look at whether an odd box comes from the filter's arithmetic.
"""

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.tracking import single_modules
from jetstream.vision.tracking.kalman import MAX_GROWTH_UNSEEN, MAX_LOOSENING, MIN_SIDE_PX, Corners, measure

KalmanFilter: Final = single_modules.kalman_filter()
PLACES: Final = np.arange(4)
SPEEDS: Final = np.arange(4, 8)


class MatrixBoxFilter:
    """See `BoxFilter`: the same model and the same parameters. 16 times its processor time."""

    def __init__(
        self,
        box: Iterable[float],
        score: float = 1.0,
        *,
        jitter: float = 0.05,
        initial_speed: float = 2.0,
        acceleration: float = 0.15,
        growth: float = 0.2,
        surprise: float = 1.5,
    ) -> None:
        self._jitter = jitter
        self._surprise = surprise
        self._drive: NDArray[np.float64] = np.array([acceleration, acceleration, growth, growth]) ** 2
        measured = np.array(measure(box))
        self._sides = measured[[2, 3, 2, 3]]
        self._missed = [0.0, 0.0]  # of centre x and y: the last measurement's miss, in standard deviations
        self._filter: Any = KalmanFilter(dim_x=8, dim_z=4)
        self._filter.x = np.concatenate([measured, np.zeros(4)])
        self._filter.H = np.eye(4, 8)
        grow_share = growth / acceleration if acceleration > 0 else 1.0
        speeds = initial_speed * np.array([1.0, 1.0, grow_share, grow_share]) * self._sides
        self._filter.P = np.diag(np.concatenate([self._scatter(score), speeds]) ** 2)

    @property
    def corners(self) -> Corners:
        x, y, width, height = self._filter.x[:4].tolist()
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    @property
    def box(self) -> NDArray[np.float32]:
        return np.array(self.corners, np.float32)

    def predict(self, dt_s: float, *, persistence: float = 1.0) -> None:
        if dt_s <= 0:
            return
        transition = np.eye(8)
        transition[PLACES, SPEEDS] = dt_s * persistence
        transition[SPEEDS, SPEEDS] = persistence
        self._filter.predict(F=transition, Q=self._process_noise(dt_s))
        self._keep_size(MAX_GROWTH_UNSEEN)

    def move(self, right_px: float, down_px: float) -> None:
        self._filter.x[:2] += (right_px, down_px)

    def update(self, box: Iterable[float], score: float = 1.0) -> None:
        measured = np.array(measure(box))
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
        """(8, 8) covariance of integrated white acceleration over dt_s."""
        power = self._drive * self._sides**2
        noise = np.zeros((8, 8))
        noise[PLACES, PLACES] = power * dt_s**3 / 3
        noise[PLACES, SPEEDS] = noise[SPEEDS, PLACES] = power * dt_s**2 / 2
        noise[SPEEDS, SPEEDS] = power * dt_s
        return noise

    def _loosen(self, measured: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
        for axis in (0, 1):
            spread = math.sqrt(self._filter.P[axis, axis] + noise[axis, axis])
            missed = float(measured[axis] - self._filter.x[axis]) / spread
            before, self._missed[axis] = self._missed[axis], missed
            lasting = min(abs(missed), abs(before)) if missed * before > 0 else 0.0
            if lasting > self._surprise:
                gain = min((lasting / self._surprise) ** 2, MAX_LOOSENING)
                # Only a centre and its speed are correlated.
                self._filter.P[axis :: PLACES.size, axis :: PLACES.size] *= gain

    def _keep_size(self, most: float = math.inf) -> None:
        for side in (2, 3):
            seen = float(self._sides[side])
            shortest, longest = max(seen / most, MIN_SIDE_PX), max(seen * most, MIN_SIDE_PX)
            self._filter.x[side] = min(max(float(self._filter.x[side]), shortest), longest)
