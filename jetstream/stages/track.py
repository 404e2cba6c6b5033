"""Faces to tracks with names. Requests recognition when a track needs it, and adds each answer to the track's vote.

In the live pace a frame is sent on at once, and an answer counts from its arrival: a slow camera's next frame tells it,
as a lost track where the face is gone. In the every-frame pace a frame is held until its answers have arrived, so that
the same input gives the same output. A face that jumped has no name until an answer about it. Reads no picture.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from jetstream.config.schema import Config, TrackConfig
from jetstream.ipc.rings import FrameReader
from jetstream.messages import (
    Detected,
    Ended,
    FrameRef,
    NameCandidate,
    Named,
    NamedFace,
    Tick,
    Tracked,
    TrackedFace,
    Wanted,
    WantedFace,
    box_of,
    landmarks_of,
)
from jetstream.sightings.camera_sightings import CameraSightings
from jetstream.vision.tracking.doubts import DoubtFinder
from jetstream.vision.tracking.exchanges import FaceExchanges
from jetstream.vision.tracking.frame_rate import NORMAL_S
from jetstream.vision.tracking.pictures import PictureFinder
from jetstream.vision.tracking.returned_tracks import ReturnedTracks
from jetstream.vision.tracking.scheduler import RecognitionScheduler
from jetstream.vision.tracking.tracker import Track, Tracker
from jetstream.vision.tracking.votes import Votes, unique

# A track with a certain name has about so many answers in `track.half_life_s` in video; a slow camera has fewer.
ANSWERS_EVERY_S = 1.0


def track(
    messages: Iterator[Detected | Named | Tick | Ended], _: FrameReader, config: Config
) -> Iterator[Wanted | Tracked]:
    """One Tracked for each Detected, in the order of each camera's frames, after a Wanted if a track needs a name."""
    cameras = {camera.name: CameraTracks(config) for camera in config.cameras}
    ending = False
    for message in messages:
        if isinstance(message, Detected):
            yield from cameras[message.frame.camera].see(message)
        elif isinstance(message, Named):
            yield from cameras[message.frame.camera].hear(message)
        elif isinstance(message, Ended):
            ending = True
        else:
            for tracks in cameras.values():
                yield from tracks.ask_again()
        if ending and not any(tracks.holding for tracks in cameras.values()):
            return


class HeldFrame(NamedTuple):
    """A frame that waits for the answer to its question."""

    question: Wanted
    detected: Detected
    tracks: Sequence[Track]


class CameraTracks:
    """The tracks of one camera, and the votes for each one's name."""

    def __init__(self, config: Config) -> None:
        self._settings, self._recognize = config.track, config.recognize
        self._tracker: Tracker | None = None
        self._votes: dict[int, Votes] = {}
        self._names: dict[str, int] = {}  # which track showed each name in the frame before
        self._pictures = PictureFinder()
        self._doubts = DoubtFinder()
        self._exchanges = FaceExchanges()
        self._returned = ReturnedTracks()
        self._sightings = CameraSightings(config) if config.sightings.enabled else None
        self._untold: dict[int, Votes] = {}  # of tracks that were answered since the last frame went out
        self._told: Tracked | None = None  # the last frame that went out
        self._scheduler = RecognitionScheduler(
            budget_per_s=self._recognize.budget_per_s,
            retry_s=self._recognize.retry_s,
            refresh_s=self._recognize.refresh_s,
            min_quality=self._recognize.min_quality,
        )
        self._holds = config.pipeline.pace == "every-frame"
        self._held: HeldFrame | None = None
        self._later: deque[Detected] = deque()

    @property
    def holding(self) -> bool:
        return self._held is not None

    def see(self, detected: Detected) -> Iterator[Wanted | Tracked]:
        if self._held is not None:
            self._later.append(detected)
            return
        frame, faces = detected.frame, detected.faces
        if self._tracker is None:
            # Ids continue after those of a process that died: hardly any video has more faces than frames.
            self._tracker = _tracker(self._settings, first_id=frame.frame_id + 1)
        self._rejoin(self._tracker)
        tracks = self._tracker.update(
            np.array([face.box for face in faces], np.float32).reshape(-1, 4),
            np.array([face.score for face in faces], np.float32),
            np.array([face.landmarks for face in faces], np.float32).reshape(-1, 5, 2),
            frame.time_s,
            cut=detected.cut,
            shift=detected.shift,
        )
        self._keep_votes(tracks, self._tracker.slowness)
        self._returned.saw(tracks, self._votes, frame.time_s, self._tracker.slowness)
        self._pictures.saw(tracks, frame.time_s)
        self._doubts.saw(tracks)
        self._exchanges.saw(tracks, frame.time_s)
        if (question := self._question(frame, tracks)) is not None:
            yield question
            if self._holds:
                self._held = HeldFrame(question, detected, tracks)
                return
        yield self._tracked(detected, tracks)

    def _keep_votes(self, tracks: Sequence[Track], slowness: float) -> None:
        """Those of the tracks that there are, in the order of their ids."""
        half_life_s = self._settings.half_life_s
        slowed_s = half_life_s * max(1.0, slowness * NORMAL_S / ANSWERS_EVERY_S)
        before, self._votes = self._votes, {}
        for track in tracks:
            self._votes[track.track_id] = votes = before.get(track.track_id) or Votes(half_life_s=half_life_s)
            votes.half_life_s = slowed_s

    def _rejoin(self, tracker: Tracker) -> None:
        """Let tracks of people who came back go on as the tracks that they had."""
        earlier = self._returned.apply(tracker, self._votes)
        if not earlier:
            return
        self._names = {name: earlier.get(track_id, track_id) for name, track_id in self._names.items()}
        self._untold = {i: votes for i, votes in self._untold.items() if i not in earlier}
        self._exchanges.rejoined(earlier)
        if self._sightings is not None:
            self._sightings.rejoined(earlier)

    def hear(self, named: Named) -> Iterator[Wanted | Tracked]:
        if self._holds and (self._held is None or self._held.question.frame != named.frame):
            return  # a repeated question was answered again
        time_s = named.frame.time_s
        faces = [msgspec.structs.replace(f, track_id=self._returned.current(f.track_id)) for f in named.faces]
        for face in faces:
            if votes := self._votes.get(face.track_id):
                self._exchanges.heard(
                    face.track_id, time_s, name=face.name, shown=votes.shown, moved=face.moved, same=face.same
                )
                self._count(face, votes, time_s)
                self._pictures.heard(face.track_id, face.drift)
                self._doubts.heard(face.track_id, face.quality)
                self._returned.heard(face.track_id, face.returned)
                if self._sightings is not None:
                    self._sightings.heard(face, self._returned.current, time_s)
                self._untold[face.track_id] = votes
        unlike = {face.track_id for face in faces if face.same is False}
        self._scheduler.answered([face.track_id for face in faces], unlike)
        if self._held is None:
            return
        held, self._held = self._held, None
        yield self._tracked(held.detected, held.tracks)
        while self._later and self._held is None:
            yield from self.see(self._later.popleft())

    def _count(self, face: NamedFace, votes: Votes, time_s: float) -> None:
        if face.quality < self._recognize.min_quality:
            return  # it wasn't embedded
        # The embedding of a face that only turned moves far, too, but its name stays.
        if face.moved and face.name != votes.shown:
            votes.restart()
        # The confidence of an answer is that of `nearest`, so a refusal has its complement. A poor sample says little.
        sure = face.confidence if face.name else 1 - face.confidence
        # Size and pose count twice, so that refusals of a turned head hardly count: with either factor alone, one
        # person of friends_dev loses her name for five seconds.
        weight = face.quality * self._scheduler.quality(face.track_id)
        votes.add(face.name, sure, time_s, weight, photo=face.photo, distance=face.distance)

    def ask_again(self) -> Iterator[Wanted]:
        """Repeat the open question, after a silence: a restarted `recognize` has lost it."""
        if self._held is not None:
            yield self._held.question

    def _question(self, frame: FrameRef, tracks: Sequence[Track]) -> Wanted | None:
        chosen = self._scheduler.choose(tracks, self._votes, frame.time_s, self._exchanges)
        faces = tuple(
            WantedFace(
                track_id=track.track_id,
                landmarks=landmarks_of(track.landmarks.ravel().tolist()),
                suspect=self._exchanges.jumped(track.track_id),
            )
            for track in tracks
            if track.track_id in chosen and track.landmarks is not None
        )
        return Wanted(frame=frame, faces=faces) if faces else None

    def _tracked(self, detected: Detected, tracks: Sequence[Track]) -> Tracked:
        frame = detected.frame
        late = self._late_names(frame)
        claims = [(track.track_id, *self._named(track.track_id, frame.time_s)) for track in tracks]
        lost = {track.track_id for track in tracks if track.state == "lost"}
        shown = unique(claims, held=self._names, lost=lost, pictures=self._pictures.find(claims))
        self._names = {name: track_id for track_id, name, _ in shown if name is not None}
        faces = tuple(
            TrackedFace(
                track_id=track.track_id,
                state=track.state,
                box=box_of(track.box.tolist()),
                score=track.score,
                landmarks=None if track.landmarks is None else landmarks_of(track.landmarks.ravel().tolist()),
                name=name,
                confidence=confidence,
                age_s=track.age_s,
                votes=_votes(self._votes[track.track_id]),
                doubtful=name is None and self._is_doubtful(track),
            )
            for track, (_, name, confidence) in zip(tracks, shown, strict=True)
        )
        followed = {face.landmarks for face in faces}
        others = (face.box for face in detected.faces if face.landmarks not in followed)
        names = {face.name for face in faces}
        ended = (face for face in late if face.name not in names)
        self._told = Tracked(frame=frame, faces=(*ended, *faces), others=(*detected.ignored, *others))
        if self._sightings is not None and self._tracker is not None:
            self._told = self._sightings.placed(self._told, self._exchanges, self._tracker.slowness)
        return self._told

    def _named(self, track_id: int, time_s: float) -> tuple[str | None, float]:
        """The name that the votes of a track say, and its confidence; none while it may show somebody else."""
        name, confidence = self._votes[track_id].name(time_s)
        return (None, 0.0) if self._exchanges.jumped(track_id) else (name, confidence)

    def _is_doubtful(self, track: Track) -> bool:
        may = track.state == "confirmed" and self._doubts.may_doubt(track.track_id)
        return may and self._doubts.doubts(track.track_id, self._pictures.motion(track.track_id))

    def _late_names(self, frame: FrameRef) -> list[TrackedFace]:
        """Tracks that have ended since the last frame and got their first name since, as they were: lost.

        Only after a pause that is long for video, where many frames have told the name.
        """
        untold, self._untold = self._untold, {}
        before = self._told
        if not untold or before is None or frame.time_s - before.frame.time_s <= NORMAL_S:
            return []
        ended = [
            face
            for face in before.faces
            if face.name is None and face.track_id in untold and face.track_id not in self._votes
        ]
        claims = [(face.track_id, *untold[face.track_id].name(before.frame.time_s)) for face in ended]
        return [
            msgspec.structs.replace(
                face,
                state="lost",
                landmarks=None,
                name=name,
                confidence=confidence,
                age_s=face.age_s + frame.time_s - before.frame.time_s,
                votes=_votes(untold[face.track_id]),
            )
            for face, (_, name, confidence) in zip(ended, unique(claims), strict=True)
            if name is not None
        ]


def _votes(votes: Votes) -> tuple[NameCandidate, ...]:
    return tuple(
        NameCandidate(name, log_odds, answers, photo, distance if math.isfinite(distance) else None)
        for name, log_odds, answers, photo, distance in votes.candidates()
    )


def _tracker(settings: TrackConfig, *, first_id: int) -> Tracker:
    return Tracker(
        strong_score=settings.strong_score,
        instant_score=settings.instant_score,
        min_iou=settings.min_iou,
        min_weak_iou=settings.min_weak_iou,
        confirm_s=settings.confirm_s,
        tentative_s=settings.tentative_s,
        hold_s=settings.hold_s,
        max_lost_s=settings.max_lost_s,
        kalman=settings.kalman,
        first_id=first_id,
    )
