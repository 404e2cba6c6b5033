"""How many frames of a camera may be on their way through the pipeline at once, at the live pace.

A frame that would only wait is not written: its conversion and its copy would be lost where it is dropped later. So the
load that a machine can't carry is refused at its beginning, for each camera alike, and the frames that are taken wait
a bounded time. Knows no ring and no clock.
"""

import math
from collections import deque

WAIT_S = 0.15
"""A frame waits about so long at most for the ones of its camera before it."""
RATE_S = 1.0
"""Over so long the rate at which frames come out is measured."""
LOST_S = 1.0
"""Frames that have not come out after so long were lost with a process: they are waited for no longer."""


class FrameWindow:
    """The frames of one camera that were written and are not done yet. Times are seconds of one clock, not decreasing.

    By Little's law (L = rate * wait) as many may be under way as come out in WAIT_S, at least one and at most `most`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: deque[int] = deque(maxlen=most)  # where nobody asks for room, the last ones
        self._written_s = 0.0
        self._begun_s: float | None = None
        self._done_s: deque[float] = deque()

    def wrote(self, frame_id: int, now_s: float) -> None:
        """Note a frame that was written."""
        self._under_way.append(frame_id)
        self._written_s = now_s
        if self._begun_s is None:
            self._begun_s = now_s

    def has_room(self, done_below: int | None, now_s: float) -> bool:
        """Whether one more frame may be written; those numbered below `done_below` are done. None: nobody tells."""
        if done_below is None:
            self._under_way.clear()
        while self._under_way and self._under_way[0] < (done_below or 0):
            self._under_way.popleft()
            self._done_s.append(now_s)
        while self._done_s and now_s - self._done_s[0] > RATE_S:
            self._done_s.popleft()
        if len(self._under_way) < self._limit(now_s):
            return True
        if now_s - self._written_s > LOST_S:
            self._under_way.clear()
            return True
        return False

    def _limit(self, now_s: float) -> int:
        """How many may be under way."""
        if self._begun_s is None or now_s - self._begun_s < RATE_S:  # no rate is known yet
            return self._most
        return min(max(math.ceil(len(self._done_s) / RATE_S * WAIT_S), 1), self._most)
