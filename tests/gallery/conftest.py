"""Networks, and galleries of a test's own."""

from pathlib import Path

import numpy as np
import pytest

from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.mtcnn import MtcnnDetector
from tests.support import defaults
from tests.support.galleries import Place
from tests.support.inside import Inside
from tests.support.photos import COLLINS, write_photo


@pytest.fixture(scope="session")
def detector(models_dir):
    with (
        OnnxRunner(models_dir / "pnet.onnx") as pnet,
        OnnxRunner(models_dir / "rnet.onnx") as rnet,
        OnnxRunner(models_dir / "onet.onnx") as onet,
    ):
        yield MtcnnDetector(defaults.mtcnn(pnet, rnet, onet, min_face_px=30, thresholds=(0.6, 0.7, 0.7), factor=0.709))


@pytest.fixture
def place(tmp_path, models_dir, detector, embedder):
    return Place(tmp_path, models_dir, detector, embedder)


@pytest.fixture
def trained(place, portraits):
    """Two people with a photo each, enrolled."""
    for name, image in portraits.items():
        place.put(f"{name}/1.png", image)
    place.train()
    return place


@pytest.fixture
def jetstream(tmp_path: Path, own_models: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """Models of its own, and a faces folder with one of the demo's two people."""
    write_photo(tmp_path / "faces" / COLLINS / "1.png", portraits[COLLINS])
    return Inside(tmp_path, own_models)
