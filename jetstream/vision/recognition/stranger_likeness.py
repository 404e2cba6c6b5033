"""How rarely two people's faces lie as near to each other as two given ones: one scale for every network.

Knows no group, no file and no name. The scale is measured on drawn strangers, so it follows from a network's background
and `EmbeddingSpace`. Faces are points of a `Sphere`, where it holds for single looks and for means of many.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.sphere import Sphere

# Pairs nearer than this share of all are few, and an exponential tail is fitted to them (peaks over threshold). Beyond
# it, drawn pairs become rarer faster, so that the tail errs to the safe side: at one in a million by a factor of 2.
TAIL: Final = 1e-3
# 9 million pairs: 9,000 are in the tail, and its step varies by 1 % between draws.
MOST_DRAWN: Final = 3000
# Without strangers to measure on. Of a normal distribution the step is 0.0916 of where the tail starts; measured: 0.091
# with SFace, 0.090 with dlib's network.
USUAL_STEP: Final = 0.091
# Without a tail likenesses may be anything: as large as that of a cosine of 0.9999.
_LARGEST: Final = 0.9999


class StrangerLikeness(NamedTuple):
    """The distribution of the likeness of two people, who are strangers to each other, in one network's space."""

    sphere: Sphere
    start: float  # the likeness that the share TAIL of pairs reaches
    step: float  # over this likeness pairs become e-fold rarer

    @classmethod
    def of(cls, space: EmbeddingSpace, strangers: NDArray[np.float32] | None) -> "StrangerLikeness":
        """Measured on (S, D) embeddings of strangers, some hundreds at least.

        Without any it follows from the figures of the space, and the mean face is taken to be the origin: near enough
        for a network that is compared by cosine, but not for others, whose faces then seem alike.
        """
        if strangers is None or not len(strangers):
            radius = space.other / math.sqrt(2)  # as far from each other are independent directions
            start = math.atanh(1 - space.false_match**2 / (2 * radius**2))  # `false_match` is where TAIL begins
            return cls(Sphere(np.zeros(space.size, np.float32), radius), start, USUAL_STEP * start)
        sphere = Sphere.around(strangers, space.size)
        half = min(len(strangers) // 2, MOST_DRAWN)
        points = sphere.project(strangers[: 2 * half]) / np.float32(sphere.radius)
        cosines = (points[:half] @ points[half:].T).ravel()
        # arctanh keeps the order, so that only the tail must be converted
        limit = np.quantile(cosines, 1 - TAIL)
        start = float(np.arctanh(limit))
        step = float(np.mean(np.arctanh(cosines[cosines >= limit])) - start)
        return cls(sphere, space.tail * start, space.tail * step)

    def place(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """(N, D) embeddings, or means of several, to the points that are compared."""
        return self.sphere.project(embeddings)

    def centres(self, sums: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float32]:
        """(G, D) points in the middle of several, from their weighted (G, D) sums and (G,) sums of weights."""
        means = sums / np.maximum(weights, 1e-12)[:, None]
        lengths = np.sqrt(np.square(means).sum(axis=1, keepdims=True))
        return np.asarray(means * (self.sphere.radius / np.maximum(lengths, 1e-12)), np.float32)

    def likeness(self, squared: NDArray[Any]) -> NDArray[np.float64]:
        """Likenesses of points whose squared distances are these: arctanh of the cosine, large for near ones."""
        cosines = 1 - np.asarray(squared, np.float64) / (2 * self.sphere.radius**2)
        return np.asarray(np.arctanh(np.clip(cosines, -_LARGEST, _LARGEST)))

    def rarity(self, squared: NDArray[Any]) -> NDArray[np.float64]:
        """How rare pairs of two people as near as that are: minus the logarithm of their share.

        Right below TAIL; linear in the likeness beyond, so that it may be negative for far ones.
        """
        return (self.likeness(squared) - self.start) / self.step - math.log(TAIL)

    def distance(self, rate: float) -> float:
        """The distance within which the share `rate` of pairs of two people lies."""
        likeness = self.start - self.step * math.log(rate / TAIL)
        return self.sphere.radius * math.sqrt(2 - 2 * math.tanh(likeness))
