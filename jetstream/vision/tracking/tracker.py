"""Detections over time to tracks: which box of this frame is which face of the last one.

Knows no image, no clock, no name and no other camera. Time is an argument, in seconds. Nothing is counted in frames,
because live frames are dropped.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.tracking.assignment import assigned, widened
from jetstream.vision.tracking.common_motion import CommonMotion
from jetstream.vision.tracking.followed_face import FollowedFace, rejoined
from jetstream.vision.tracking.found import FoundFaces, usable
from jetstream.vision.tracking.frame_rate import FrameRate
from jetstream.vision.tracking.kalman import Corners, FilterKind, filter_class

State = Literal["tentative", "confirmed", "lost"]
# From this slowness on (an interval of 1 s) a speed seen between two frames says less and less about the next.
PERSISTENT: Final = 4.0
# A face shows how the camera moves once its own speed is known, and while it is seen.
SETTLED_S: Final = 0.3
SEEN_S: Final = 0.1


class Track(NamedTuple):
    """State of one face after one update.

    track_id   1, 2, 3, ... unique in its Tracker
    state      tentative: may be a false alarm; confirmed: show it; lost: not detected for a while, may come back
    box        (4,) float32 xyxy px, smoothed by the filter; predicted where `detected` is False
    score      0..1, of the last detection
    landmarks  (5, 2) float32 px of the detection in this frame, else None
    age_s      since the first detection
    seen_s     since the last detection, 0 where `detected`
    detected   whether a detection of this frame is assigned to it
    jumped     whether that detection is far from where the face was expected: it may be somebody else's
    """

    track_id: int
    state: State
    box: NDArray[np.float32]
    score: float
    landmarks: NDArray[np.float32] | None
    age_s: float
    seen_s: float
    detected: bool
    jumped: bool = False


class Tracker:
    """The tracks of one camera.

    Four Hungarian assignments by intersection over union (Kuhn 1955; as in SORT, Bewley et al. 2016), each of what the
    ones before left unassigned:

    1. Strong detections to the predicted boxes of confirmed and lost tracks.
    2. Weak detections to the same boxes (Zhang et al. 2022, "ByteTrack"): a face that blurs or turns keeps its track,
       but a weak detection starts no track.
    3. Strong detections to the last detected boxes of confirmed and lost tracks (Cao et al. 2023, "OC-SORT",
       observation-centric recovery): predictions drift, most faces stay where they are.
    4. Strong detections to tentative tracks. Those that remain start new tracks.

    A track without a detection stays confirmed for `hold_s`, so that boxes don't flicker when the detector misses
    single frames. The benchmark counts the tracks whose state is "confirmed".

    Before that all tracks are moved with the camera: by the shift of the picture, where the caller knows it, and by
    what all faces moved beyond their predictions (`CommonMotion`). So a lost face is where it was in the scene.

    All times grow with the interval between frames (`FrameRate.slowness`), so that a track of a camera with a frame in
    2.5 s survives as many missed frames as at 4 frames a second.
    """

    def __init__(
        self,
        *,
        strong_score: float,
        instant_score: float,
        min_iou: float,
        min_weak_iou: float,
        confirm_s: float,
        tentative_s: float,
        hold_s: float,
        max_lost_s: float,
        kalman: FilterKind,
        min_return_iou: float = 0.3,
        widen_boxes: float = 0.2,
        max_tracks: int = 256,
        first_id: int = 1,
    ) -> None:
        """The config's defaults and those here were tuned with `benchmarks/bench_mot.py` and on video of faces.

        strong_score    detections of at least this score continue and start tracks, weaker ones only continue them
        instant_score   a new track is confirmed at once if its detection has at least this score
        min_iou         least overlap of a strong detection with its track, 0..1
        min_weak_iou    least overlap of a weak detection with its track, 0..1
        confirm_s       any other new track is confirmed by a detection at least this long after its first one
        tentative_s     a tentative track is deleted after this long without a detection
        hold_s          a confirmed track becomes lost after this long without a detection
        max_lost_s      a track is deleted after this long without a detection
        kalman          what computes the filters, see `filter_class`
        min_return_iou  least overlap of a strong detection with the last detected box of a track, 0..1
        widen_boxes     both boxes grow by this share of their sides before the overlap is computed, for low frame rates
        max_tracks      no new track is started while there are this many
        first_id        the first track's id
        """
        self._strong_score = strong_score
        self._instant_score = instant_score
        self._min_iou = min_iou
        self._min_weak_iou = min_weak_iou
        self._min_return_iou = min_return_iou
        self._widen_boxes = widen_boxes
        self._confirm_s = confirm_s
        self._tentative_s = tentative_s
        self._hold_s = hold_s
        self._max_lost_s = max_lost_s
        self._max_tracks = max_tracks
        self._filter_of = filter_class(kalman)
        self._faces: list[FollowedFace] = []
        self._made = first_id - 1
        self._time_s: float | None = None
        self._now_s = 0.0
        self._rate = FrameRate()
        self._common = CommonMotion()

    @property
    def slowness(self) -> float:
        """By how much times grow at the pace of the last frames; 1 from 4 frames a second on."""
        return self._rate.slowness

    @property
    def tracks(self) -> list[Track]:
        """All tracks at the last update, in the order of their ids."""
        hold_s = self._hold_s * self.slowness
        return [_track(face, self._now_s, hold_s) for face in self._faces]

    def update(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        landmarks: NDArray[np.float32] | None,
        time_s: float,
        *,
        cut: bool = False,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> list[Track]:
        """Assign the detections of one frame; all tracks, in the order of their ids.

        boxes      (N, 4) float32 xyxy px; empty or non-finite ones are passed over
        scores     (N,) float32, 0..1
        landmarks  (N, 5, 2) float32 px, or None where the detector has none
        time_s     when the frame was taken; any origin. If it doesn't increase, no time has passed
        cut        this frame is the first of a new scene: all tracks end, so that no face inherits another's name
        shift      by how many pixels the whole picture moved to the right and down since the last update
        """
        elapsed_s = self._advance(time_s)
        if cut:
            self._faces = []
            self._common.restart()
        slowness = self._rate.slowness
        most_s, persistence = self._max_lost_s * slowness, min(1.0, PERSISTENT / slowness)
        self._faces = [face for face in self._faces if self._now_s - face.seen_s <= most_s]
        for face in self._faces:
            face.detected = face.jumped = False
            face.filter.predict(elapsed_s, persistence=persistence)
        found = usable(boxes, scores, landmarks)
        if not cut:
            self._move(*shift)
            self._move(*self._common.seen(self._settled(elapsed_s), found.boxes, elapsed_s))
        fresh = self._associate(found)
        self._faces = [face for face in self._faces if not self._was_false_alarm(face)]
        self._found(found, fresh)
        return self.tracks

    def rejoin(self, track_id: int, earlier_id: int, age_s: float) -> bool:
        """Let a track go on as an earlier one, with its id and its age; whether that could be.

        It can't be for a track that is gone, nor where both were seen at once: then they are two people.
        """
        self._faces, done = rejoined(self._faces, track_id, earlier_id, self._now_s - age_s)
        return done

    def _advance(self, time_s: float) -> float:
        """Seconds since the last update; advances the tracker's own clock, which never steps back."""
        if not math.isfinite(time_s):
            return 0.0
        elapsed_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = time_s
        self._rate.saw(time_s)
        self._now_s += elapsed_s
        return elapsed_s

    def _settled(self, elapsed_s: float) -> list[Corners]:
        """The predicted boxes of the faces that show how the camera moves."""
        lately_s = self._now_s - elapsed_s - SEEN_S
        known = [face for face in self._faces if face.confirmed and face.seen_s - face.born_s >= SETTLED_S]
        return [face.filter.corners for face in known if face.seen_s >= lately_s]

    def _move(self, right_px: float, down_px: float) -> None:
        if math.isfinite(right_px) and math.isfinite(down_px) and (right_px or down_px):
            for face in self._faces:
                face.move(right_px, down_px)

    def _associate(self, found: FoundFaces) -> list[int]:
        """Assign detections to tracks. Returns the unassigned strong ones, best score first."""
        spare = [index for index, score in enumerate(found.scores) if score >= self._strong_score]
        weak = [index for index, score in enumerate(found.scores) if score < self._strong_score]
        known = [face for face in self._faces if face.confirmed]
        tentative = [face for face in self._faces if not face.confirmed]
        spare, unseen = self._assign(found, spare, known, self._min_iou)
        _, unseen = self._assign(found, weak, unseen, self._min_weak_iou)
        spare, _ = self._assign(found, spare, unseen, self._min_return_iou, predicted=False)
        spare, _ = self._assign(found, spare, tentative, self._min_iou)
        return sorted(spare, key=lambda index: -found.scores[index])

    def _assign(
        self,
        found: FoundFaces,
        candidates: list[int],
        faces: list[FollowedFace],
        least: float,
        *,
        predicted: bool = True,
    ) -> tuple[list[int], list[FollowedFace]]:
        """One Hungarian assignment. Returns the detections and the faces that remain unassigned."""
        if not candidates or not faces:
            return candidates, faces
        places = [face.filter.corners if predicted else face.last_box for face in faces]
        boxes = [found.boxes[index] for index in candidates]
        if predicted:
            boxes, places = ([widened(box, self._widen_boxes) for box in some] for some in (boxes, places))
        met = assigned(boxes, places, least)
        for row, column in met:
            self._see(faces[column], found, candidates[row], predicted=predicted)
        seen, taken = {row for row, _ in met}, {column for _, column in met}
        return (
            [index for row, index in enumerate(candidates) if row not in seen],
            [face for column, face in enumerate(faces) if column not in taken],
        )

    def _see(self, face: FollowedFace, found: FoundFaces, index: int, *, predicted: bool) -> None:
        box = found.boxes[index]
        # At a slow camera's pace every prediction is poor.
        was_held = self._now_s - face.seen_s <= self._hold_s
        face.jumped = self.slowness == 1.0 and face.confirmed and face.would_jump(box, was_held=was_held)
        face.score = found.scores[index]
        face.landmarks = found.landmarks[index]
        face.last_box = box
        face.seen_s = self._now_s
        face.detected = True
        face.confirmed = face.confirmed or self._now_s - face.born_s >= self._confirm_s * self.slowness
        if predicted:
            face.filter.update(box, face.score)
        else:  # the predicted motion was wrong
            face.filter = self._filter_of(box, face.score)

    def _was_false_alarm(self, face: FollowedFace) -> bool:
        """Whether a tentative track got no second detection. Call it after the assignment: at 2 frames a second every
        gap is longer than `tentative_s`."""
        return not face.confirmed and self._now_s - face.seen_s > self._tentative_s * self.slowness

    def _found(self, found: FoundFaces, fresh: Sequence[int]) -> None:
        """Start new tracks, up to `max_tracks` in all."""
        for index in fresh[: max(0, self._max_tracks - len(self._faces))]:
            self._made += 1
            score = found.scores[index]
            self._faces.append(
                FollowedFace(
                    track_id=self._made,
                    filter=self._filter_of(found.boxes[index], score),
                    confirmed=score >= self._instant_score,
                    score=score,
                    landmarks=found.landmarks[index],
                    last_box=found.boxes[index],
                    born_s=self._now_s,
                    seen_s=self._now_s,
                    detected=True,
                )
            )


def _track(face: FollowedFace, now_s: float, hold_s: float) -> Track:
    seen_s = now_s - face.seen_s
    return Track(
        face.track_id,
        "tentative" if not face.confirmed else "confirmed" if seen_s <= hold_s else "lost",
        face.filter.box,
        face.score,
        face.landmarks if face.detected else None,
        now_s - face.born_s,
        seen_s,
        face.detected,
        face.jumped,
    )
