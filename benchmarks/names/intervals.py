"""95 % intervals of shares of faces, from whole people drawn anew: faces of one person are alike.

Knows no rule and no set: counts of people in, limits out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLED = 1000


def drawn(people: int) -> NDArray[np.intp]:
    """(RESAMPLED, people) rows of people, with repetition; the same for the same number."""
    return np.random.default_rng(0).integers(0, max(people, 1), (RESAMPLED, people))


def of_share(counts: NDArray[Any]) -> tuple[float, float]:
    """Of (people, 2) counts of faces that are so and faces asked; people without any don't count.

    Where none or all are so, the other limit follows the rule of three of people.
    """
    counts = np.asarray(counts, np.float64).reshape(-1, 2)
    counts = counts[counts[:, 1] > 0]
    if not len(counts):
        return np.nan, np.nan
    if not counts[:, 0].any():
        return 0.0, min(1.0, 3 / len(counts))
    if (counts[:, 0] == counts[:, 1]).all():
        return max(0.0, 1 - 3 / len(counts)), 1.0
    sums = counts[drawn(len(counts))].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))
    return float(low), float(high)
