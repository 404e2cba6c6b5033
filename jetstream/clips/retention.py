"""Deletes clips that are too old, or the oldest where all take too much room.

A doubtful wall clock deletes nothing for its age: see `recording.wall_clock`. Only what is a clip is touched.
"""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jetstream.clips import clip_info, library
from jetstream.clips.library import StoredClip
from jetstream.config.schema import ClipsConfig
from jetstream.events import iso_ns
from jetstream.recording.wall_clock import WallClock

SWEEP_EVERY_S: Final = 60.0
DAY_S: Final = 86400.0

log = logging.getLogger(__name__)


class ClipSweeper:
    """Deletes as `clips.keep_days` and `clips.keep_gb` say. Times are of time.monotonic()."""

    def __init__(self, settings: ClipsConfig) -> None:
        self._settings, self._folder = settings, Path(settings.dir)
        self._clock = WallClock(self._folder / "clock.json")
        self._next_s = -math.inf

    def sweep(self, now_s: float) -> None:
        """Delete what is due, where it is time to."""
        if now_s < self._next_s or not (self._settings.keep_days or self._settings.keep_gb):
            return
        self._next_s = now_s + SWEEP_EVERY_S
        try:
            ended = sorted(
                (clip for clip in library.clips_in(self._folder) if clip.info.state == "ended"), key=_ended_s
            )
            gone = self._due(ended)
            for clip in gone:
                erase(clip)
        except OSError as error:
            log.warning("%s: old clips can't be deleted (%s)", self._folder, error.strerror)
            return
        if gone:
            log.info("%s: %d old clips deleted (clips.keep_days, clips.keep_gb)", self._folder, len(gone))

    def _due(self, ended: Sequence[StoredClip]) -> list[StoredClip]:
        """The oldest first."""
        total, now_s = sum(clip.n_bytes for clip in ended), time.time()
        by_age = self._settings.keep_days > 0 and bool(ended) and not self._is_doubtful(ended, now_s)
        due = []
        for clip in ended:
            is_old = by_age and now_s - _ended_s(clip) > self._settings.keep_days * DAY_S
            if not is_old and not 0 < self._settings.keep_gb * 1e9 < total:
                break
            due.append(clip)
            total -= clip.n_bytes
        return due

    def _is_doubtful(self, ended: Sequence[StoredClip], now_s: float) -> bool:
        before = self._clock.doubted
        steady_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        why = self._clock.doubt(now_s, steady_s, _ended_s(ended[-1]), self._settings.keep_days * DAY_S)
        if why and not before:
            log.warning("%s: no clip is deleted for its age: %s; set the clock", self._folder, why)
        return bool(why)


def erase(clip: StoredClip) -> None:
    """Delete a clip: its description first, which a process that writes it looks for. Raises OSError."""
    clip_info.info_of(clip.video).unlink(missing_ok=True)
    clip.video.unlink(missing_ok=True)


def _ended_s(clip: StoredClip) -> float:
    return iso_ns(clip.info.end or clip.info.begin) * 1e-9
