"""Other programs' ways to group faces, all at once, on the quality-weighted mean embedding of each sighting.

The thresholds are distances in dlib's space, brought to another network by its `EmbeddingSpace`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from benchmarks.strangers.sightings import DrawnSighting

Grouping = Callable[[NDArray[np.float32], float], NDArray[np.intp]]


class GroupingRival(NamedTuple):
    """A way to group, with the threshold that its users take."""

    name: str
    group: Grouping
    usual: float  # as dlib's distance


def means(sightings: Sequence[DrawnSighting]) -> NDArray[np.float32]:
    """(N, D)."""
    return np.array(
        [np.average(one.embeddings, axis=0, weights=np.maximum(one.qualities, 0.02)) for one in sightings], np.float32
    )


def dbscan(neighbours: int) -> Grouping:
    """scikit-learn's; what it calls noise is a group each."""

    def group(faces: NDArray[np.float32], eps: float) -> NDArray[np.intp]:
        labels = DBSCAN(eps=eps, min_samples=neighbours).fit_predict(faces)
        return np.where(labels >= 0, labels, len(faces) + np.arange(len(faces)))

    return group


def chinese_whispers(faces: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """dlib's."""
    import dlib  # type: ignore[import-not-found]

    return np.array(dlib.chinese_whispers_clustering([dlib.vector(face.tolist()) for face in faces], threshold))


RIVALS = (
    GroupingRival("DBSCAN, 5 neighbours", dbscan(5), 0.5),
    GroupingRival("DBSCAN, 2 neighbours", dbscan(2), 0.5),
    GroupingRival("Chinese whispers", chinese_whispers, 0.5),
)
