"""How long tracks that belong to no sighting yet were in sight."""

from collections.abc import Container
from typing import Final, NamedTuple

GAP_S: Final = 0.5
"""out of sight for longer, a track may go on with another face"""


def is_gap(silent_s: float, elapsed_s: float) -> bool:
    """Whether a track that is shown again was out of sight. `elapsed_s`: since the camera's frame before."""
    return silent_s > max(GAP_S, 2 * elapsed_s)


class _ShownSpan(NamedTuple):
    since_s: float
    shown_s: float  # last


class NewTracks:
    """The tracks of one camera; times are of frames, of any origin."""

    def __init__(self) -> None:
        self._spans: dict[int, _ShownSpan] = {}

    def __len__(self) -> int:
        return len(self._spans)

    def shown_for_s(self, track_id: int, age_s: float, time_s: float, elapsed_s: float) -> float:
        """How long a track that is shown now was followed without being out of sight.

        age_s      since its first detection
        elapsed_s  since the frame before
        """
        since_s, shown_s = self._spans.get(track_id, (time_s - age_s, time_s))
        if is_gap(time_s - shown_s, elapsed_s):
            since_s = time_s
        self._spans[track_id] = _ShownSpan(since_s, time_s)
        return time_s - since_s

    def keep(self, alive: Container[int]) -> None:
        """Forget all other tracks."""
        self._spans = {track_id: span for track_id, span in self._spans.items() if track_id in alive}

    def rejoined(self, track_id: int, earlier_id: int, time_s: float) -> None:
        """A track goes on under an earlier one's id, and with its age."""
        self._spans[earlier_id] = self._spans.pop(track_id, _ShownSpan(time_s, time_s))

    def forget(self, track_id: int) -> None:
        """The track belongs to a sighting now."""
        self._spans.pop(track_id, None)
