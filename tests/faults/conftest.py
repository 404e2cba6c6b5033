"""A pipeline to hurt, and the line about each fault that `make faults` prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.harness import Faulty, Tell


@pytest.fixture
def jetstream(tmp_path: Path, models_dir: Path) -> Faulty:
    return Faulty(tmp_path, models_dir)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """tell(fault, sees, recovered_s or None, lost): a row of the table."""

    def told(fault: str, sees: str, recovered_s: float | None, lost: str = "nothing") -> None:
        record_property("fault", fault)
        record_property("sees", sees)
        record_property("recovered", "" if recovered_s is None else f"{recovered_s:.1f} s")
        record_property("lost", lost)

    return told
