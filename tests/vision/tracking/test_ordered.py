import numpy as np
import pytest

from jetstream.vision.tracking.ordered import median, quantile


@pytest.mark.parametrize("columns", [(), (2,), (5,)])
def test_medians_and_quantiles_are_numpys_to_the_bit(columns: tuple[int, ...]) -> None:
    draws = np.random.default_rng(1)
    for count in range(1, 30):
        values = draws.normal(0, 10.0 ** draws.integers(-3, 6), (count, *columns))
        assert median(values).tobytes() == np.asarray(np.median(values, axis=0)).tobytes()
        for share in (0.1, 0.5, 0.9, 1.0):
            assert quantile(values, share).tobytes() == np.asarray(np.quantile(values, share, axis=0)).tobytes()
