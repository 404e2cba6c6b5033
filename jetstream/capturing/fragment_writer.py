"""Stores the fragments of one camera, connection after connection. Knows not where they come from.

What can't be stored is left out, counted, and logged once.
"""

import logging
from typing import Final

import av

from jetstream.runtime.switches import CameraSwitches
from jetstream.video.gop.fragment_folder import FragmentFolder
from jetstream.video.gop.fragment_output import FragmentOutput, MuxedFragment

FAILURES: Final = (av.FFmpegError, OSError, ValueError)
"""what making and storing a fragment may raise"""

log = logging.getLogger(__name__)


class FragmentWriter:
    """`lost`: how often something could not be stored."""

    def __init__(self, camera: str, folder: FragmentFolder, switches: CameraSwitches) -> None:
        self.folder = folder
        self.lost = 0
        self._camera, self._switches = camera, switches
        self._base_ns = 0
        self._is_failing = False

    def is_off(self) -> bool:
        """Whether the camera's recording is switched off, or its faces are to be hidden, as those in fragments are not:
        then nothing is to be stored, and what was is removed. Raises OSError."""
        switch = self._switches.of(self._camera)
        is_off = switch.blur or not switch.record
        if is_off:
            self.folder.empty()
        return is_off

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
