"""Whether a group of sightings is two people: parts it around one sighting by two means.

Knows no group's id and no person's correction.
"""

import math

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.distances import squared_distances
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

_ROUNDS = 6  # two means of a few sightings settle in two or three


def side_of(
    points: NDArray[np.float32], weights: NDArray[np.float64], first: int, likeness: StrangerLikeness
) -> NDArray[np.bool_]:
    """(R,) which of (R, D) points lie nearer to those like `first` than to the others, each left out of its own side.

    Begins with `first` and the point nearest to it; all or none may be on its side in the end.
    """
    near = squared_distances(points, points[[first]])[:, 0]
    near[first] = -1.0
    side = np.zeros(len(points), np.bool_)
    side[np.argsort(near, kind="stable")[:2]] = True
    for _ in range(_ROUNDS):
        own, other = (_distances(points, weights, part, likeness) for part in (side, ~side))
        nearer = own < other
        if (nearer == side).all() or nearer.all() or not nearer.any():
            break
        side = nearer
    return side


def middle(
    points: NDArray[np.float32], weights: NDArray[np.float64], likeness: StrangerLikeness
) -> NDArray[np.float32]:
    """(D,) the point in the middle of (R, D) points with (R,) weights."""
    (point,) = likeness.centres((weights @ points)[None], weights.sum(keepdims=True))
    return np.asarray(point, np.float32)


def _distances(
    points: NDArray[np.float32], weights: NDArray[np.float64], part: NDArray[np.bool_], likeness: StrangerLikeness
) -> NDArray[np.float64]:
    """(R,) squared distances of all points to the middle of a part, without the point itself; inf where it is alone."""
    weighted = points * weights[:, None]
    sums = weighted[part].sum(axis=0) - weighted * part[:, None]
    totals = weights[part].sum() - weights * part
    squared = np.square(points - likeness.centres(sums, totals)).sum(axis=1)
    return np.where(totals <= 1e-9, math.inf, squared)
