"""The tracks of each camera's newest frame: since when each is in sight, and of which sighting it was part last.

Times are FrameRef.time_s. Knows nothing of a sighting but its id.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from jetstream.messages import Tracked
from jetstream.vision.tracking.new_tracks import is_gap

ROUNDING_S: Final = 0.01


class BackInSight(NamedTuple):
    """A track of a sighting that is in sight again, and how that sighting ended without it."""

    since_s: float
    end_ns: int
    end_s: float
    time_s: float  # FrameRef.time_s of that end


@dataclass(slots=True)
class FollowedTrack:
    """What is known of a track, in FrameRef.time_s; owned by the follower alone."""

    since_s: float  # in sight
    shown_s: float  # in sight last
    sighting_id: str | None = None  # that it was part of last
    told_s: float = 0.0  # when that was
    back: BackInSight | None = None  # the last time that it was out of sight meanwhile


class FollowedTracks:
    """The tracks of all cameras. `back` says how the sighting of a track that is in sight again ended without it."""

    def __init__(self, back: Callable[[FollowedTrack, float], BackInSight | None]) -> None:
        self._back = back
        self._tracks: dict[str, dict[int, FollowedTrack]] = {}
        self._newest_s: dict[str, float] = {}

    def of(self, camera: str) -> Iterable[FollowedTrack]:
        """The tracks of a camera's newest frame."""
        return self._tracks[camera].values()

    def take(self, tracked: Tracked) -> dict[int, FollowedTrack]:
        """The tracks of a frame. One that is new here though it is older goes on as an earlier one: its age counts from
        that one's first detection, and it is in sight from now on. So are all after a step back of time, and one that
        was out of sight before it belonged to a sighting."""
        camera, time_s = tracked.frame.camera, tracked.frame.time_s
        before_s, self._newest_s[camera] = self._newest_s.get(camera, time_s), time_s
        is_first = camera not in self._tracks
        known = {} if time_s < before_s else self._tracks.get(camera, {})
        followed = {}
        for face in tracked.faces:
            is_new = is_first or face.age_s <= time_s - before_s + ROUNDING_S
            since_s = time_s - face.age_s if is_new else time_s
            track = followed[face.track_id] = known.get(face.track_id) or FollowedTrack(since_s, time_s)
            if face.state != "lost":
                if is_gap(time_s - track.shown_s, time_s - before_s):
                    track.back = self._back(track, time_s)
                    track.since_s = time_s if track.back is None else track.since_s
                track.shown_s = time_s
        self._tracks[camera] = followed
        return followed
