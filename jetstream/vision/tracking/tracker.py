"""Detections over time to tracks: which box of this frame is which face of the last one.

Knows no image, no clock, no name and no other camera. Its only time is the one it is handed, in seconds; nothing is
counted in frames, because live frames drop.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.boxes import iou, widen
from jetstream.vision.tracking import single_modules
from jetstream.vision.tracking.kalman import BoxFilter

linear_sum_assignment: Final = single_modules.linear_sum_assignment()
State = Literal["tentative", "confirmed", "lost"]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What is known of one face at the time of one update.

    track_id   1, 2, 3, ... never given twice by the same Tracker
    state      tentative: may be a false alarm; confirmed: show it; lost: not found for a while, may come back
    box        (4,) float32 xyxy px, the filter's, so calmer than the detection; predicted where `detected` is False
    score      0..1, of the last detection
    landmarks  (5, 2) float32 px of the detection in this very frame, else None
    age_s      since the first detection
    seen_s     since the last detection, 0 where `detected`
    detected   whether a detection of this frame belongs to it
    """

    track_id: int
    state: State
    box: NDArray[np.float32]
    score: float
    landmarks: NDArray[np.float32] | None
    age_s: float
    seen_s: float
    detected: bool


@dataclass(slots=True)
class _FollowedFace:
    """A followed face; owned and changed by its Tracker alone."""

    track_id: int
    filter: BoxFilter
    confirmed: bool
    score: float
    landmarks: NDArray[np.float32] | None
    last_box: NDArray[np.float32]  # (4,) the last detection's own
    born_s: float
    seen_s: float
    detected: bool


@dataclass(frozen=True, slots=True)
class _DetectionArrays:
    boxes: NDArray[np.float32]  # (N, 4)
    scores: NDArray[np.float32]  # (N,)
    landmarks: NDArray[np.float32] | None  # (N, 5, 2)

    def marks(self, index: int) -> NDArray[np.float32] | None:
        return None if self.landmarks is None else self.landmarks[index]


class Tracker:
    """The faces of one camera.

    Four Hungarian assignments by intersection over union (Kuhn 1955; as in SORT, Bewley et al. 2016), each of what the
    ones before left over:

    1. Strong detections with the predicted boxes of confirmed and lost tracks.
    2. Weak detections with the same (Zhang et al. 2022, "ByteTrack"): a face that blurs or turns keeps its track, but
       no track is born of a weak detection.
    3. Strong detections with the places where confirmed and lost tracks were last seen (Cao et al. 2023, "OC-SORT",
       observation-centric recovery): a prediction drifts, most faces stay.
    4. Strong detections with tentative tracks. Those that are left after that are new faces.

    A track that misses a frame is called confirmed for `hold_s` longer, so a flickering detector doesn't make
    the picture flicker: who shows the tracks whose state is "confirmed" does what the benchmark does.
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
        min_return_iou: float = 0.3,
        widen_boxes: float = 0.2,
        max_tracks: int = 256,
        first_id: int = 1,
    ) -> None:
        """The defaults were tuned with `benchmarks/bench_mot.py` and on video of faces.

        strong_score   detections from here on find and found tracks, weaker ones only continue them
        instant_score  a new face from here on is confirmed at once
        min_iou        least overlap of a strong detection with its track
        min_weak_iou   the same for a weak detection
        min_return_iou least overlap of a strong detection with the place where a track was last seen
        widen_boxes    both boxes grow by this share of their sides before the overlap is taken: low frame rates
        confirm_s      a new face is confirmed when it is found again this long after its first detection, or later
        tentative_s    a face that isn't confirmed may be missing this long
        hold_s         a confirmed face is called lost when missing longer than this
        max_lost_s     and forgotten when missing longer than this
        max_tracks     no new track is made beyond this many
        first_id       the first track's id
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
        self._faces: list[_FollowedFace] = []
        self._made = first_id - 1
        self._time_s: float | None = None
        self._now_s = 0.0

    @property
    def tracks(self) -> list[Track]:
        """All tracks as of the last update, in the order of their ids."""
        return [self._track(face) for face in self._faces]

    def update(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        landmarks: NDArray[np.float32] | None,
        time_s: float,
        *,
        cut: bool = False,
    ) -> list[Track]:
        """Take in the detections of one frame and say where every face is now, in the order of track ids.

        boxes      (N, 4) float32 xyxy px; empty or non-finite ones are passed over
        scores     (N,) float32, 0..1
        landmarks  (N, 5, 2) float32 px, or None where the detector has none
        time_s     when the frame was taken; any origin. Time that stands still or runs back counts as no time passed
        cut        this frame is the first of a new scene: all tracks end, so that no face inherits another's name
        """
        elapsed_s = self._advance(time_s)
        if cut:
            self._faces = []
        self._faces = [face for face in self._faces if self._now_s - face.seen_s <= self._max_lost_s]
        for face in self._faces:
            face.detected = False
            face.filter.predict(elapsed_s)
        found = _usable(boxes, scores, landmarks)
        fresh = self._associate(found)
        self._faces = [face for face in self._faces if not self._was_false_alarm(face)]
        self._found(found, fresh)
        return self.tracks

    def _advance(self, time_s: float) -> float:
        """Seconds since the last update; also moves the tracker's own clock, which never runs back."""
        if not math.isfinite(time_s):
            return 0.0
        elapsed_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = time_s
        self._now_s += elapsed_s
        return elapsed_s

    def _associate(self, found: _DetectionArrays) -> list[int]:
        """Give detections to tracks; answers the strong ones that no track took, best score first."""
        strong = found.scores >= self._strong_score
        spare, weak = np.flatnonzero(strong), np.flatnonzero(~strong)
        known = [face for face in self._faces if face.confirmed]
        tentative = [face for face in self._faces if not face.confirmed]
        spare, unseen = self._assign(found, spare, known, self._min_iou)
        _, unseen = self._assign(found, weak, unseen, self._min_weak_iou)
        spare, _ = self._assign(found, spare, unseen, self._min_return_iou, predicted=False)
        spare, _ = self._assign(found, spare, tentative, self._min_iou)
        return sorted(spare.tolist(), key=lambda index: -float(found.scores[index]))

    def _assign(
        self,
        found: _DetectionArrays,
        candidates: NDArray[np.intp],
        faces: Sequence[_FollowedFace],
        least: float,
        *,
        predicted: bool = True,
    ) -> tuple[NDArray[np.intp], list[_FollowedFace]]:
        """One Hungarian round; answers the detections and the faces that are left over."""
        if len(candidates) == 0 or not faces:
            return candidates, list(faces)
        places = np.stack([face.filter.box if predicted else face.last_box for face in faces])
        widening = self._widen_boxes if predicted else 0.0
        overlap = iou(widen(found.boxes[candidates], widening), widen(places, widening))
        overlap[overlap < least] = 0.0
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        met = overlap[rows, columns] > 0.0
        for row, column in zip(rows[met], columns[met], strict=True):
            self._see(faces[column], found, int(candidates[row]), predicted=predicted)
        taken = set(columns[met].tolist())
        return np.delete(candidates, rows[met]), [face for column, face in enumerate(faces) if column not in taken]

    def _see(self, face: _FollowedFace, found: _DetectionArrays, index: int, *, predicted: bool) -> None:
        face.score = float(found.scores[index])
        face.landmarks = found.marks(index)
        face.last_box = found.boxes[index]
        face.seen_s = self._now_s
        face.detected = True
        face.confirmed = face.confirmed or self._now_s - face.born_s >= self._confirm_s
        if predicted:
            face.filter.update(face.last_box, face.score)
        else:  # the motion that led the prediction away was wrong
            face.filter = BoxFilter(face.last_box, face.score)

    def _was_false_alarm(self, face: _FollowedFace) -> bool:
        """Only after the frame was looked at: at 2 frames a second every gap is longer than `tentative_s`."""
        return not face.confirmed and self._now_s - face.seen_s > self._tentative_s

    def _found(self, found: _DetectionArrays, fresh: Sequence[int]) -> None:
        """Make new tracks, as far as there is room."""
        for index in fresh[: max(0, self._max_tracks - len(self._faces))]:
            self._made += 1
            score = float(found.scores[index])
            self._faces.append(
                _FollowedFace(
                    track_id=self._made,
                    filter=BoxFilter(found.boxes[index], score),
                    confirmed=score >= self._instant_score,
                    score=score,
                    landmarks=found.marks(index),
                    last_box=found.boxes[index],
                    born_s=self._now_s,
                    seen_s=self._now_s,
                    detected=True,
                )
            )

    def _track(self, face: _FollowedFace) -> Track:
        seen_s = self._now_s - face.seen_s
        state: State = "tentative" if not face.confirmed else "confirmed" if seen_s <= self._hold_s else "lost"
        return Track(
            track_id=face.track_id,
            state=state,
            box=face.filter.box,
            score=face.score,
            landmarks=face.landmarks if face.detected else None,
            age_s=self._now_s - face.born_s,
            seen_s=seen_s,
            detected=face.detected,
        )


def _usable(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], landmarks: NDArray[np.float32] | None
) -> _DetectionArrays:
    """The detections that are boxes: finite and with an area; a NaN would spread through a filter for good."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    scores = np.asarray(scores, np.float32).reshape(-1)
    fine = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    marks = None if landmarks is None else np.asarray(landmarks, np.float32).reshape(-1, 5, 2)[fine]
    return _DetectionArrays(boxes[fine], scores[fine], marks)
