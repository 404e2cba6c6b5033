"""Outage of a disk that can't be written: logged when it begins and ends, with retries between.

Knows no file: the writer reports what happened. Time is an argument.
"""

import logging
import shutil
from pathlib import Path

RETRY_S = 5.0
"""time between two attempts, so that a failing disk doesn't fill with empty files"""
ROOM_BYTES = 32_000_000
"""least free space for an attempt: some seconds of a few cameras"""

log = logging.getLogger(__name__)


class Outage:
    """Whether `camera` can't be recorded in `folder` now. Times are of time.monotonic()."""

    def __init__(self, camera: str, folder: Path) -> None:
        self._camera, self._folder = camera, folder
        self._since_s: float | None = None
        self._retry_s = 0.0

    def begin(self, error: Exception, now_s: float) -> None:
        """Record a failed write: the outage begins or continues."""
        if self._since_s is None:
            self._since_s = now_s
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            log.warning(
                "%s: %s; its recording stops, everything else continues; it starts again once %s can be written, "
                "%d MB free",
                *(self._camera, why, self._folder, ROOM_BYTES // 1_000_000),
            )
        self._retry_s = now_s + RETRY_S

    def is_on(self, now_s: float) -> bool:
        """Whether to skip writing. False also when it is time for another attempt."""
        if self._since_s is None:
            return False
        if now_s < self._retry_s:
            return True
        self._retry_s = now_s + RETRY_S
        return not self._has_room()

    def end(self, now_s: float) -> None:
        """Record a successful write: the outage is over."""
        if self._since_s is not None:
            log.info("%s: recording continues after %.0f s", self._camera, now_s - self._since_s)
            self._since_s = None

    def _has_room(self) -> bool:
        try:
            return shutil.disk_usage(self._folder).free >= ROOM_BYTES
        except OSError:  # the disk was unplugged
            return False
