"""Identity switches: whether a track shows another person than before, from the embeddings of its samples.

Knows no picture, no name and no clock.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.embedding_space import EmbeddingSpace

# Distance of a sample from the mean of the track's last samples. Measured on 20 video tracks of people who talk and
# turn, 11,392 samples at eight rates, and 801 identity switches made of them: at FAR 94 % of the switches are found,
# and 3 times one person is taken for two, which does no harm where the sample got the same name.
FAR: Final = 0.55
# The same for a sample without a name, which may be a poor view of the same person: 84 % of the switches are found, and
# no person is taken for two; at 0.66 one was.
FAR_UNNAMED: Final = 0.68
# Two samples nearer than this show one face. At 0.5 two poor samples of one person were taken for another's.
NEAR: Final = 0.45
# The embedding of a profile, a blurred or a tiny face may lie anywhere.
LEAST_QUALITY: Final = 0.25


@dataclass(slots=True)
class _TrackSamples:
    """One track's samples; owned by its IdSwitchDetector alone."""

    mean: NDArray[np.float64]
    count: int  # of the samples in the mean
    time_s: float
    odd: NDArray[np.float64] | None = None  # the newest sample, if it was far from the mean
    moved: bool = False  # the answer for the newest sample
    drift: float | None = None  # of the newest sample from the mean before it; None: it was the first
    is_same: bool | None = None  # whether that is near; None: it was the first, or can't be told


class IdSwitchDetector:
    """Finds identity switches among the tracks of one camera.

    A track has switched to another person when two samples in a row are farther than `FAR` from the mean of the samples
    before, but within `NEAR` of each other, and the second one either got a name or is farther than `FAR_UNNAMED`. A
    single one doesn't count: motion blur, a hand or wrong landmarks move an embedding far, but hardly ever twice to the
    same place. After a switch the mean is that of these two. Without one the mean follows, since the face only turned.

    Keeps a running mean of about `samples` samples for each of `most` tracks, until `forget_s` after the last sample.
    """

    def __init__(self, space: EmbeddingSpace, *, forget_s: float = 10.0, most: int = 1024, samples: int = 5) -> None:
        self._space = space
        self._forget_s = forget_s
        self._most = most
        self._samples = samples
        self._seen: dict[int, _TrackSamples] = {}  # the least recently updated one first
        self._now_s = -math.inf

    def __len__(self) -> int:
        return len(self._seen)

    def moved(
        self,
        track_id: int,
        embedding: NDArray[Any],
        quality: float,
        time_s: float,
        *,
        named: bool = False,
        suspect: bool = False,
        slowness: float = 1.0,
    ) -> bool:
        """Add a sample; whether it shows somebody else than the samples of the track before it.

        embedding  (D,); one that isn't finite is ignored
        quality    0..1, of the sample; below `LEAST_QUALITY` it is ignored
        time_s     of the frame, any origin. After a step back everything is forgotten: the clock was reset. A sample of
                   the same time as the last one gets the same answer
        named      whether a known person was recognised in it
        suspect    whether the face jumped, so that an exchange is likelier
        slowness   of the camera, see FrameRate: samples are kept longer by it
        """
        sample = np.asarray(embedding, np.float64)
        if not (quality >= LEAST_QUALITY and math.isfinite(time_s) and np.isfinite(sample).all()):
            self._look_at_poor(track_id, sample)
            return False
        self._advance(time_s, self._forget_s * slowness)
        seen = self._seen.pop(track_id, None) or _TrackSamples(sample, 0, -math.inf)
        if time_s > seen.time_s:
            far = self._space.at(FAR if named or suspect else FAR_UNNAMED)
            seen.moved, seen.time_s = self._take(seen, sample, far), time_s
        self._seen[track_id] = seen
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return seen.moved

    def is_odd(self, track_id: int) -> bool:
        """Whether the track's newest sample was far from those before, without being a switch so far."""
        seen = self._seen.get(track_id)
        return seen is not None and seen.odd is not None

    def is_same(self, track_id: int) -> bool | None:
        """Whether the track's newest sample is near to those before; None after the first, without any, and where it
        was poor and isn't nearer than `NEAR`."""
        seen = self._seen.get(track_id)
        return None if seen is None else seen.is_same

    def drift(self, track_id: int) -> float | None:
        """How far the track's newest sample was from the mean of those before, as dlib's; None after the first, or
        without any."""
        seen = self._seen.get(track_id)
        return None if seen is None or seen.drift is None else self._space.common(seen.drift) / self._space.still

    def _look_at_poor(self, track_id: int, sample: NDArray[np.float64]) -> None:
        """A poor sample may lie anywhere, but hardly ever where the others are."""
        seen = self._seen.get(track_id)
        if seen is not None:
            seen.is_same = _distance(sample, seen.mean) <= self._space.at(NEAR) or None

    def _advance(self, time_s: float, forget_s: float) -> None:
        if time_s < self._now_s:
            self._seen.clear()
        self._now_s = time_s
        while self._seen and time_s - next(iter(self._seen.values())).time_s > forget_s:
            del self._seen[next(iter(self._seen))]

    def _take(self, seen: _TrackSamples, sample: NDArray[np.float64], far: float) -> bool:
        distance, odd = _distance(sample, seen.mean), seen.odd
        space = self._space
        is_near = distance <= space.at(FAR)
        seen.drift, seen.is_same = (distance, is_near) if seen.count else (None, None)
        if not is_near and (odd is None or _distance(sample, odd) > space.at(NEAR)):
            seen.odd = sample
            return False
        seen.odd = None
        if distance > far and odd is not None:
            seen.mean, seen.count = (sample + odd) / 2, 2
            return True
        seen.count = min(seen.count + 1, self._samples)
        seen.mean = seen.mean + (sample - seen.mean) / seen.count
        return False


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(one - other))
