"""Invented people as embeddings: an identity each, and looks around it, drawn like a network's strangers."""

import numpy as np

from jetstream.gallery import strangers
from jetstream.networks.embedders import SPECS
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

SAME = {"sface": 0.68, "dlib": 0.74}
"""Share of the variance of single looks that is the person's: from `EmbeddingSpace.same`."""


def likeness(network: str = "sface") -> StrangerLikeness:
    return StrangerLikeness.of(SPECS[network].space, strangers.faces(network))


class DrawnPeople:
    """People by number, the same for the same seed."""

    def __init__(self, network: str = "sface", *, seed: int = 0) -> None:
        with np.load(strangers.file(network)) as archive:
            self._mean, self._factor = archive["mean"], archive["factor"]
        self._same, self._seed = SAME[network], seed

    def looks(self, person: int, count: int, number: int = 0) -> np.ndarray:
        """(count, D) looks of a person's sighting `number`."""
        identity = np.random.default_rng([self._seed, person]).standard_normal(len(self._mean))
        around = np.random.default_rng([self._seed, person, number + 1]).standard_normal((count, len(self._mean)))
        parts = np.sqrt(self._same) * identity + np.sqrt(1 - self._same) * around
        return np.asarray(self._mean + parts @ self._factor.T, np.float32)
