"""One box over time: where a face should be now.

Knows no image, no clock and no other track: elapsed seconds and measured boxes come in, a box comes out.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""
FilterKind = Literal["scalar", "filterpy"]
MIN_SIDE_PX: Final = 1.0
# Limit for a face that isn't detected: 2 s of predicted growth are mostly the error of a bad last box.
MAX_GROWTH_UNSEEN: Final = 1.7
# Inflation of the variance in one update; without a limit one absurd box would reset the filter.
MAX_LOOSENING: Final = 100.0


class FaceFilter(Protocol):
    """What a track needs of its filter."""

    @property
    def corners(self) -> Corners:
        """Each side is at least a pixel."""

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32 xyxy px: `corners`."""

    def predict(self, dt_s: float, *, persistence: float = 1.0) -> None:
        """Predict `dt_s` seconds ahead."""

    def move(self, right_px: float, down_px: float) -> None:
        """Move the box and leave its speed."""

    def update(self, box: Iterable[float], score: float = 1.0) -> None:
        """Correct by a detection: box (4,) xyxy px, score 0..1."""


class FilterClass(Protocol):
    """What makes the filter of a new face."""

    def __call__(self, box: Iterable[float], score: float) -> FaceFilter: ...


def filter_class(kind: FilterKind) -> FilterClass:
    """The class of a kind of filter. Both give the same boxes; filterpy is loaded only where it is asked for.

    Raises ImportError where filterpy is asked for and isn't installed.
    """
    if kind == "scalar":
        return BoxFilter
    from jetstream.vision.tracking.filterpy_filter import MatrixBoxFilter

    return MatrixBoxFilter


@dataclass(slots=True)
class _Axis:
    """One coordinate of a box and its speed; owned by its BoxFilter alone.

    `drive` is the variance of the speed's change in one second, in sides squared.
    """

    place: float  # px
    speed: float  # px a second
    place_variance: float
    speed_variance: float
    drive: float
    side: float  # px: the box's along this axis when it was last detected
    covariance: float = 0.0
    missed: float = 0.0  # by the last measurement, in standard deviations

    def predict(self, dt_s: float, persistence: float) -> None:
        # Scaled by the side at the last detection, so that a prediction doesn't depend on its number of steps.
        step, noise = dt_s * persistence, self.drive * self.side**2 * dt_s
        moved = self.covariance + step * self.speed_variance
        self.place += step * self.speed
        self.speed *= persistence
        self.place_variance += step * (self.covariance + moved) + noise * dt_s * dt_s / 3
        self.covariance = persistence * moved + noise * dt_s / 2
        self.speed_variance = persistence * persistence * self.speed_variance + noise

    def update(self, measured: float, scatter: float, surprise: float = math.inf) -> None:
        """Correct by a measurement.

        scatter   its standard deviation, in sides
        surprise  where the last two measurements missed to the same side by more, the variance is inflated first
        """
        noise, missed = (scatter * self.side) ** 2, measured - self.place
        if surprise < math.inf:
            self._loosen(missed / math.sqrt(self.place_variance + noise), surprise)
        spread = self.place_variance + noise
        gain, left = self.covariance / spread, noise / spread
        self.place += self.place_variance / spread * missed
        self.speed += gain * missed
        self.speed_variance -= gain * self.covariance
        self.covariance *= left
        self.place_variance *= left

    def _loosen(self, missed: float, surprise: float) -> None:
        before, self.missed = self.missed, missed
        lasting = min(abs(missed), abs(before)) if missed * before > 0 else 0.0
        if lasting > surprise:
            gain = min((lasting / surprise) ** 2, MAX_LOOSENING)
            self.place_variance *= gain
            self.covariance *= gain
            self.speed_variance *= gain

    def limit(self, most: float) -> None:
        """Keep a side at a pixel at least, and within `most` times the side last detected and its inverse.

        The speed stays: a face that is found again after the limit was reached is still growing or shrinking.
        """
        shortest, longest = self.side / most, self.side * most
        if not (shortest <= self.place <= longest and self.place >= MIN_SIDE_PX):
            self.place = min(max(self.place, shortest, MIN_SIDE_PX), max(longest, MIN_SIDE_PX))


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

    No noise couples two axes, so the filter of eight states is exactly four of two, each of five numbers. They are
    Python's own floats: one step of 1, 2, 5 and 20 faces takes 3, 6, 15 and 60 us so, and 22 to 28 us as arrays over
    all faces of a camera, of which few have more than 5. `MatrixBoxFilter` is the same with filterpy's matrices.
    """

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
        """Start at rest.

        box            (4,) xyxy px, the first detection
        score          its score, 0..1
        jitter         standard deviation of a detection of score 1 around the truth, in sides
        initial_speed  standard deviation of a new face's speed, in sides a second
        acceleration   by how much the speed of the centre changes in one second, in sides a second
        growth         the same for width and height
        surprise       standard deviations by which two measurements in a row may miss the prediction to the same side
        """
        self._jitter, self._surprise = jitter, surprise
        measured, scatter = measure(box), self._scatter(score)
        grows = initial_speed * (growth / acceleration if acceleration > 0 else 1.0)
        self._axes = self._x, self._y, self._width, self._height = tuple(
            _Axis(place, 0.0, (scatter * side) ** 2, (speed * side) ** 2, drive**2, side)
            for place, side, speed, drive in zip(
                measured,
                measured[2:] * 2,
                (initial_speed, initial_speed, grows, grows),
                (acceleration, acceleration, growth, growth),
                strict=True,
            )
        )

    @property
    def corners(self) -> Corners:
        x, y, width, height = self._x.place, self._y.place, self._width.place / 2, self._height.place / 2
        return x - width, y - height, x + width, y + height

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32 xyxy px; each side is at least a pixel."""
        return np.array(self.corners, np.float32)

    def predict(self, dt_s: float, *, persistence: float = 1.0) -> None:
        """Predict `dt_s` seconds ahead; a zero or negative step changes nothing.

        persistence  0..1, the share of the speed that lasts over this step: people change direction in seconds
        """
        if dt_s <= 0:
            return
        for axis in self._axes:
            axis.predict(dt_s, persistence)
        self._width.limit(MAX_GROWTH_UNSEEN)
        self._height.limit(MAX_GROWTH_UNSEEN)

    def move(self, right_px: float, down_px: float) -> None:
        """Move the box and leave its speed: the camera moved, not the face."""
        self._x.place += right_px
        self._y.place += down_px

    def update(self, box: Iterable[float], score: float = 1.0) -> None:
        """Correct by a detection: box (4,) xyxy px, score 0..1."""
        x, y, width, height = measure(box)
        scatter = self._scatter(score)
        # Of the centre only: the measured size of a face drifts for many frames although the face doesn't grow.
        self._x.update(x, scatter, self._surprise)
        self._y.update(y, scatter, self._surprise)
        for axis, across, measured in ((self._width, self._x, width), (self._height, self._y, height)):
            axis.update(measured, scatter)
            axis.limit(math.inf)
            axis.side = across.side = axis.place

    def _scatter(self, score: float) -> float:
        """Standard deviation of a detection, in sides; twice as much at score 0 as at score 1."""
        return self._jitter * (2.0 - min(max(score, 0.0), 1.0))


def measure(box: Iterable[float]) -> Corners:
    """xyxy to centre x, centre y, width, height; each side is at least a pixel."""
    x1, y1, x2, y2 = map(float, box)
    return (x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, MIN_SIDE_PX), max(y2 - y1, MIN_SIDE_PX)
