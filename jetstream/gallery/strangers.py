"""Invented strangers: embeddings drawn from a normal distribution with the mean and covariance of real faces.

Knows no gallery. `background.npz` holds the mean and a Cholesky factor of the covariance of embeddings, measured by
`benchmarks/make_background.py` on example pictures of open-source projects. No drawn embedding is a real person's.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("background.npz")
SIZE = 20_000
"""Number of embeddings drawn by default: 20 of them are one in a thousand."""
_SEED = 20_261_124


@cache
def faces(count: int = SIZE, seed: int = _SEED) -> NDArray[np.float32]:
    """(count, 128) float32 embeddings, like those of a face averaged with its mirror image; read-only.

    The same `count` and `seed` give the same embeddings.
    """
    with np.load(FILE, allow_pickle=False) as archive:
        mean, factor = archive["mean"], archive["factor"]
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((count, len(mean)), dtype=np.float32)
    drawn = np.asarray(mean + normal @ factor.T, np.float32)
    drawn.flags.writeable = False
    return drawn
