"""How often whole pictures are searched, adapted to the load. Knows no picture, no clock and no queue.

The interval grows at once while frames are dropped, and shrinks one step at a time. A step back that led to drops again
is repeated only after twice as long, so that the interval does not swing under a steady load.
"""

import math

WINDOW_S = 1.0
"""Dropped frames are counted for so long before anything changes."""
TOO_MANY = 0.02
"""Share of frames that may be dropped: a short stall of the machine is no load."""
FACTOR = 1.5
"""Of one step."""
CALM_S = 5.0
"""Without a drop, before a step back."""
MOST_CALM_S = 60.0
"""The same, at most, after steps back that failed."""


class SearchInterval:
    """`every`: one picture in so many is searched whole, from `least` to `most`; constant where `most` is not larger.

    Times are seconds of one clock, in any order that frames of several cameras have.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, max(least, most)
        self.every = least
        self._taken = self._dropped = 0
        self._emptied = False
        self._told = 0
        self._now_s: float | None = None
        self._window_s = self._calm_since_s = 0.0  # when they began
        self._calm_s = CALM_S
        self._failed = 0  # the `every` that the last step back led to in vain
        self._back_s: float | None = None  # when the last step back was taken

    def took(self, time_s: float, *, dropped: int) -> None:
        """Count a frame of `time_s`, and the `dropped` frames of its camera before it."""
        if self._now_s is None:
            self._now_s = self._window_s = self._calm_since_s = time_s
        self._now_s = max(self._now_s, time_s)
        self._taken += 1
        self._dropped += dropped

    def emptied(self) -> None:
        """Note that no frame is waiting."""
        self._emptied = True

    @property
    def share(self) -> int:
        """`every` as a multiple of `least`: how many pictures apart searches for other reasons must be."""
        return self.every // self._least

    def at(self, slowness: float) -> int:
        """`every` for a camera of this slowness (see FrameRate), which has as many searches a second as one of 4 frames
        a second, up to one in each frame. Under load no camera is searched more often."""
        return self.every if self.every > self._least else max(1, math.ceil(self.every / slowness))

    def changed(self) -> bool:
        """Adapt `every`, once a window; True where it has changed, and at the end of the first window."""
        now_s = self._now_s
        if now_s is None or now_s - self._window_s < WINDOW_S:
            return False
        if self._dropped > TOO_MANY * (self._taken + self._dropped):
            self._rise(now_s)
        elif not self._emptied:
            self._calm_since_s = now_s  # it just keeps up
        elif now_s - self._calm_since_s >= self._wait_s():
            self._step_back(now_s)
        self._taken = self._dropped = 0
        self._emptied, self._window_s = False, now_s
        told, self._told = self._told, self.every
        return self.every != told

    def _rise(self, now_s: float) -> None:
        if self._back_s is not None and now_s - self._back_s < max(CALM_S, self._calm_s):
            self._failed, self._calm_s = self.every, min(2 * self._calm_s, MOST_CALM_S)
        self._back_s, self._calm_since_s = None, now_s
        self.every = min(self._most, max(self.every + 1, round(self.every * FACTOR)))

    def _wait_s(self) -> float:
        """How long it must be calm before the next step back."""
        return self._calm_s if self._step() <= self._failed < self.every else CALM_S

    def _step(self) -> int:
        return max(self._least, min(self.every - 1, round(self.every / FACTOR)))

    def _step_back(self, now_s: float) -> None:
        if self.every <= self._failed:  # it failed here once, and has held now
            self._failed, self._calm_s = 0, CALM_S
        self._calm_since_s = now_s
        if self.every > self._least:
            self._back_s, self.every = now_s, self._step()
