"""The looks that are nearest to a face, and how likely each shows the same person.

Knows no person, no file and no clock. Every look is compared, so nothing is missed: a matrix product for all.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import row_distances
from jetstream.vision.recognition.log_odds import log_odds
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

# Log odds of one person against two, where both are as frequent: ODDS_STEP * (rarity - EVEN_RARITY). A logistic
# regression on the pairs within five sets, whose people are as much alike as those of one place, half of the people and
# both networks, gave 1.02 and 5.3 (1.04 and 5.9 with SFace, 1.01 and 5.0 with dlib's). Among all people it gave 1.14
# and 4.8: there the probabilities are cautious. By theory the step is 1, since one person's looks lie nearly evenly
# where strangers become rare.
ODDS_STEP: Final = 1.05
EVEN_RARITY: Final = 5.3
EXPECTED: Final = 10.0
"""The prior, as long as nothing is known: so many of all looks show the face asked for, but at most half of them."""
# Relatives and look-alikes are no strangers drawn at random, so that nothing is surer than this.
SUREST: Final = 0.999

_ROUNDING: Final = 1e-5  # of a squared distance that comes out of a matrix product
_AT_ONCE: Final = 8192  # looks: 4 MB


class FoundLooks(NamedTuple):
    """Looks, the nearest first; of equally near ones the earlier."""

    rows: NDArray[np.intp]  # (K,) of the looks given
    distances: NDArray[np.float32]  # (K,) on the sphere of the network's strangers
    probabilities: NDArray[np.float64]  # (K,) that it is the same person


class FaceSearch:
    """(N, D) looks to search in; immutable. Looks that aren't finite are never found."""

    def __init__(self, looks: NDArray[Any], likeness: StrangerLikeness) -> None:
        """`likeness` of the network that made the looks. Takes as much memory as the looks, in float32."""
        if looks.ndim != 2 or looks.shape[1] != len(likeness.sphere.centre):
            raise ValueError(f"looks: expected (N, {len(likeness.sphere.centre)}), got {looks.shape}")
        self._likeness = likeness
        self._points = np.empty(looks.shape, np.float32)
        for first in range(0, len(looks), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            self._points[part] = likeness.place(looks[part])
        self._squares = np.einsum("nd,nd->n", self._points, self._points)
        missing = ~np.isfinite(self._squares)
        self._points[missing], self._squares[missing] = 0.0, np.inf

    def __len__(self) -> int:
        return len(self._points)

    def nearest(self, face: NDArray[Any], most: int, *, expected: float = EXPECTED) -> FoundLooks:
        """The up to `most` nearest looks to a face (D,), one look or the mean of several.

        expected  how many of all looks show this person, as far as is known before: the prior, over 0

        Raises ValueError where the face has another size or isn't finite, and where `expected` isn't over 0.
        """
        if face.shape != self._points.shape[1:] or not np.isfinite(face).all():
            raise ValueError(f"face: expected {self._points.shape[1:]} finite numbers, got {face.shape}")
        (point,) = self._likeness.place(face[None])
        squared = self._squares + np.square(point).sum() - 2 * (self._points @ point)
        rows = np.flatnonzero(squared <= self._limit(squared, most))
        distances = row_distances(self._points[rows], point[None])
        order = np.lexsort((rows, distances))[: max(most, 0)]
        prior = min(expected / max(1, len(self)), 0.5)
        return FoundLooks(rows[order], distances[order], probability(self._likeness, distances[order], prior))

    def _limit(self, squared: NDArray[np.float32], most: int) -> float:
        """A squared distance that the `most` nearest don't exceed, whatever a product's rounding did."""
        if most < 1:
            return -math.inf
        last = float(np.partition(squared, most - 1)[most - 1]) if most < len(squared) else math.inf
        return min(last + _ROUNDING, float(np.finfo(np.float32).max))


def probability(likeness: StrangerLikeness, distances: NDArray[Any], prior: float) -> NDArray[np.float64]:
    """(K,) that two looks at these distances show one person, where the share `prior` of such pairs does."""
    if not 0.0 < prior < 1.0:
        raise ValueError(f"prior must be over 0 and under 1, got {prior}")
    rarity = likeness.rarity(np.square(np.asarray(distances, np.float64)))
    odds = ODDS_STEP * (rarity - EVEN_RARITY) + log_odds(prior)
    return np.asarray(np.minimum(0.5 * (1 + np.tanh(0.5 * odds)), SUREST))
