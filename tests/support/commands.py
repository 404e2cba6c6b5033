"""Fixtures, known to every test: the `jetstream` command, and the folder of models that it uses."""

import shutil
from pathlib import Path

import pytest

from jetstream import weights
from tests.support.inside import Inside
from tests.support.repository import REPOSITORY


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The networks, built once in the checkout."""
    folder = REPOSITORY / "models"
    if not weights.is_built(folder):
        weights.build(folder)
    return folder


@pytest.fixture
def own_models(tmp_path: Path, models_dir: Path) -> Path:
    """The networks in a folder of the test's own, beside which its galleries are kept."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in models_dir.glob("*.onnx"):
        try:
            (folder / path.name).hardlink_to(path)
        except OSError:  # the test's folder lies on another disk
            shutil.copy(path, folder)
    return folder


@pytest.fixture
def jetstream(request: pytest.FixtureRequest, tmp_path: Path, models_dir: Path) -> Inside:
    """The command, in a folder of the test's own and with the checkout's models."""
    return Inside(tmp_path, models_dir)
