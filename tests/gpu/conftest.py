import ctypes

import pytest

from tests.gpu import emulation


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> ctypes.CDLL:
    return _library(tmp_path_factory, 16)


@pytest.fixture(scope="session")
def library_of_small_tiles(tmp_path_factory) -> ctypes.CDLL:
    return _library(tmp_path_factory, 8)


def _library(tmp_path_factory, tile: int) -> ctypes.CDLL:
    if emulation.COMPILER is None:
        pytest.skip("no C++ compiler (g++ or clang++) to run the GPU's kernels on the CPU with")
    return emulation.build(tmp_path_factory.mktemp("kernels"), tile)
