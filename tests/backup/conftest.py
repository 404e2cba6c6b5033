"""A site of two people, and a backup of it."""

from pathlib import Path

import numpy as np
import pytest

from jetstream.config.schema import Config
from tests.support import sites
from tests.support.backups import save


@pytest.fixture
def site(tmp_path: Path, portraits: dict[str, np.ndarray]) -> Config:
    return sites.make(tmp_path / "site", portraits)


@pytest.fixture
def archive(tmp_path: Path, site: Config) -> Path:
    made = save(site, tmp_path / "b.tar")
    assert made.left_out == []
    return made.path
