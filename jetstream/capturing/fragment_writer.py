"""Stores the fragments of one camera, connection after connection. Knows not where they come from.

What can't be stored is left out, counted, and logged once.
"""

import logging
from typing import Final

import av

from jetstream.video.gop.fragment_folder import FragmentFolder
from jetstream.video.gop.fragment_output import FragmentOutput, MuxedFragment

FAILURES: Final = (av.FFmpegError, OSError, ValueError)
"""what making and storing a fragment may raise"""

log = logging.getLogger(__name__)


class FragmentWriter:
    """`lost`: how often something could not be stored."""

    def __init__(self, camera: str, folder: FragmentFolder) -> None:
        self.folder = folder
        self.lost = 0
        self._camera = camera
        self._base_ns = 0
        self._is_failing = False

    def begin(self, at_ns: int) -> None:
        """A connection begins (CLOCK_MONOTONIC). Its times count from now on, or from where the camera's stand."""
        self._base_ns = max(at_ns, self.folder.end_ns)

    def store(self, output: FragmentOutput, fragment: MuxedFragment | None) -> None:
        """Write a fragment of the connection's output, where there is one. Raises OSError."""
        if fragment is None:
            return
        self.folder.write(output.init, fragment, base_ns=self._base_ns)
        if self._is_failing:
            log.info("%s: the newest seconds are kept again for clips", self._camera)
            self._is_failing = False

    def fail(self, error: Exception) -> None:
        """One of FAILURES was raised: a fragment is missing."""
        self.lost += 1
        if not self._is_failing:
            self._is_failing = True
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            log.warning("%s: its newest seconds can't be kept for clips (%s)", self._camera, why)
