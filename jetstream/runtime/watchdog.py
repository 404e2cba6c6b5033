"""Whether frames make progress, and what is sent to systemd: its watchdog is fed only while they do.

Knows cameras by name and what was counted for them; knows no process. The time is an argument.
"""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jetstream.config.schema import Config
from jetstream.runtime.systemd import notify

STALLED_S = 10.0
"""when frames are captured but none is tracked for so long, the watchdog is not fed any more"""
SILENCE_S = 5.0
"""after such a silence, frames have the whole limit to come through"""

log = logging.getLogger(__name__)


def stall_limit_s(environment: Mapping[str, str] = os.environ) -> float:
    """A third of systemd's WatchdogSec, so that both together are little longer; STALLED_S where it isn't set."""
    try:
        return int(environment["WATCHDOG_USEC"]) * 1e-6 / 3
    except (KeyError, ValueError):
        return STALLED_S


class Watchdog:
    """Feeds systemd's watchdog while frames make progress; reports silent cameras and a stuck pipeline to systemd and
    to the log."""

    def __init__(self, config: Config, *, limit_s: float | None = None) -> None:
        self._patience_s = {camera.name: camera.read_timeout_s for camera in config.cameras}
        self._limit_s = stall_limit_s() if limit_s is None else limit_s
        self._progress = FrameProgress(self._patience_s, self._limit_s, lossless=config.pipeline.pace == "every-frame")
        self._silent: dict[str, float] = {}
        self._was_stuck = False
        self.building = ""
        """which engines are being built"""
        self.extra = ""
        """more text for systemd's status line"""

    def turn(
        self,
        captured: Mapping[str, int],
        tracked: Mapping[str, int],
        now_s: float,
        *,
        grace_s: float = 0.0,
        done: frozenset[str] = frozenset(),
    ) -> None:
        """Call once a second.

        `captured`, `tracked`: frames of each camera, counted since the beginning. `grace_s`: how much longer than usual
        a standstill may take, while a process that frames go through is being started. `done`: cameras that have ended
        in order.
        """
        self._progress.see(captured, tracked, now_s)
        stuck = self._progress.stuck(now_s, grace_s) - done
        self._tell_silent(now_s, done)
        if stuck and not self._was_stuck:
            log.error("stuck: frames of %s are captured, but none is tracked", ", ".join(sorted(stuck)))
        self._was_stuck = bool(stuck)
        notify(f"STATUS={self._line(stuck)}" if stuck else f"WATCHDOG=1\nSTATUS={self._line(stuck)}")

    def _tell_silent(self, now_s: float, done: frozenset[str]) -> None:
        silence_s = {name: s for name, s in self._progress.silence_s(now_s).items() if name not in done}
        silent = {name: s for name, s in silence_s.items() if s > self._patience_s[name]}
        for name in silent.keys() - self._silent.keys():
            log.warning("camera %s: no frame for %.0f s; the others continue", name, silent[name])
        for name in self._silent.keys() - silent.keys() - done:
            log.info("camera %s: frames again, after %.0f s", name, self._silent[name])
        self._silent = silent

    def _line(self, stuck: frozenset[str]) -> str:
        live = len(self._progress.seen() - self._silent.keys())
        parts = [f"{live} of {len(self._patience_s)} cameras give frames"]
        parts += [f"{name}: none for {silence_s:.0f} s" for name, silence_s in sorted(self._silent.items())]
        parts += [f"stuck: {', '.join(sorted(stuck))}"] if stuck else []
        return "; ".join(filter(None, [*parts, self.building, self.extra]))


class FrameProgress:
    """Whether each camera's frames come out at the other end.

    A camera that gives no frames is reported, but is not stuck: its process has time-outs of its own, and restarting
    the pipeline would not bring it back. Where frames of one camera are captured but not tracked, the pipeline is
    stuck, also when frames of others come through. Where no frame may be dropped (`lossless`), capture waits
    for the pipeline, so a source that gives no frame is stuck too, until it is done.
    """

    def __init__(self, cameras: Iterable[str], limit_s: float = STALLED_S, *, lossless: bool = False) -> None:
        self._cameras = {camera: _CameraProgress() for camera in cameras}
        self._limit_s, self._lossless = limit_s, lossless

    def see(self, captured: Mapping[str, int], tracked: Mapping[str, int], now_s: float) -> None:
        """`captured`, `tracked`: frames of each camera, counted since the beginning."""
        for name, camera in self._cameras.items():
            camera.see(captured.get(name, 0), tracked.get(name, 0), now_s)

    def stuck(self, now_s: float, grace_s: float = 0.0) -> frozenset[str]:
        """Cameras whose frames have made no progress for longer than the limit and `grace_s`."""
        limit_s = self._limit_s + grace_s
        return frozenset(n for n, camera in self._cameras.items() if camera.is_stuck(now_s, limit_s, self._lossless))

    def seen(self) -> frozenset[str]:
        """Cameras that have given a frame."""
        return frozenset(name for name, camera in self._cameras.items() if camera.captured)

    def silence_s(self, now_s: float) -> dict[str, float]:
        """For how long each camera has given no frame: since its last one, or since the beginning."""
        return {name: now_s - (camera.captured_s or now_s) for name, camera in self._cameras.items()}


@dataclass
class _CameraProgress:
    captured: int = 0
    tracked: int = 0
    captured_s: float | None = None  # when it last gave a frame; the beginning, before the first one
    waiting_s: float | None = None  # since when frames were captured and none was tracked
    moved_s: float | None = None  # when either last happened

    def see(self, captured: int, tracked: int, now_s: float) -> None:
        # a restarted process counts from 0, which is no frame
        is_captured, is_tracked = captured not in (0, self.captured), tracked not in (0, self.tracked)
        self.captured, self.tracked = captured, tracked
        before_s = now_s if self.captured_s is None else self.captured_s
        self.captured_s = now_s if is_captured else before_s
        if is_captured or is_tracked:
            self.moved_s = now_s
        if is_tracked:
            self.waiting_s = None
        elif is_captured and (self.waiting_s is None or now_s - before_s > SILENCE_S):
            self.waiting_s = now_s  # after a silence, frames have their time to come through

    def is_stuck(self, now_s: float, limit_s: float, lossless: bool) -> bool:
        if lossless:
            return self.moved_s is not None and now_s - self.moved_s >= limit_s
        return self.waiting_s is not None and (self.captured_s or 0.0) - self.waiting_s >= limit_s
