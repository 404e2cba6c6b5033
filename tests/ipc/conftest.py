from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream.ipc.ring import Ring
from tests.support.rings import small_ring


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    with small_ring(tmp_path) as ring:
        yield ring
