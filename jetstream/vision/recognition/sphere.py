"""Embeddings as directions from the mean face, so that a distance means the same for every face of one network.

Knows no person. What few photos, a blur or a mask take from an embedding is mostly its distance from the mean face, and
with it strangers come nearer to everybody. The angle between two strangers stays what it was.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sphere(NamedTuple):
    """Directions from `centre`, scaled to `radius` so that distances are as large as those between embeddings."""

    centre: NDArray[np.float32]  # (D,), the mean of many people's embeddings
    radius: float  # their usual distance from it; 0: embeddings are taken as they are

    @classmethod
    def around(cls, faces: NDArray[np.float32] | None, size: int) -> "Sphere":
        """Fitted to (S, D) embeddings of many people; without any, (N, `size`) embeddings are taken as they are."""
        if faces is None or not len(faces):
            return cls(np.zeros(size, np.float32), 0.0)
        centre = faces.mean(axis=0, dtype=np.float64)
        radius = float(np.sqrt(np.square(faces - centre).sum(axis=1).mean()))
        return cls(centre.astype(np.float32), radius)

    def project(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """(N, D) embeddings, or means of several, to points of the sphere; row by row, whatever the other rows are."""
        if not self.radius:
            return np.asarray(embeddings, np.float32)
        offsets = np.asarray(embeddings, np.float32) - self.centre
        lengths = np.sqrt(np.square(offsets).sum(axis=1, keepdims=True))
        return np.asarray(offsets * (np.float32(self.radius) / np.maximum(lengths, np.float32(1e-12))), np.float32)
