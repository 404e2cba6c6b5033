"""How far apart faces lie in the embedding space of one network, so that one set of constants fits every network.

Knows no network and no person. The constants of naming were measured as distances between embeddings of dlib's network.
Another network's distances are brought to them by two figures that can be measured in any space.
"""

from typing import Final, NamedTuple


class EmbeddingSpace(NamedTuple):
    """The size of an embedding, and the usual Euclidean distances between embeddings of single photos."""

    size: int  # numbers of an embedding, D
    same: float  # median distance of two photos of one person
    false_match: float  # of two people's photos one pair in a thousand is nearer: FMR 0.1 %

    @property
    def step(self) -> float:
        """A difference between two distances in this space that is as large as one of 1 in dlib's."""
        return (self.false_match - self.same) / (DLIB_SPACE.false_match - DLIB_SPACE.same)

    def at(self, distance: float) -> float:
        """The distance in this space that says as much as `distance` does in dlib's: linear from 0 to `same`, and from
        there through `false_match` on."""
        if distance <= DLIB_SPACE.same:
            return distance * self.same / DLIB_SPACE.same
        return self.same + (distance - DLIB_SPACE.same) * self.step

    def common(self, distance: float) -> float:
        """The distance in dlib's space that says as much as `distance` does in this one: the inverse of `at`."""
        if distance <= self.same:
            return distance * DLIB_SPACE.same / self.same
        return DLIB_SPACE.same + (distance - self.same) / self.step

    def noise(self, squared: float) -> float:
        """The squared error in this space, of a mean of few photos, that is `squared` in dlib's."""
        return squared * (self.same / DLIB_SPACE.same) ** 2


DLIB_SPACE: Final = EmbeddingSpace(128, 0.42, 0.56)
SFACE_SPACE: Final = EmbeddingSpace(128, 0.39, 0.557)
