"""Invented strangers: embeddings drawn from a normal distribution with the mean and covariance of real faces.

Knows no gallery. For each network, `backgrounds/NAME.npz` holds the mean and a Cholesky factor of the covariance of
embeddings, measured by `benchmarks/make_background.py` on example pictures of open-source projects. No drawn embedding
is a real person's.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 20_000
"""Number of embeddings drawn by default: 20 of them are one in a thousand."""
_SEED = 20_261_124


def file(model: str) -> Path:
    """The distribution of strangers in the space of the embedder `model`."""
    return Path(__file__).with_name("backgrounds") / f"{model}.npz"


@cache
def faces(model: str, count: int = SIZE, seed: int = _SEED) -> NDArray[np.float32]:
    """(count, D) float32 embeddings of the embedder `model`; read-only.

    The same `count` and `seed` give the same embeddings.
    """
    with np.load(file(model), allow_pickle=False) as archive:
        mean, factor = archive["mean"], archive["factor"]
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((count, len(mean)), dtype=np.float32)
    drawn = np.asarray(mean + normal @ factor.T, np.float32)
    drawn.flags.writeable = False
    return drawn
