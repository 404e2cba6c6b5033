"""Which tracks to send to recognition now: a fair share of a limited number of requests.

Knows no picture, no name and no clock: tracks and the time come in, track ids come out.
"""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.quality import LEAST_POSE, ramp, sideways
from jetstream.vision.tracking.tracker import Track

# The embedder's chip is 150 px wide and a face's box nearly fills it: more than about 100 px gain nothing, and at 20 px
# a chip is mostly interpolation.
USELESS_PX: Final = 20.0
FULL_PX: Final = 100.0
# `quality.sideways`, in eye distances. Frontal faces are under 0.1; at 0.5 the nose is below an eye, which is a
# three-quarter view or more.
FRONTAL_OFFSET: Final = 0.1
PROFILE_OFFSET: Final = 0.5
# Each request for a track that isn't settled waits longer than the one before: a face that is seen badly for minutes
# would otherwise take the budget of all others. Each look adds to the track's template, so the first seconds count.
PATIENCE: Final = 1.25


class VoteSummary(Protocol):
    """What the scheduler reads of a track's votes."""

    @property
    def settled(self) -> bool: ...


@dataclass(slots=True)
class _TrackRequests:
    """One track's requests; owned by its RecognitionScheduler alone."""

    since_s: float  # when the track was first seen
    asked_s: float | None = None  # of the last request
    quality: float = 0.0  # of the sample requested last
    best: float = 0.0  # quality of the best sample that was answered
    open: bool = False  # an answer is due
    wait_s: float = 0.0  # until the next request, while the votes aren't settled
    is_suspect: bool = False  # as told
    is_unlike: bool = False  # its newest sample was unlike those before

    @property
    def is_familiar(self) -> bool:
        """Whether it surely shows the face that it showed before."""
        return not (self.is_suspect or self.is_unlike)


class RecognitionScheduler:
    """Recognition requests for the tracks of one camera.

    A track is requested
    - when it is new;
    - when it begins to be suspected of showing another face than before;
    - while its votes aren't settled, or it is suspected, or was unlike what it showed before, after `retry_s` and then
      after ever longer waits;
    - after `retry_s`, when its sample is better by `better_by` than every one that was answered;
    - in any case after `refresh_s`, since a track can switch from one face to another.

    It isn't requested while an answer is due, until that is `answer_timeout_s` late, nor when its sample's `quality` is
    below `min_quality`.

    A token bucket limits requests: `budget_per_s` on average, those of `burst_s` at once. Tracks that were never
    requested come first, then the one that waits longest, so that no track starves, however small the budget.
    """

    def __init__(
        self,
        *,
        budget_per_s: float,
        retry_s: float,
        refresh_s: float,
        min_quality: float,
        better_by: float = 0.2,
        answer_timeout_s: float = 1.0,
        burst_s: float = 0.5,
    ) -> None:
        self._budget_per_s = budget_per_s
        self._retry_s = retry_s
        self._refresh_s = refresh_s
        self._better_by = better_by
        self._answer_timeout_s = answer_timeout_s
        self._min_quality = min_quality
        self._full = max(1.0, budget_per_s * burst_s)
        self._tokens = self._full
        self._asked: dict[int, _TrackRequests] = {}
        self._time_s: float | None = None
        self._now_s = 0.0

    def choose(
        self,
        tracks: Sequence[Track],
        votes: Mapping[int, VoteSummary],
        time_s: float,
        suspects: Container[int] = (),
    ) -> list[int]:
        """The ids of the tracks to request now, most urgent first; they then count as requested.

        tracks    all tracks of this frame; a track that is missing is forgotten. Only confirmed ones with landmarks of
                  this frame are requested
        votes     by track id; a track without votes isn't settled
        time_s    of the frame, any origin; a step back counts as no time passed
        suspects  ids of tracks that may show another face than before
        """
        self._advance(time_s)
        before, self._asked = self._asked, {}
        due, measures = [], {}
        for track in tracks:
            i, is_suspect = track.track_id, track.track_id in suspects
            self._asked[i] = record = before.get(i) or _TrackRequests(since_s=self._now_s)
            if is_suspect and not record.is_suspect:
                record.wait_s = 0.0
            record.is_suspect = is_suspect
            if self._may_be_due(record):
                measured = _quality_of(track)
                if measured is not None and measured >= self._min_quality and self._is_due(i, measured, votes):
                    due.append(i)
                    measures[i] = measured
        due.sort(key=self._urgency)
        chosen = due[: int(self._tokens)]
        self._tokens -= len(chosen)
        for track_id in chosen:
            record = self._asked[track_id]
            longer_s = 0.0 if self._is_settled(track_id, votes) else record.wait_s * PATIENCE
            record.wait_s = min(max(longer_s, self._retry_s), self._refresh_s)
            record.asked_s, record.quality, record.open = self._now_s, measures[track_id], True
        return chosen

    def answered(self, track_ids: Iterable[int], unlike: Container[int] = ()) -> None:
        """Answers came for these tracks; ids that are gone or weren't requested are ignored.

        unlike  those whose face was unlike what they showed before
        """
        for track_id in track_ids:
            record = self._asked.get(track_id)
            if record is not None:
                record.is_unlike = track_id in unlike
            if record is not None and record.open:
                record.open = False
                record.best = max(record.best, record.quality)

    def quality(self, track_id: int) -> float:
        """0..1, of the sample requested last: a weight for the answer's vote; 0 for a track that never was."""
        record = self._asked.get(track_id)
        return 0.0 if record is None else record.quality

    def _advance(self, time_s: float) -> None:
        if not math.isfinite(time_s):
            return
        elapsed_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = time_s
        self._now_s += elapsed_s
        self._tokens = min(self._full, self._tokens + elapsed_s * self._budget_per_s)

    def _may_be_due(self, record: _TrackRequests) -> bool:
        """Whether it depends on the track's sample and votes, which need not be known for others."""
        if record.asked_s is None:
            return True
        waited_s = self._now_s - record.asked_s
        if record.open:
            return waited_s >= self._answer_timeout_s
        least_s = min(self._refresh_s, record.wait_s)
        if record.best + self._better_by <= 1.0:  # a sample may be better
            least_s = min(least_s, self._retry_s)
        return waited_s >= least_s

    def _is_due(self, track_id: int, quality: float, votes: Mapping[int, VoteSummary]) -> bool:
        record = self._asked[track_id]
        if record.asked_s is None:
            return True
        waited_s = self._now_s - record.asked_s
        if record.open:
            return waited_s >= self._answer_timeout_s
        if quality >= record.best + self._better_by:
            return waited_s >= self._retry_s
        if waited_s < min(self._refresh_s, record.wait_s):
            return False
        return waited_s >= (self._refresh_s if self._is_settled(track_id, votes) else record.wait_s)

    def _is_settled(self, track_id: int, votes: Mapping[int, VoteSummary]) -> bool:
        return track_id in votes and votes[track_id].settled and self._asked[track_id].is_familiar

    def _urgency(self, track_id: int) -> tuple[bool, float, int]:
        record = self._asked[track_id]
        return record.asked_s is not None, record.since_s if record.asked_s is None else record.asked_s, track_id


def quality(box: NDArray[np.float32], landmarks: NDArray[np.float32], score: float) -> float:
    """How well a face can be recognised, 0..1: the product of its size, how frontal it is, and the detector's score.

    box        (4,) xyxy px
    landmarks  (5, 2) px: left eye, right eye, nose, left and right mouth corner, as seen in the picture
    score      0..1

    A head tilted to its side is as good as an upright one, since alignment rotates it. A turned head isn't: the nose
    moves along the line of the eyes, away from the middle of eyes and mouth.
    """
    x1, y1, x2, y2 = box.tolist()
    turned = sideways(landmarks)
    frontal = max(ramp(turned, PROFILE_OFFSET, FRONTAL_OFFSET), LEAST_POSE) if math.isfinite(turned) else 0.0
    return ramp(min(x2 - x1, y2 - y1), USELESS_PX, FULL_PX) * frontal * ramp(score, 0.0, 1.0)


def _quality_of(track: Track) -> float | None:
    """`quality` of the track's sample in this frame; None where it can't be requested."""
    if track.state != "confirmed" or not track.detected or track.landmarks is None:
        return None
    return quality(track.box, track.landmarks, track.score)
