"""A site of two people, and a backup of it."""

from pathlib import Path

import numpy as np
import pytest

from jetstream.backup.write import MadeBackup, back_up
from jetstream.config.schema import Config
from tests.support import sites


@pytest.fixture
def site(tmp_path: Path, portraits: dict[str, np.ndarray]) -> Config:
    return sites.make(tmp_path / "site", portraits)


@pytest.fixture
def archive(tmp_path: Path, site: Config) -> Path:
    made = save(site, tmp_path / "b.tar")
    assert made.left_out == []
    return made.path


def save(config: Config, path: Path, *, config_file: Path | None = None, replace: bool = False) -> MadeBackup:
    return back_up(config, config_file, path, lambda what, share: None, replace=replace)
