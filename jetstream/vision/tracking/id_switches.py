"""Whether a track shows another person than before, from the embeddings of its looks.

Knows no picture, no name and no clock.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Distance of a look from the mean of the track's last looks. Measured on 20 video tracks of people who talk and turn,
# 11,392 looks at eight rates, and 801 swaps made of them: at FAR 94 % of other people are told apart, and 3 times one
# person is taken for two, which does no harm where the look got the same name.
FAR: Final = 0.55
# The same for a look without a name, which may be the same person seen badly: 84 % are told apart, and never was one
# person taken for two; at 0.66 one was.
FAR_UNNAMED: Final = 0.68
# Two looks closer than this show one face. At 0.5 two poor looks of one person passed for another's.
NEAR: Final = 0.45
# A profile, a blur or a tiny face lies anywhere.
LEAST_QUALITY: Final = 0.25


@dataclass(slots=True)
class _TrackSamples:
    """One track's looks; owned by its IdSwitchDetector alone."""

    mean: NDArray[np.float64]
    looks: int
    time_s: float
    odd: NDArray[np.float64] | None = None  # the newest look, if it was far from the mean
    moved: bool = False  # what was said of the newest look


class IdSwitchDetector:
    """The looks of one camera's tracks.

    A track has moved to another person when two looks in a row lie farther than `FAR` from the mean of its looks
    before, but within `NEAR` of each other, and the second either got a name or lies beyond `FAR_UNNAMED`. One alone
    doesn't count: motion blur, a hand or badly placed landmarks throw a look far off, but hardly ever twice to the same
    place. After a swap the mean begins with these two; if it was none, the mean follows, since that face only turned.

    Remembers the running mean of about five looks of a track, of `most` tracks, for `forget_s` after the last look.
    """

    def __init__(self, *, forget_s: float = 10.0, most: int = 1024, looks: int = 5) -> None:
        self._forget_s = forget_s
        self._most = most
        self._looks = looks
        self._seen: dict[int, _TrackSamples] = {}  # the one not looked at for longest first
        self._now_s = -math.inf

    def __len__(self) -> int:
        return len(self._seen)

    def moved(
        self, track_id: int, embedding: NDArray[Any], quality: float, time_s: float, *, named: bool = False
    ) -> bool:
        """Take in a look: does it show somebody else than the track's looks before?

        embedding  (128,)
        quality    0..1, of the look; one under `LEAST_QUALITY` is passed over, as is one that isn't finite
        time_s     of the frame. A step back is a clock that began anew: all is forgotten. The same look may be told of
                   again, and gets the same answer
        named      whether somebody known was recognised in it
        """
        look = np.asarray(embedding, np.float64)
        if not (quality >= LEAST_QUALITY and math.isfinite(time_s) and np.isfinite(look).all()):
            return False
        self._advance(time_s)
        seen = self._seen.pop(track_id, None) or _TrackSamples(look, 0, -math.inf)
        if time_s > seen.time_s:
            seen.moved, seen.time_s = self._take(seen, look, FAR if named else FAR_UNNAMED), time_s
        self._seen[track_id] = seen
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return seen.moved

    def _advance(self, time_s: float) -> None:
        if time_s < self._now_s:
            self._seen.clear()
        self._now_s = time_s
        while self._seen and time_s - next(iter(self._seen.values())).time_s > self._forget_s:
            del self._seen[next(iter(self._seen))]

    def _take(self, seen: _TrackSamples, look: NDArray[np.float64], far: float) -> bool:
        distance, odd = _distance(look, seen.mean), seen.odd
        if distance > FAR and (odd is None or _distance(look, odd) > NEAR):
            seen.odd = look
            return False
        seen.odd = None
        if distance > far and odd is not None:
            seen.mean, seen.looks = (look + odd) / 2, 2
            return True
        seen.looks = min(seen.looks + 1, self._looks)
        seen.mean = seen.mean + (look - seen.mean) / seen.looks
        return False


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(one - other))
