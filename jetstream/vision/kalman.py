"""One box over time: where a face should be now, and how sure that is.

Knows no image, no clock and no other track: elapsed seconds and measured boxes come in, a box comes out.
"""

from typing import Any, Final

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import ArrayLike, NDArray

MIN_SIDE_PX: Final = 1.0


class BoxFilter:
    """Kalman filter of one box: centre x, centre y, width, height and the velocity of each.

    The shape is that of SORT (Bewley et al. 2016, "Simple Online and Realtime Tracking", section 3.2): linear, constant
    velocity, boxes as measurements. Three things differ:

    - Width and height are states of their own and every noise is a fraction of the box's side along that axis, so that
      near and far faces behave alike (Aharon et al. 2022, "BoT-SORT", section 3.1; DeepSORT does it with the height).
    - Time is in seconds. The velocity is an Ornstein-Uhlenbeck process, so a drop of frames needs no special case: two
      steps of dt / 2 give exactly one step of dt, and a face that isn't seen comes to rest instead of flying away.
    - A weak detection pulls less: its noise grows as its score falls (Du et al. 2021, "GIAOTracker", NSA Kalman).
    """

    def __init__(
        self,
        box: ArrayLike,
        score: float = 1.0,
        *,
        jitter: float = 0.05,
        initial_speed: float = 1.0,
        acceleration: float = 2.0,
        growth: float = 0.5,
        rest_s: float = 1.0,
    ) -> None:
        """Start at rest.

        box            (4,) xyxy px, the first detection
        score          its score, 0..1
        jitter         how far detections scatter around the truth, in sides
        initial_speed  how fast a new face may move, in sides a second
        acceleration   how fast the centre changes its speed, in sides a second per square-root second
        growth         the same for width and height
        rest_s         time after which an unseen face has lost 63 % of its speed
        """
        self._jitter = jitter
        self._rest_s = rest_s
        self._drive: NDArray[np.float64] = np.array([acceleration, acceleration, growth, growth]) ** 2
        measured = _measure(box)
        self._sides = _sides(measured)
        self._filter: Any = KalmanFilter(dim_x=8, dim_z=4)
        self._filter.x = np.concatenate([measured, np.zeros(4)])
        self._filter.H = np.eye(4, 8)
        ratio = growth / acceleration if acceleration > 0 else 1.0
        speeds = initial_speed * np.array([1.0, 1.0, ratio, ratio]) * self._sides
        self._filter.P = np.diag(np.concatenate([np.diag(self._noise(score)), speeds**2]))

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32 xyxy px; each side is at least one pixel."""
        x, y, width, height = self._filter.x[:4]
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dtype=np.float32)

    def predict(self, dt_s: float) -> None:
        """Move `dt_s` seconds on; zero and negative steps change nothing."""
        if dt_s <= 0:
            return
        self._filter.predict(F=_transition(dt_s, self._rest_s), Q=self._process_noise(dt_s))
        self._keep_size()

    def update(self, box: ArrayLike, score: float = 1.0) -> None:
        """Take in a detection: box (4,) xyxy px, score 0..1."""
        measured = _measure(box)
        self._filter.update(measured, R=self._noise(score))
        self._keep_size()
        self._sides = _sides(self._filter.x)

    def _noise(self, score: float) -> NDArray[np.float64]:
        # Twice the scatter at score 0: NSA's (1 - score) would trust a perfect score without limit.
        scatter = self._jitter * (2.0 - min(max(score, 0.0), 1.0)) * self._sides
        return np.diag(scatter**2)

    def _process_noise(self, dt_s: float) -> NDArray[np.float64]:
        """(8, 8) covariance of the integrated Ornstein-Uhlenbeck process after dt_s.

        Closed form, e.g. Gillespie 1996, "Exact numerical simulation of the Ornstein-Uhlenbeck process and its integral".
        Scaled by the side at the last detection, so that a prediction can be cut into steps without changing it.
        """
        rest_s, keep = self._rest_s, np.exp(-dt_s / self._rest_s)
        power = self._drive * self._sides**2
        place = rest_s**3 / 2 * (2 * dt_s / rest_s - 3 + 4 * keep - keep**2)
        cross = rest_s**2 / 2 * (1 - keep) ** 2
        speed = rest_s / 2 * (1 - keep**2)
        return np.kron([[place, cross], [cross, speed]], np.diag(power))

    def _keep_size(self) -> None:
        """A side below one pixel is held there and stops shrinking."""
        state = self._filter.x
        small = state[2:4] < MIN_SIDE_PX
        state[2:4][small] = MIN_SIDE_PX
        state[6:8][small] = np.maximum(state[6:8][small], 0.0)


def _transition(dt_s: float, rest_s: float) -> NDArray[np.float64]:
    keep = np.exp(-dt_s / rest_s)
    return np.kron([[1.0, rest_s * (1 - keep)], [0.0, keep]], np.eye(4))


def _measure(box: ArrayLike) -> NDArray[np.float64]:
    """xyxy to centre x, centre y, width, height."""
    x1, y1, x2, y2 = np.asarray(box, dtype=np.float64)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, MIN_SIDE_PX), max(y2 - y1, MIN_SIDE_PX)])


def _sides(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """The side that scales each of the four states: width, height, width, height."""
    return state[[2, 3, 2, 3]]
