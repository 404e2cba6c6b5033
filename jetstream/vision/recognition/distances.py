"""Arithmetic on embeddings: all distances between two sets, and sums by person.

Knows no picture, no network and no threshold.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def squared_distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """(N, M) squared Euclidean distances between the rows of (N, D) and (M, D), in their dtype.

    Small ones are inexact by the rounding of a matrix product.
    """
    table = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1) - 2.0 * (one @ other.T)
    return np.asarray(np.maximum(table, 0.0))


def sums_by_person(
    samples: NDArray[Any], owners: NDArray[Any], people: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(people, D) sums and (people,) counts of the rows of (N, D) `samples`, by their person in (N,) `owners`."""
    sums = np.zeros((people, samples.shape[1]))
    np.add.at(sums, owners, samples)
    return sums, np.bincount(owners, minlength=people)
