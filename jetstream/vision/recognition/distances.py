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


def means_by_person(
    samples: NDArray[np.float32], owners: NDArray[np.int32], people: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(P,) number and (P, D) mean of each person's rows of (N, D) `samples`, by their person in (N,) `owners`."""
    sums, counts = sums_by_person(samples, owners, people)
    return counts.astype(np.float32), (sums / counts[:, None]).astype(np.float32)


def smallest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """(M, count) columns of each row's smallest values, the smallest first; fewer where there are fewer columns."""
    rest = values.copy()
    rows = np.arange(len(rest))
    order = np.empty((len(rest), min(count, rest.shape[1])), np.intp)
    for place in range(order.shape[1]):  # a few passes take a tenth of the time of partitioning the row
        order[:, place] = rest.argmin(axis=1)
        rest[rows, order[:, place]] = np.inf
    return order


def row_distances(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M,) Euclidean distances of (M, D) to (M, D), row by row."""
    return np.asarray(np.sqrt(np.square(some - others).sum(axis=1)), np.float32)
