import ctypes

import cv2
import numpy as np
import pytest

from jetstream import weights
from jetstream.config.schema import CameraConfig, Config, DetectConfig
from jetstream.gpu import pnet
from jetstream.gpu.cascade import Cascade
from jetstream.gpu.detector import GpuDetector
from jetstream.networks.gpu import settings_of
from jetstream.runners.onnxrt import OnnxRunner
from tests.support import gpu_emulation
from tests.support.gpu import THRESHOLDS
from tests.support.gpu_emulation import EmulatedDevice, OnnxNet


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> ctypes.CDLL:
    return _library(tmp_path_factory, 16)


@pytest.fixture(scope="session")
def library_of_small_tiles(tmp_path_factory) -> ctypes.CDLL:
    return _library(tmp_path_factory, 8)


def _library(tmp_path_factory, tile: int) -> ctypes.CDLL:
    if gpu_emulation.COMPILER is None:
        pytest.skip("no C++ compiler (g++ or clang++) to run the GPU's kernels on the CPU with")
    return gpu_emulation.build(tmp_path_factory.mktemp("kernels"), tile)


@pytest.fixture(scope="module")
def runners(models_dir):
    """The reference's P-Net, R-Net and O-Net."""
    files = weights.paths(models_dir)
    with OnnxRunner(files.pnet) as first, OnnxRunner(files.rnet) as second, OnnxRunner(files.onet) as third:
        yield first, second, third


@pytest.fixture
def opened(library, runners, models_dir):
    """Opens detectors on the emulated GPU."""

    def open_one(rnet=(64, 256), onet=(16, 64), tile=16, kernels=library, **detect):
        settings = {"thresholds": THRESHOLDS, "batch": 4, **detect}
        config = Config(cameras=(CameraConfig(name="any", source="0"),), detect=DetectConfig(**settings))
        device = EmulatedDevice(kernels)
        nets = OnnxNet(runners[1], rnet), OnnxNet(runners[2], onet)
        cascade = Cascade(device, *nets, pnet.weights(models_dir / "pnet.onnx"), settings_of(config, tile))
        return GpuDetector(device, cascade)

    return open_one


@pytest.fixture(scope="module")
def people(portraits):
    """Two people, each in two sizes, in one picture."""
    eileen, grace = portraits["Eileen Collins"][:400, 60:460], portraits["Grace Hopper"][:400, 56:456]
    picture = np.full((400, 640, 3), 90, np.uint8)
    for face, x, y, side in (
        (eileen, 10, 20, 330),
        (grace, 350, 0, 200),
        (eileen, 520, 210, 110),
        (grace, 350, 210, 160),
    ):
        picture[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return picture
