"""Tracks that go on as earlier ones: their ids, their votes and their age.

Knows no embedding and no clock: which track is whose return comes in.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from jetstream.vision.tracking.tracker import Track, Tracker
from jetstream.vision.tracking.votes import Votes

# As long as recognition remembers a track's embeddings. Grows with the interval between frames.
FORGET_S: Final = 10.0


class _EndedTrack(NamedTuple):
    votes: Votes
    born_s: float
    seen_s: float  # of the last detection


class ReturnedTracks:
    """The returns of one camera.

    What recognition says of a track counts from the next frame on. It doesn't count where the two tracks were seen at
    once or show two names, nor for an earlier track that ended over `FORGET_S` ago.
    """

    def __init__(self) -> None:
        self._ended: dict[int, _EndedTrack] = {}
        self._alive: dict[int, _EndedTrack] = {}  # as it would be if the track ended now
        self._ids: dict[int, int] = {}  # of tracks that go on as earlier ones
        self._due: dict[int, int] = {}
        self._time_s = 0.0  # of the last frame

    def current(self, track_id: int) -> int:
        """The id under which a track goes on."""
        while track_id in self._ids:
            track_id = self._ids[track_id]
        return track_id

    def heard(self, track_id: int, earlier_id: int | None) -> None:
        """Take that `track_id` shows the person of `earlier_id`."""
        if earlier_id is not None:
            self._due[track_id] = earlier_id

    def saw(self, tracks: Sequence[Track], votes: Mapping[int, Votes], time_s: float, slowness: float) -> None:
        """Take all tracks of a frame, with their votes; the ones missing have ended."""
        before, self._time_s = self._alive, time_s
        self._alive = {
            track.track_id: _EndedTrack(votes[track.track_id], time_s - track.age_s, time_s - track.seen_s)
            for track in tracks
        }
        self._ended |= {track_id: ended for track_id, ended in before.items() if track_id not in self._alive}
        if not self._ended and not self._ids:
            return
        least_s = time_s - FORGET_S * slowness
        self._ended = {i: ended for i, ended in self._ended.items() if least_s <= ended.seen_s <= time_s}
        known = self._alive.keys() | self._ended.keys()
        self._ids = {new: old for new, old in self._ids.items() if self.current(old) in known}

    def apply(self, tracker: Tracker, votes: dict[int, Votes]) -> dict[int, int]:
        """Continue earlier tracks, in `tracker` and in `votes`, before the next frame; the earlier id of each."""
        if not self._due:
            return {}
        due, self._due = self._due, {}
        changed = {}
        for track_id, said in sorted(due.items()):
            earlier_id = self.current(said)
            new, old = self._alive.get(track_id), self._alive.get(earlier_id) or self._ended.get(earlier_id)
            if new is None or old is None or track_id == earlier_id or old.seen_s >= new.born_s:
                continue
            if None not in (new.votes.shown, old.votes.shown) and new.votes.shown != old.votes.shown:
                continue
            if tracker.rejoin(track_id, earlier_id, age_s=self._time_s - old.born_s):
                votes.pop(track_id, None)
                votes[earlier_id] = new.votes if old.votes.shown is None else old.votes
                self._ended.pop(earlier_id, None)
                self._alive[earlier_id] = _EndedTrack(votes[earlier_id], old.born_s, new.seen_s)
                del self._alive[track_id]
                changed[track_id] = self._ids[track_id] = earlier_id
        return changed
