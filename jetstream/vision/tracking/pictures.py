"""Which tracks are pictures of a face, when two tracks of one camera claim a name: a poster beside the person.

Knows no picture, no gallery and no clock: landmarks over time and claims come in, track ids come out. It is no liveness
check: a film on a screen moves as a person does, and nothing is decided where nobody else claims the name.
"""

import statistics
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.log_odds import log_odds
from jetstream.vision.tracking.ordered import median, quantile
from jetstream.vision.tracking.tracker import Track
from jetstream.vision.tracking.votes import SETTLED

# How far landmarks lie from their median shape, relative to the size of that shape. Measured over 4 s on stills with
# sensor noise, strong compression, light that changes by 45 %, blur, a shaking and a panning camera: up to 0.020. On
# five videos of people who talk to a camera: 0.05 to 0.08.
STILL_SHAPE: Final = 0.025
LIVELY_SHAPE: Final = 0.04
# Distance of an embedding from the mean of those before: the median was up to 0.09 on the same stills. It was 0.14 and
# more on 14 people in video, of whom one listened for 4 s with a shape as still as a picture's.
STILL_DRIFT: Final = 0.115
LIVELY_DRIFT: Final = 0.135
DRIFTS: Final = 6
LEAST_DRIFTS: Final = 2
# Of the middle of the landmarks, in widths of a face. A camera that shakes moves a poster, too: what moves by itself
# has moved several times as far.
TRAVELLED: Final = 0.5
TIMES_AS_FAR: Final = 3.0
# The window: a still face is still for `STILL_S`, whether in 12 samples or, with a slow camera, in 6.
SAMPLES: Final = 12
SAMPLE_EVERY_S: Final = 0.3
STILL_S: Final = 3.0
LEAST_STILL: Final = 6
LEAST_LIVELY: Final = 4
EYES_PER_WIDTH: Final = 2.3
"""a face's box is so many eye distances wide"""


class _Sample(NamedTuple):
    time_s: float
    points: NDArray[np.complex128]  # (5,) px


class Motion(NamedTuple):
    """What a track did in the last samples."""

    span_s: float
    samples: int
    shape: float  # how much the face itself changed
    travel: float  # how far it went, in widths
    drift: float | None = None  # how much its embedding changed; None: too few answers

    @property
    def lasting_still(self) -> bool:
        """Whether the landmarks were still for long enough."""
        return self.span_s >= STILL_S and self.samples >= LEAST_STILL and self.shape <= STILL_SHAPE

    @property
    def still(self) -> bool:
        return self.lasting_still and self.drift is not None and self.drift <= STILL_DRIFT

    @property
    def lively(self) -> bool:
        if self.samples < LEAST_LIVELY:
            return False
        return self.shape >= LIVELY_SHAPE or (self.drift is not None and self.drift >= LIVELY_DRIFT)

    def went_by_itself(self, other: "Motion") -> bool:
        """Whether it travelled, and `other` hardly did."""
        enough = self.samples >= LEAST_LIVELY and self.travel >= TRAVELLED
        return enough and self.travel >= TIMES_AS_FAR * other.travel


UNKNOWN: Final = Motion(0.0, 0, 0.0, 0.0)


class PictureFinder:
    """The tracks of one camera that are pictures.

    A track is a picture once it is still while another one, whose votes are settled, claims the same name and is alive:
    its face changes, or it travels and the picture doesn't. It remains one until its own face changes. So a person who
    has a name and then reads or sleeps keeps it beside the poster, and two faces that both move are never told apart.
    """

    def __init__(self) -> None:
        self._samples: defaultdict[int, deque[_Sample]] = defaultdict(lambda: deque(maxlen=SAMPLES))
        self._drifts: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=DRIFTS))
        self._motions: dict[int, Motion] = {}  # of the samples there are now; computed when it is asked for
        self._pictures: set[int] = set()

    def saw(self, tracks: Sequence[Track], time_s: float) -> None:
        """Take a sample of each track that is detected, every `SAMPLE_EVERY_S`; forget tracks that are not given."""
        alive = {track.track_id for track in tracks}
        for gone in self._samples.keys() - alive:
            del self._samples[gone]
            self._drifts.pop(gone, None)
            self._motions.pop(gone, None)
        self._pictures &= alive
        for track in tracks:
            if track.landmarks is not None:
                self._take(track.track_id, track.landmarks, time_s)

    def heard(self, track_id: int, drift: float | None) -> None:
        """Take the drift of an answer about a track that was given to `saw`; None is passed over."""
        if drift is not None and track_id in self._samples:
            self._drifts[track_id].append(drift)
            self._motions.pop(track_id, None)

    def find(self, claims: Sequence[tuple[int, str | None, float]]) -> frozenset[int]:
        """The ids of the tracks that are pictures, given each track's (track_id, name, confidence)."""
        names = [name for _, name, _ in claims if name is not None]
        for contested in {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ():
            self._judge([(track_id, confidence) for track_id, name, confidence in claims if name == contested])
        return frozenset(self._pictures)

    def _take(self, track_id: int, landmarks: NDArray[Any], time_s: float) -> None:
        samples = self._samples[track_id]
        if samples and 0.0 <= time_s - samples[-1].time_s < SAMPLE_EVERY_S:
            return
        if samples and time_s < samples[-1].time_s:  # the clock was reset
            samples.clear()
        points = np.asarray(landmarks, np.float64)
        samples.append(_Sample(time_s, points[:, 0] + 1j * points[:, 1]))
        self._motions.pop(track_id, None)

    def _judge(self, rivals: Sequence[tuple[int, float]]) -> None:
        motions = {track_id: self.motion(track_id) for track_id, _ in rivals}
        self._pictures -= {track_id for track_id, motion in motions.items() if motion.lively}
        sure = [motions[track_id] for track_id, confidence in rivals if log_odds(confidence) >= SETTLED]
        for track_id, motion in motions.items():
            if motion.still and any(other.lively or other.went_by_itself(motion) for other in sure):
                self._pictures.add(track_id)

    def motion(self, track_id: int) -> Motion:
        """What the track did in the last samples."""
        if track_id not in self._motions:
            motion, drifts = motion_of(list(self._samples.get(track_id, ()))), self._drifts.get(track_id, ())
            drift = statistics.median(drifts) if len(drifts) >= LEAST_DRIFTS else None
            self._motions[track_id] = motion._replace(drift=drift)
        return self._motions[track_id]


def motion_of(samples: Sequence[_Sample]) -> Motion:
    """The motion in some samples; medians and the inner 80 %, so that one sample with wrong landmarks does no harm."""
    if len(samples) < LEAST_LIVELY:
        return UNKNOWN
    points = np.stack([sample.points for sample in samples])
    middles = points.mean(axis=1)
    width = EYES_PER_WIDTH * max(float(median(np.abs(points[:, 1] - points[:, 0]))), 1.0)
    ways = np.stack([middles.real, middles.imag], axis=1)
    low, high = quantile(ways, 0.1), quantile(ways, 0.9)
    span_s = samples[-1].time_s - samples[0].time_s
    return Motion(span_s, len(samples), _spread(points - middles[:, None]), float(np.hypot(*(high - low))) / width)


def _spread(shapes: NDArray[np.complex128]) -> float:
    """The median deviation of (N, 5) shapes around 0 from their median, after each was turned and scaled onto it."""
    reference = shapes[len(shapes) // 2]
    for _ in range(2):
        powers = np.maximum((np.abs(shapes) ** 2).sum(axis=1), 1e-9)
        aligned = shapes * ((shapes.conj() @ reference) / powers)[:, None]
        reference = median(aligned.real) + 1j * median(aligned.imag)
    size = max(float(np.abs(reference).mean()), 1e-9)
    return float(median(np.abs(aligned - reference).mean(axis=1))) / size
