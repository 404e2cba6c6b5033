"""`TensorRTRunner` without a GPU, on stand-ins of TensorRT and a CUDA context: batches, memory, what it refuses."""

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.config.schema import Config, RecognizeConfig
from jetstream.networks.profiles import profiles_of
from jetstream.runners import cuda_context
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt.engine_cache import Engine, fixed
from jetstream.runners.tensorrt.runner import TensorRTRunner
from tests.support import tensorrt_standin

SMALL = Config(recognize=RecognizeConfig(batch=8))


@pytest.fixture
def device() -> Iterator[tensorrt_standin.Device]:
    with tensorrt_standin.installed() as found:
        yield found


@pytest.fixture(scope="module")
def embedder(models_dir) -> Engine:
    return tensorrt_standin.engine(models_dir / "embedder.onnx", profiles_of("embedder", SMALL))


def nothing_else() -> OnnxRunner:
    pytest.fail("not needed")


def chips(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 3, 150, 150)).astype(np.float32)


def test_a_runner_has_the_networks_sizes_where_the_engine_tells_those_of_its_profiles(device, embedder):
    assert tensorrt_standin.Loaded(device, embedder.plan).get_tensor_shape("embedding") == (2, 128)
    with TensorRTRunner(embedder, outside=nothing_else) as runner:
        assert runner.inputs[0].shape == (None, 3, 150, 150)
        assert runner.outputs[0].shape == (None, 128)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 17])
def test_rows_of_any_number_get_the_answers_they_get_elsewhere(device, embedder, models_dir, count):
    feeds = {"chip": chips(count)}
    with OnnxRunner(models_dir / "embedder.onnx") as cpu, TensorRTRunner(embedder, outside=nothing_else) as runner:
        np.testing.assert_allclose(runner.infer(feeds)["embedding"], cpu.infer(feeds)["embedding"], atol=1e-5)


def test_a_picture_that_is_too_large_goes_to_the_other_runner(device, models_dir):
    path: Path = models_dir / "pnet.onnx"
    feeds = {"image": np.full((1, 3, 40, 700), 99.0, np.float32)}
    opened = []

    def outside() -> OnnxRunner:
        opened.append(OnnxRunner(path))
        return opened[-1]

    with TensorRTRunner(tensorrt_standin.engine(path, profiles_of("pnet", Config())), outside=outside) as runner:
        runner.infer({"image": np.zeros((1, 3, 40, 577), np.float32)})
        assert not opened
        assert runner.infer(feeds)["logit"].shape[0] == 1
        runner.infer(feeds)
    assert len(opened) == 1


def test_the_last_of_two_runners_releases_the_context(device, embedder):
    first, second = (TensorRTRunner(embedder, outside=nothing_else) for _ in range(2))
    first.close()
    assert device.contexts == 1
    assert len(second.infer({"chip": chips(1)})["embedding"]) == 1
    second.close()
    assert device.contexts == 0
    assert not device.memory


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_too_little_memory_is_a_clause_and_leaves_none_behind(device, embedder, room):
    device.room_left = room  # two lanes, each with room for its input and its output
    gc.disable()  # what only the collector frees would be freed after the context
    try:
        with pytest.raises(UnavailableError, match=r"too little memory \(cuMemAlloc .*lower gpu.batch"):
            TensorRTRunner(embedder, outside=nothing_else)
    finally:
        gc.enable()
    assert device.contexts == 0
    assert device.depth == 0


def test_an_engine_that_cannot_be_loaded_leaves_no_context(device):
    with pytest.raises(UnavailableError, match="TensorRT can't load the engine \\(magic tag does not match\\)"):
        TensorRTRunner(Engine(b"no engine", (), ()), outside=nothing_else)
    assert cuda_context._open == {}
    assert device.contexts == 0


def test_an_engine_with_other_tensors_than_its_file_says_is_refused(device, embedder, models_dir):
    other = tensorrt_standin.engine(models_dir / "rnet.onnx", (fixed(2, 3, 24, 24),))
    with pytest.raises(UnavailableError, match=r"other inputs or outputs than its file says .*input image float32"):
        TensorRTRunner(other._replace(inputs=embedder.inputs), outside=nothing_else)
    assert device.contexts == 0
