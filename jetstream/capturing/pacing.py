"""When the frames or packets of a file are due. Sleeps; knows no file and no stage."""

import time


class FileClock:
    """Says when what a file holds is due; its first frame or packet is at once."""

    def __init__(self) -> None:
        self._started_s: float | None = None

    def is_due(self, time_s: float, wait_s: float) -> bool:
        """Whether what is of `time_s` in the file is due; waits for it at most `wait_s`."""
        if self._started_s is None:
            self._started_s = time.monotonic() - time_s
        return is_due(self._started_s + time_s, wait_s)


def is_due(time_s: float, wait_s: float) -> bool:
    """Whether `time_s` of time.monotonic() has come; waits for it at most `wait_s`."""
    left_s = time_s - time.monotonic()
    if left_s > 0:
        time.sleep(min(left_s, wait_s))
    return time.monotonic() >= time_s
