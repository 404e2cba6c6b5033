"""A broker, and ears for all of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Broker, Ears, broker_in


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def ears(broker: Broker) -> Iterator[Ears]:
    ears = Ears(broker)
    yield ears
    ears.close()
