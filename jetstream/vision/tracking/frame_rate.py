"""How slow a camera is: the factor by which times that were set for video grow.

Knows no clock and no camera: the time of each frame comes in, a factor comes out.
"""

import math
from collections import deque
from typing import Final

# At 4 frames a second and more nothing changes: a camera of 5 that jitters has longer intervals, too.
NORMAL_S: Final = 0.25
# Among more, a single long interval is a stall: two of the last three are a slow camera.
INTERVALS: Final = 3
# The first interval alone is believed up to here. Two that differ by more than `ALIKE` times say nothing yet.
FIRST_S: Final = 6.0
ALIKE: Final = 2.0


class FrameRate:
    """`slowness` of one camera: its interval between frames over `NORMAL_S`, and at least 1.

    The interval is the median of the last three, so that one stall changes nothing, and a camera that slows down at
    night is slow from its second long interval on. Before the second frame `slowness` is 1.
    """

    def __init__(self) -> None:
        self._intervals_s: deque[float] = deque(maxlen=INTERVALS)
        self._time_s: float | None = None
        self._frame_id: int | None = None
        self.slowness = 1.0

    def _interval_s(self) -> float:
        """0 while it can't be said."""
        if len(self._intervals_s) == INTERVALS:
            return sorted(self._intervals_s)[INTERVALS // 2]
        least, most = min(self._intervals_s, default=0.0), max(self._intervals_s, default=0.0)
        if len(self._intervals_s) == 1:
            return least if least <= FIRST_S else 0.0
        return least if most <= ALIKE * least else 0.0

    def saw(self, time_s: float, frame_id: int | None = None) -> None:
        """Count a frame.

        time_s    any origin; one that isn't finite is ignored. A step back means that the clock was reset: what
                  was before doesn't count
        frame_id  its number, where frames between this one and the last were not counted here. None: there were none
        """
        if not math.isfinite(time_s):
            return
        frames = 1 if frame_id is None or self._frame_id is None else max(1, frame_id - self._frame_id)
        before_s, self._time_s, self._frame_id = self._time_s, time_s, frame_id
        if before_s is None or time_s == before_s:
            return
        if time_s < before_s:
            self._intervals_s.clear()
        else:
            self._intervals_s.append((time_s - before_s) / frames)
        self.slowness = max(1.0, self._interval_s() / NORMAL_S)
