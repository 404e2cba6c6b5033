"""What only the ONNX Runtime backend promises."""

import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.runners.onnxrt import OnnxRunner


def test_one_thread_starts_no_other(models_dir):
    before = native_threads()
    with OnnxRunner(models_dir / "rnet.onnx", threads=1) as runner:
        runner.infer({"image": np.zeros((4, 3, 24, 24), np.float32)})
        assert native_threads() == before


def test_two_threads_give_the_bytes_of_one(models_dir):
    image = np.random.default_rng(1).integers(0, 256, (4, 3, 150, 150)).astype(np.float32)
    with OnnxRunner(models_dir / "embedder.onnx", threads=1) as one:
        expected = one.infer({"chip": image})["embedding"]
    with OnnxRunner(models_dir / "embedder.onnx", threads=2) as two:
        assert two.infer({"chip": image})["embedding"].tobytes() == expected.tobytes()


def test_no_threads_is_a_value_error(models_dir):
    with pytest.raises(ValueError, match="threads must be 1 or more, got 0"):
        OnnxRunner(models_dir / "rnet.onnx", threads=0)


def test_a_folder_is_not_a_model(models_dir):
    with pytest.raises(ModelError, match="no such model"):
        OnnxRunner(models_dir)


def test_many_picture_sizes_do_not_grow_the_memory(models_dir):
    sizes = np.random.default_rng(2).integers(60, 400, (400, 2))
    with OnnxRunner(models_dir / "pnet.onnx") as runner:
        infer_sizes(runner, [(400, 400), *sizes[:150]])
        before_mib = resident_mib()
        infer_sizes(runner, sizes[150:])
        assert resident_mib() - before_mib < 8


def infer_sizes(runner, sizes):
    for height, width in sizes:
        runner.infer({"image": np.zeros((1, 3, height, width), np.float32)})


def native_threads() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def resident_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 2**20
