import ctypes

import pytest

from jetstream import weights
from jetstream.runners.onnxrt import OnnxRunner
from tests.support import gpu_emulation


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
