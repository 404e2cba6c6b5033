"""How many frames of each camera were captured, detected and tracked in a second, from the supervisor's statuses.

Knows no clock: a status has its own time.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from jetstream.messages import Status
from jetstream.pipeline import FIRST_OF_PROGRESS, STAGES
from jetstream.runtime.counters import counted

WINDOW: Final = 11
"""statuses, one a second: rates are those of the last ten seconds"""
_FIRST: Final = FIRST_OF_PROGRESS[0].name
_SHOWN_AS: Final = {
    **{stage.name: stage.name for stage in STAGES if stage.progress},
    **{stage.name: _FIRST for stage in FIRST_OF_PROGRESS},
}
"""the stages on a frame's way; a camera's frames are written by one of the first"""
_ON_THE_WAY: Final = tuple(dict.fromkeys(_SHOWN_AS.values()))


class _Reading(NamedTuple):
    turn_ns: int
    frames: Mapping[tuple[str, str], int]  # by stage and camera


class FrameRates:
    """One thread hears; any may ask."""

    def __init__(self) -> None:
        self._heard: deque[_Reading] = deque(maxlen=WINDOW)

    def hear(self, status: Status) -> None:
        frames: dict[tuple[str, str], int] = {}
        for process in status.processes:
            stage = process.process.partition(".")[0]
            if stage in _SHOWN_AS and process.beat is not None:
                shown = _SHOWN_AS[stage]
                frames |= {(shown, camera): count for (camera,), count in counted(process.beat.counts, "frames")}
        self._heard.append(_Reading(status.turn_ns, frames))

    def of(self, camera: str) -> dict[str, float]:
        """Frames a second by stage, from `capture` to `track`; 0 before two statuses came."""
        heard = tuple(self._heard)
        if len(heard) < 2 or (span_s := (heard[-1].turn_ns - heard[0].turn_ns) * 1e-9) <= 0:
            return dict.fromkeys(_ON_THE_WAY, 0.0)
        first, last = heard[0].frames, heard[-1].frames
        return {
            stage: max(0.0, round((last.get((stage, camera), 0) - first.get((stage, camera), 0)) / span_s, 2))
            for stage in _ON_THE_WAY
        }
