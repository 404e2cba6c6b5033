"""Invented strangers: embeddings drawn from a normal distribution with the mean and covariance of real faces.

Knows no gallery. For each built-in network, `backgrounds/NAME.npz` holds the mean and a Cholesky factor of the
covariance of embeddings, measured by `benchmarks/make_background.py` on example pictures of open-source projects. No
drawn embedding is a real person's. An added network has such a file of its own beside its card, or none.
"""

import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError

SIZE = 20_000
"""Number of embeddings drawn by default: 20 of them are one in a thousand."""
_SEED = 20_261_124


def file(background: str) -> Path:
    """The distribution of strangers of a built-in network, or that in a file."""
    if background.endswith(".npz"):
        return Path(background)
    return Path(__file__).with_name("backgrounds") / f"{background}.npz"


@cache
def faces(background: str, count: int = SIZE, seed: int = _SEED) -> NDArray[np.float32]:
    """(count, D) float32 embeddings of an `EmbedderEntry.background`; read-only. None (0, 0) where that is "".

    The same `count` and `seed` give the same embeddings. Raises ModelError for a file that is no distribution.
    """
    if not background:
        return np.empty((0, 0), np.float32)
    try:
        with np.load(file(background), allow_pickle=False) as archive:
            mean, factor = archive["mean"], archive["factor"]
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        raise ModelError(f"{file(background)}: can't be read ({error}); add its network again") from None
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal((count, len(mean)), dtype=np.float32)
    drawn = np.asarray(mean + normal @ factor.T, np.float32)
    drawn.flags.writeable = False
    return drawn
