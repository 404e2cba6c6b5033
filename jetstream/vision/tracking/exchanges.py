"""Tracks whose face was exchanged for another one, or may have been: it jumped, or was out of sight.

Knows no embedding and no clock: what recognition says of a face comes in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jetstream.vision.tracking.new_tracks import is_gap
from jetstream.vision.tracking.tracker import Track

LONGEST_S: Final = 2.0
"""A face that recognition can't tell for so long is taken for the same one: few jumps are exchanges."""


@dataclass(slots=True)
class _ExchangeRecord:
    """What is known of a track; owned by its FaceExchanges alone."""

    count: int = 0
    familiar: str | None = None  # the name that was shown before the newest look that was like those before it
    unseen_s: float = 0.0  # since the last detection
    since_s: float | None = None  # in doubt; None: it isn't
    jumped: bool = False

    def settle(self) -> None:
        self.since_s, self.jumped = None, False


class FaceExchanges:
    """The tracks of one camera. Those in it are in doubt: they may show somebody else than before."""

    def __init__(self) -> None:
        self._tracks: dict[int, _ExchangeRecord] = {}
        self._time_s = 0.0

    def __contains__(self, track_id: object) -> bool:
        track = self._tracks.get(track_id) if isinstance(track_id, int) else None
        return track is not None and track.since_s is not None

    def jumped(self, track_id: int) -> bool:
        """Whether the track is in doubt since its face, seen a moment before, was elsewhere: an exchange is likely."""
        track = self._tracks.get(track_id)
        return track is not None and track.jumped and track.since_s is not None

    def count(self, track_id: int) -> int:
        """How often the track's face was exchanged, as far as recognition saw it."""
        track = self._tracks.get(track_id)
        return 0 if track is None else track.count

    def saw(self, tracks: Sequence[Track], time_s: float) -> None:
        """Take all tracks of a frame."""
        elapsed_s, self._time_s = max(0.0, time_s - self._time_s), time_s
        before, self._tracks = self._tracks, {}
        for track in tracks:
            self._tracks[track.track_id] = known = before.get(track.track_id) or _ExchangeRecord()
            if known.since_s is not None and not 0.0 <= time_s - known.since_s <= LONGEST_S:
                known.settle()
            if track.jumped or (track.detected and is_gap(known.unseen_s, elapsed_s)):
                known.since_s, known.jumped = time_s, track.jumped
            known.unseen_s = track.seen_s

    def heard(
        self, track_id: int, time_s: float, *, name: str | None, shown: str | None, moved: bool, same: bool | None
    ) -> None:
        """Take an answer of recognition.

        time_s  of the frame that it is about
        shown   the name of the track until now
        moved   the face is another one than before, if it has another name
        same    whether it is like those before; None: not known
        """
        known = self._tracks.get(track_id)
        if known is None:
            return
        # The embedding of a face that only turned moves far, too, but its name stays. That of the look before, which
        # was odd as well, says nothing.
        if moved and (name is None or name != known.familiar):
            known.count += 1
        if same is not False:
            known.familiar = shown
        if (moved or same) and known.since_s is not None and known.since_s <= time_s:
            known.settle()

    def rejoined(self, changed: Mapping[int, int]) -> None:
        """Take the ids under which tracks go on, by the ids that they had: whose they are is known."""
        for track_id, earlier_id in changed.items():
            new, earlier = self._tracks.pop(track_id, None), self._tracks.get(earlier_id)
            familiar = next((known.familiar for known in (earlier, new) if known is not None), None)
            self._tracks[earlier_id] = _ExchangeRecord(familiar=familiar)
