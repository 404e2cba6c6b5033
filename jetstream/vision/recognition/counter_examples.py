"""Counter-examples: looks of others who got a person's name. They lower that one person's threshold, near them alone.

Knows no file and no picture.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.sphere import Sphere
from jetstream.vision.recognition.thresholds import PHOTO_NOISE

# By how much nearer to the person a look must be. Chosen on one half of five sets' people, with a counter-example of
# nearly everybody: with 0 one look in a hundred of the same stranger got the name again, with 0.03 twice as many of the
# person's own looks lost it.
CLEARLY: Final = 0.01


class CounterLooks(NamedTuple):
    """Looks that aren't the person whose name they bore."""

    embeddings: NDArray[Any]  # (K, D)
    names: Sequence[str]  # of the K people


class Limit(NamedTuple):
    """The largest distance to a person at which a look isn't rather the person of a counter-example."""

    distance: float = math.inf
    row: int | None = None  # of the nearest counter-example


class CounterExamples:
    """The counter-examples of a gallery. Immutable."""

    def __init__(self, embeddings: NDArray[np.float32], owners: NDArray[np.int32]) -> None:
        """Of (K, D) finite embeddings; `owners` (K,) is whom each is not. Raises ValueError for other shapes."""
        if owners.shape != (len(embeddings),) or owners.dtype != np.int32:
            raise ValueError(f"counter_owners: expected {(len(embeddings),)} int32, got {owners.shape} {owners.dtype}")
        self.embeddings, self.owners = embeddings, owners

    @classmethod
    def among(cls, looks: CounterLooks | None, people: Sequence[str], size: int) -> "CounterExamples":
        """Those of `people`; the others' are left out. Embeddings have `size` numbers."""
        number = {name: index for index, name in enumerate(people)}
        kept = [] if looks is None else [row for row, name in enumerate(looks.names) if name in number]
        if looks is None or not kept:
            return cls(np.empty((0, size), np.float32), np.empty(0, np.int32))
        embeddings = np.asarray(looks.embeddings, np.float32)[kept]
        return cls(embeddings, np.array([number[looks.names[row]] for row in kept], np.int32))

    def looks(self, people: Sequence[str]) -> CounterLooks:
        """With the names of `people`."""
        return CounterLooks(self.embeddings, [people[owner] for owner in self.owners.tolist()])


class ThresholdLimits:
    """By how much counter-examples lower the thresholds of people with so many photos."""

    def __init__(
        self, examples: CounterExamples, counts: NDArray[np.float32], sphere: Sphere, space: EmbeddingSpace
    ) -> None:
        """`counts` is (P,), the number of photos of each person; looks and counter-examples are compared on `sphere`.

        A look is nearer to the mean of n photos of its person than to one of them, by PHOTO_NOISE (1 - 1/n), squared:
        without that, one counter-example would weigh less than many photos.
        """
        self._placed = sphere.project(examples.embeddings)
        self._clearly = CLEARLY * space.step
        self._rows = {owner: np.flatnonzero(examples.owners == owner) for owner in set(examples.owners.tolist())}
        self._nearer = {owner: space.noise(PHOTO_NOISE) * (1.0 - 1.0 / float(counts[owner])) for owner in self._rows}

    def of(self, face: NDArray[np.float32], person: int) -> Limit:
        """For the point (D,) of the sphere, of which `person` is the nearest; infinite without a counter-example."""
        rows = self._rows.get(person)
        if rows is None:
            return Limit()
        squared = np.square(self._placed[rows] - face).sum(axis=1)
        nearest = int(squared.argmin())
        distance = math.sqrt(max(float(squared[nearest]) - self._nearer[person], 0.0)) - self._clearly
        return Limit(max(distance, 0.0), int(rows[nearest]))
