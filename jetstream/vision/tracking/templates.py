"""The looks of a track as one piece of evidence: their mean, weighted by quality, is compared instead of each look.

Knows no picture, no name and no clock. Looks of one track are alike, so that to count each as evidence would be to
count one look many times. Their mean is nearer to the person's photos, and hardly nearer to anybody else's.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.tracking.id_switches import IdSwitchDetector

# A mean of eight good looks gains little from a ninth; older ones then fade, so that it follows a face that changes.
MOST_LOOKS: Final = 8.0
# Looks of less quality count as if they had this: several of them are better than the first alone.
LEAST_WEIGHT: Final = 0.02


class FusedLook(NamedTuple):
    """What a track's looks show together, with the newest."""

    embedding: NDArray[np.float32]  # (D,): of the newest alone, where `is_odd`
    looks: float  # the sum of the qualities behind it
    moved: bool  # somebody else than before: the looks before are dropped
    is_odd: bool  # far from those before: a poor view of the same face, or the first look at another
    drift: float | None  # how far it was from those before; None: the first
    is_same: bool | None = None  # near to those before; None: the first, or it can't be told


@dataclass(slots=True)
class _Template:
    """One track's looks; owned by its TrackTemplates alone."""

    total: NDArray[np.float64]  # (D,) weighted sum
    weight: float
    time_s: float
    odd: tuple[NDArray[np.float64], float] | None = None  # the newest look and its weight, if it was odd


class TrackTemplates:
    """The templates of the tracks of one camera, and its identity switches.

    A look that is odd isn't added; if the next one is like it, they begin a new template. Keeps `most` templates, each
    until `forget_s` after its last look.
    """

    def __init__(self, space: EmbeddingSpace, *, forget_s: float = 10.0, most: int = 1024) -> None:
        self._forget_s = forget_s
        self._most = most
        self._switches = IdSwitchDetector(space, forget_s=forget_s, most=most)
        self._kept: dict[int, _Template] = {}  # the least recently updated one first
        self._now_s = -math.inf

    def __len__(self) -> int:
        return len(self._kept)

    def add(
        self,
        track_id: int,
        embedding: NDArray[Any],
        quality: float,
        time_s: float,
        *,
        named: bool,
        suspect: bool = False,
        slowness: float = 1.0,
    ) -> FusedLook:
        """Add a look; arguments as in `IdSwitchDetector.moved`. One that isn't later than the last adds nothing."""
        moved = self._switches.moved(
            track_id, embedding, quality, time_s, named=named, suspect=suspect, slowness=slowness
        )
        drift, is_odd = self._switches.drift(track_id), self._switches.is_odd(track_id)
        look, weight = np.asarray(embedding, np.float64), max(quality, LEAST_WEIGHT)
        if not (np.isfinite(look).all() and math.isfinite(time_s) and math.isfinite(weight)):
            return FusedLook(np.asarray(embedding, np.float32), 0.0, False, True, None)
        self._forget(time_s, self._forget_s * slowness)
        kept = self._kept.pop(track_id, None)
        if kept is None or moved:
            odd, odd_weight = kept.odd if kept is not None and kept.odd is not None else (look, 0.0)
            kept = _Template(look * weight + odd * odd_weight, weight + odd_weight, time_s)
        elif is_odd:
            kept.odd, kept.time_s = (look, weight), time_s
        elif time_s > kept.time_s:
            fade = min(1.0, max(0.0, MOST_LOOKS - weight) / kept.weight)
            kept.total, kept.weight = kept.total * fade + look * weight, kept.weight * fade + weight
            kept.odd, kept.time_s = None, time_s
        self._kept[track_id] = kept
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        shown, looks = (look, weight) if is_odd else (kept.total / kept.weight, kept.weight)
        is_same = self._switches.is_same(track_id)
        return FusedLook(shown.astype(np.float32), looks, moved, is_odd, drift, is_same)

    def _forget(self, time_s: float, forget_s: float) -> None:
        if time_s < self._now_s:  # the clock was reset
            self._kept.clear()
        self._now_s = time_s
        while self._kept and time_s - next(iter(self._kept.values())).time_s > forget_s:
            del self._kept[next(iter(self._kept))]
