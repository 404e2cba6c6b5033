"""What tests share: the real data, the built models and the public-domain portraits."""

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.command import Command
from tests.support.repository import REPOSITORY

pytest_plugins = ["tests.support.commands", "tests.support.networks", "tests.support.peers"]

# What runs the tests in the background may ignore both, and programs inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pipelines take longest, so files that run some come first, whichever process takes a file."""
    items.sort(key=lambda item: not runs_pipelines(item))


def pytest_runtest_setup(item: pytest.Item) -> None:
    Command.may_run = runs_pipelines(item)


def runs_pipelines(item: pytest.Item) -> bool:
    return item.get_closest_marker("pipeline") is not None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real pictures and video with truth; never part of the project."""
    folder = Path(os.environ.get("JETSTREAM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the test data in {folder} (set JETSTREAM_DATA)")
    return folder


@pytest.fixture(scope="session")
def portraits() -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 BGR of two people, public domain, from the scikit-image and matplotlib wheels."""
    import matplotlib
    import skimage

    paths = {
        "Eileen Collins": Path(skimage.__file__).parent / "data" / "astronaut.png",
        "Grace Hopper": Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    }
    return {name: cv2.imread(str(path)) for name, path in paths.items()}


@pytest.fixture
def no_gpu() -> None:
    from jetstream.runners import cuda_driver
    from jetstream.runners.base import UnavailableError

    try:
        cuda_driver.gpus()
    except UnavailableError:
        return
    pytest.skip("this machine has a GPU")
