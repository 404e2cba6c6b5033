import numpy as np
import pytest


@pytest.fixture(scope="session")
def scene() -> list[np.ndarray]:
    """Thirty frames in which both people of the demo move."""
    from jetstream.video.demo import scene

    return [scene(index) for index in range(100, 130)]
