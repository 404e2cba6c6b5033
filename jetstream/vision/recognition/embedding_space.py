"""How far apart faces lie in the embedding space of one network, so that one set of constants fits every network.

Knows no network and no person. The constants of naming were measured as distances between embeddings of dlib's network.
Another network's distances are brought to them by three figures that can be measured in any space.
"""

from typing import Final, NamedTuple

import numpy as np


class EmbeddingSpace(NamedTuple):
    """The size of an embedding, and the usual Euclidean distances between embeddings of single photos."""

    size: int  # numbers of an embedding, D
    same: float  # median distance of two photos of one person
    false_match: float  # of two people's photos one pair in a thousand is nearer: FMR 0.1 %
    other: float  # median distance of two people's photos
    still: float = 1.0  # how much farther looks of a face that is as still as a picture lie apart than in dlib's space
    tail: float = 1.05  # how much farther real strangers' likenesses reach than those of drawn ones (`thresholds`)

    @property
    def step(self) -> float:
        """A difference between two distances near a threshold that is as large as one of 1 in dlib's space."""
        return (self.false_match - self.same) / (DLIB_SPACE.false_match - DLIB_SPACE.same)

    def at(self, distance: float) -> float:
        """The distance in this space that says as much as `distance` does in dlib's.

        Linear from 0 through `same` and `false_match` to `other`, and in proportion beyond.
        """
        return _between(distance, DLIB_SPACE, self)

    def common(self, distance: float) -> float:
        """The distance in dlib's space that says as much as `distance` does in this one: the inverse of `at`."""
        return _between(distance, self, DLIB_SPACE)

    def noise(self, squared: float) -> float:
        """The squared error in this space, of a mean of few photos, that is `squared` in dlib's."""
        return squared * (self.same / DLIB_SPACE.same) ** 2


def _between(distance: float, one: EmbeddingSpace, other: EmbeddingSpace) -> float:
    if one == other:
        return distance
    if distance > one.other:
        return distance * other.other / one.other
    known, wanted = ((0.0, space.same, space.false_match, space.other) for space in (one, other))
    return float(np.interp(distance, known, wanted))


DLIB_SPACE: Final = EmbeddingSpace(128, 0.42, 0.56, 0.80, tail=0.95)
SFACE_SPACE: Final = EmbeddingSpace(128, 0.39, 0.557, 0.665, still=1.2, tail=1.08)
