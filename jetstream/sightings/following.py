"""Tracked frames to sightings: which ones are open, what is known of each, and what changed.

Knows no database and no picture; the clock is an argument. A sighting ends when `track` says so. Of a camera without
frames it says nothing: live, the clock ends its sightings.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from jetstream.config.schema import CameraConfig, Config, area_of
from jetstream.messages import FrameRef, Tracked, TrackedFace
from jetstream.sighting import Change, without_names_of_strangers
from jetstream.sightings import zones
from jetstream.sightings.followed_tracks import BackInSight, FollowedTrack, FollowedTracks
from jetstream.sightings.writer import OpenSighting
from jetstream.vision.tracking.visits import LATELY_S

SURER: Final = 0.02
"""rise of the confidence from which on the candidates are taken anew"""
UPDATE_EVERY_S: Final = 1.0
"""time between two updates of an open sighting; after a crash its end is off by at most this"""
GRACE_S: Final = 5.0
"""Time beyond `sightings.absence_s` after which a sighting ends that `track` says nothing of: it was restarted, or its
camera has no frames."""
LONGEST_STOP_S: Final = 3600.0
"""Time for which this process may have been away. A longer one is no stop, but a wall clock that was set."""
MOST_HELD: Final = 1000
"""sightings that the clock ended and that `track` may still go on with"""


class _HeldSighting(NamedTuple):
    """A sighting that the clock ended, and not `track`."""

    sighting: OpenSighting
    time_s: float | None  # FrameRef.time_s of its newest frame


class SightingSink(Protocol):
    """Where sightings are put when they changed."""

    def put(self, sighting: OpenSighting, change: Change | None = None) -> None:
        """Take the sighting as it is now; `change` is to be told."""


class SightingFollower:
    """The open sightings of all cameras. Times are of time.monotonic()."""

    def __init__(self, config: Config, sink: SightingSink) -> None:
        self._cameras: Mapping[str, CameraConfig] = {camera.name: camera for camera in config.cameras}
        self._absence_s = config.sightings.absence_s
        self._by_clock = config.pipeline.pace == "live"
        self._sink = sink
        self._open: dict[str, OpenSighting] = {}
        self._heard_s: dict[str, float] = {}  # when each was seen last
        self._times_s: dict[str, float] = {}  # FrameRef.time_s of the newest frame of each
        self._put_s: dict[str, float] = {}
        self._into: dict[str, str] = {}  # ids that `track` uses for sightings that go on under another id
        self._held: dict[str, _HeldSighting] = {}
        self._tracks = FollowedTracks(self._back)
        self.gallery = ""  # SHA-256 of the one in use

    def __len__(self) -> int:
        return len(self._open)

    @property
    def open_ids(self) -> Mapping[str, object]:
        """The open sightings, by id."""
        return self._open

    def put_all_anew(self) -> None:
        """Put every open sighting again, for a database that has none of them."""
        for sighting in self._open.values():
            sighting.n = sighting.written = None
            self._sink.put(sighting, "enter")

    def restore(self, sighting: OpenSighting, now_s: float, wall_ns: int) -> None:
        """Go on with a sighting that an earlier process left open. One that goes on already began as early as there.

        One that wasn't seen for long has ended, unless `track` says that it goes on. wall_ns: now
        """
        if (known := self._open.get(sighting.id)) is not None:
            known.n, known.written = sighting.n, sighting.written
            if sighting.begin_ns < known.begin_ns:
                known.begin_ns, known.begin_s = sighting.begin_ns, sighting.begin_s
            known.zones = _earliest(sighting.zones, known.zones)
            known.name = known.name or sighting.name
            return
        self._open[sighting.id] = sighting
        self._heard_s[sighting.id] = self._put_s[sighting.id] = now_s
        if wall_ns - sighting.end_ns > (self._absence_s + GRACE_S) * 1e9:
            self._hold(sighting)

    def get(self, sighting_id: str) -> OpenSighting | None:
        """The open sighting that goes by this id now."""
        return self._open.get(self._into.get(sighting_id, sighting_id))

    def saw(self, tracked: Tracked, now_s: float) -> None:
        """Take a frame."""
        if not self._by_clock:
            now_s = tracked.frame.time_s  # the same input gives the same sightings, however fast it is read
        # Ends first: somebody who comes back in this very frame begins another sighting.
        for sighting_id in tracked.ended:
            self._held.pop(sighting_id, None)
            if (sighting := self.get(sighting_id)) is not None:
                self._end(sighting.id)
        tracks = self._tracks.take(tracked)
        for face in tracked.faces:
            if face.sighting is None:
                continue
            if face.state == "confirmed":
                self._saw(face, face.sighting, tracked, tracks[face.track_id], now_s)
            else:
                self._named_late(face, face.sighting, now_s)
        for sighting_id, into in tracked.merged:
            self._merge(sighting_id, into)

    def passed(self, now_s: float) -> None:
        """End the sightings that nothing was heard of for long."""
        if not self._by_clock:
            return
        for sighting_id, heard_s in list(self._heard_s.items()):
            if now_s - heard_s > self._absence_s + GRACE_S:
                self._hold(self._open[sighting_id])

    def _hold(self, sighting: OpenSighting) -> None:
        """End a sighting that `track` may go on with."""
        self._held[sighting.id] = _HeldSighting(sighting, self._times_s.get(sighting.id))
        self._end(sighting.id)
        while len(self._held) > MOST_HELD:
            del self._held[next(iter(self._held))]

    def end_all(self) -> None:
        """The input has ended."""
        for sighting_id in list(self._open):
            self._end(sighting_id)

    def _saw(self, face: TrackedFace, told_id: str, tracked: Tracked, followed: FollowedTrack, now_s: float) -> None:
        frame = tracked.frame
        sighting = self.get(told_id) or self._taken_up(told_id)
        change: Change | None = None
        if sighting is None:
            sighting = self._begin(face, told_id, tracked, self._begin_s(told_id, followed, frame))
            change = "enter"
        elif sighting.state == "ended":
            sighting.state, change = "open", "enter"
        if face.name is not None and face.name != sighting.name:
            sighting.name, sighting.confidence, change = face.name, 0.0, change or "named"
        if face.landmarks is not None:  # else it is held for a moment, and no detection
            sighting.end_ns += self._passed_ns(sighting, frame)
            sighting.end_s = max(sighting.end_s, frame.pts_s)
            self._times_s[sighting.id] = frame.time_s
        if followed.sighting_id not in (None, sighting.id) and change is None:
            self._left(followed, frame.camera, frame.time_s)  # it goes on with one that is open
        if followed.sighting_id != sighting.id:
            followed.back = None
        followed.sighting_id, followed.told_s = sighting.id, frame.time_s
        self._heard_s[sighting.id] = now_s
        for zone in self._cameras[frame.camera].zones:
            if zone.name not in sighting.zones and zones.contains(zone.polygon, zones.centre(face.box)):
                sighting.zones[zone.name] = sighting.end_ns
        is_due = now_s - self._put_s.get(sighting.id, 0.0) >= UPDATE_EVERY_S
        self._decide(face, sighting, anew=is_due)
        if change is not None or is_due:
            self._put(sighting, change, now_s)
        if change is not None and sighting.name is not None:
            self._join_namesake(sighting)

    def _named_late(self, face: TrackedFace, told_id: str, now_s: float) -> None:
        """The answer for a face may come when it has gone."""
        sighting = self.get(told_id)
        if sighting is None or face.name is None or sighting.name is not None:
            return
        sighting.name, sighting.confidence = face.name, 0.0
        self._decide(face, sighting, anew=True)
        self._put(sighting, "named", now_s)
        self._join_namesake(sighting)

    def _taken_up(self, sighting_id: str) -> OpenSighting | None:
        """A sighting that the clock ended, which goes on: the camera gave no frames for long."""
        held = self._held.pop(sighting_id, None)
        if held is None:
            return None
        self._open[sighting_id] = held.sighting
        if held.time_s is not None:
            self._times_s[sighting_id] = held.time_s
        return held.sighting

    def _back(self, track: FollowedTrack, time_s: float) -> BackInSight | None:
        sighting = self.get(track.sighting_id or "")
        if sighting is None:
            return None
        return BackInSight(time_s, sighting.end_ns, sighting.end_s, self._times_s.get(sighting.id, time_s))

    def _left(self, followed: FollowedTrack, camera: str, time_s: float) -> float:
        """Since when a track that leaves its sighting shows another person, in FrameRef.time_s.

        Recognition finds the exchange some moments later. Where the face was out of sight just before, that was when it
        happened, and the sighting ended before, unless another track shows it, too.
        """
        sighting, back = self.get(followed.sighting_id or ""), followed.back
        if sighting is None:
            return time_s
        if back is None or followed.told_s - back.since_s > LATELY_S:
            return followed.told_s
        others = (one for one in self._tracks.of(camera) if one is not followed)
        if not any(one.sighting_id == sighting.id and one.told_s >= back.since_s for one in others):
            sighting.end_ns, sighting.end_s, self._times_s[sighting.id] = back.end_ns, back.end_s, back.time_s
            self._sink.put(sighting)
        return back.since_s

    def _begin_s(self, sighting_id: str, followed: FollowedTrack, frame: FrameRef) -> float:
        """When a sighting begins, in FrameRef.time_s: with its track, or when that ceased to show another one."""
        if followed.sighting_id in (None, sighting_id):
            return followed.since_s
        return self._left(followed, frame.camera, frame.time_s)

    def _begin(self, face: TrackedFace, sighting_id: str, tracked: Tracked, begin_s: float) -> OpenSighting:
        frame = tracked.frame
        since_s = max(0.0, frame.time_s - begin_s)
        begin_ns = frame.wall_ns - round(since_s * 1e9)
        sighting = OpenSighting(
            id=sighting_id,
            camera=frame.camera,
            area=area_of(self._cameras[frame.camera]),
            name=face.name,
            begin_ns=begin_ns,
            end_ns=frame.wall_ns,
            begin_s=frame.pts_s - since_s,
            end_s=frame.pts_s,
        )
        self._open[sighting_id] = sighting
        self._times_s[sighting_id] = frame.time_s
        return sighting

    def _passed_ns(self, sighting: OpenSighting, frame: FrameRef) -> int:
        """Time since the sighting's newest frame, by a clock that doesn't jump; after a restart, by the wall clock."""
        before_s = self._times_s.get(sighting.id)
        if before_s is not None:
            return max(0, round((frame.time_s - before_s) * 1e9))
        since_ns = frame.wall_ns - sighting.end_ns
        return since_ns if 0 <= since_ns * 1e-9 <= LONGEST_STOP_S else 0

    def _decide(self, face: TrackedFace, sighting: OpenSighting, *, anew: bool) -> None:
        """Keep why the sighting has its name: the candidates when it was surest; of a stranger, the newest ones."""
        if face.name != sighting.name:
            return
        is_surer = face.name is not None and face.confidence >= sighting.confidence + SURER
        if is_surer or not sighting.why or (face.name is None and anew):
            sighting.why = without_names_of_strangers(face.votes)
            sighting.gallery = self.gallery
        if face.name is not None:
            sighting.confidence = max(sighting.confidence, face.confidence)

    def _put(self, sighting: OpenSighting, change: Change | None, now_s: float) -> None:
        self._put_s[sighting.id] = now_s
        self._sink.put(sighting, change)

    def _join_namesake(self, sighting: OpenSighting) -> None:
        """`track` gives a person one sighting at a camera, but forgets it when it is restarted."""
        for other in list(self._open.values()):
            if other is not sighting and (other.camera, other.name) == (sighting.camera, sighting.name):
                older, newer = sorted((other, sighting), key=lambda one: (one.begin_ns, one.id))
                if newer.begin_ns - older.end_ns <= self._absence_s * 1e9:
                    self._merge(newer.id, older.id)

    def _merge(self, sighting_id: str, into_id: str) -> None:
        sighting, into = self._open.get(sighting_id), self.get(into_id)
        if sighting is None or into is None or sighting is into:
            return
        if sighting.begin_ns < into.begin_ns:
            into.begin_ns, into.begin_s = sighting.begin_ns, sighting.begin_s
        if sighting.end_ns > into.end_ns:
            into.end_ns, into.end_s = sighting.end_ns, sighting.end_s
        into.zones = _earliest(sighting.zones, into.zones)
        self._heard_s[into.id] = max(self._heard_s[into.id], self._heard_s[sighting.id])
        self._times_s[into.id] = max(self._times_s.get(into.id, 0.0), self._times_s.get(sighting.id, 0.0))
        self._into = {told: into.id if to == sighting.id else to for told, to in self._into.items()}
        self._into[sighting.id] = into.id
        sighting.state, sighting.merged_into = "merged", into.id
        self._drop(sighting)
        self._sink.put(into)
        self._sink.put(sighting, "merged")

    def _end(self, sighting_id: str) -> None:
        sighting = self._open[sighting_id]
        sighting.state = "ended"
        self._drop(sighting)
        self._into = {told: to for told, to in self._into.items() if to != sighting_id}
        self._sink.put(sighting, "exit")

    def _drop(self, sighting: OpenSighting) -> None:
        del self._open[sighting.id]
        for known in (self._heard_s, self._put_s, self._times_s):
            known.pop(sighting.id, None)


def _earliest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """When each zone was entered first, in one of them or the other."""
    return {name: min(visits[name] for visits in (one, other) if name in visits) for name in {**one, **other}}
