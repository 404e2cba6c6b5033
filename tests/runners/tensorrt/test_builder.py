"""Networks to engines. TensorRT for RTX builds without a GPU: `pip install tensorrt-rtx-cu13` (x86-64) runs these."""

import importlib.util
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from jetstream.config.schema import Config, RecognizeConfig
from jetstream.errors import ModelError
from jetstream.networks.profiles import profiles_of
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings, builder, fp16, prelu
from jetstream.runners.tensorrt.engine_cache import Engine, fixed

NETWORKS = ("pnet", "rnet", "onet", "embedder", "sface")
MOST_HALF_ERROR = 5e-3  # of the largest value; measured 0.6e-3 (embedder) to 4.4e-3 (SFace; as built, 2.3e-3)


@pytest.fixture
def rtx() -> None:
    """Where the only TensorRT is the one for RTX; `tensorrt` itself needs a GPU to build."""
    if importlib.util.find_spec("tensorrt") or not bindings.is_installed():
        pytest.skip("needs TensorRT for RTX and no other (pip install tensorrt-rtx-cu13)")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_builds(rtx, models_dir, network, precision):
    model = "dlib" if network == "embedder" else "sface"
    profiles = profiles_of(network, Config(recognize=RecognizeConfig(model=model)))
    engine = builder.build(models_dir / f"{network}.onnx", precision=precision, profiles=profiles)
    assert len(engine) > 100_000


def test_half_of_a_network_builds_to_a_smaller_engine(rtx, models_dir):
    sizes = {
        precision: len(builder.build(models_dir / "onet.onnx", precision=precision, profiles=(fixed(8, 3, 48, 48),)))
        for precision in ("fp16", "fp32")
    }
    assert sizes["fp16"] < 0.9 * sizes["fp32"]


def test_a_size_that_the_network_refuses_is_a_clause(rtx, models_dir):
    with pytest.raises(UnavailableError, match="TensorRT"):
        builder.build(models_dir / "rnet.onnx", precision="fp32", profiles=(fixed(1, 3, 25, 24),))


@pytest.mark.parametrize("content", [b"", b"not a model" * 50], ids=["empty", "no model"])
def test_what_is_no_network_says_what_to_run(rtx, tmp_path, content):
    (tmp_path / "rnet.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"rnet\.onnx: TensorRT can't read it \(.*run `jetstream models`"):
        builder.build(tmp_path / "rnet.onnx", precision="fp32", profiles=(fixed(1, 3, 24, 24),))


def test_without_a_gpu_an_engine_is_refused_with_a_clause(rtx, models_dir):
    from jetstream.runners.tensorrt.runner import TensorRTRunner

    if _has_gpu():
        pytest.skip("there is a GPU")
    plan = builder.build(models_dir / "rnet.onnx", precision="fp32", profiles=(fixed(1, 3, 24, 24),))
    with pytest.raises(UnavailableError, match=r"PyCUDA|cuda-core|CUDA context"):
        TensorRTRunner(Engine(plan, (), ()), outside=lambda: OnnxRunner(models_dir / "rnet.onnx"))


def test_tensorrt_is_found_under_any_of_its_names(rtx):
    assert bindings.is_installed()
    assert bindings.version().startswith("tensorrt_rtx 1.")
    assert builder.is_strongly_typed(bindings.load())


class Timings(set[str]):
    """A timing cache of words; one that can't be read is None, as in TensorRT."""

    def combine(self, other: set[str], ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.update(other)
        return True

    def serialize(self) -> bytes:
        return " ".join(sorted(self)).encode()


class TimingConfig:
    """A builder's config as far as timings go."""

    def create_timing_cache(self, content: bytes) -> Timings | None:
        return None if b"\0" in content else Timings(content.decode().split())

    def set_timing_cache(self, cache: Timings, ignore_mismatch: bool) -> None:
        self.timings = cache

    def get_timing_cache(self) -> Timings:
        return self.timings


@pytest.mark.parametrize("before", [None, b"", b"\0damaged"], ids=["no file", "empty", "damaged"])
def test_builds_beside_each_other_keep_the_timings_of_all(tmp_path, before):
    file, tensorrt = tmp_path / "timing.cache", SimpleNamespace(__name__="tensorrt")
    if before is not None:
        file.write_bytes(before)
    builds = {name: TimingConfig() for name in ("rnet", "onet")}
    for config in builds.values():
        builder._begin_timing_cache(config, tensorrt, file)
    for name, config in builds.items():
        config.timings.add(name)
        builder._keep_timing_cache(config, tensorrt, file)
    assert file.read_bytes() == b"onet rnet"


class SlowTimings(Timings):
    """Another build writes between its reading and writing, if it can."""

    def combine(self, other: set[str], ignore_mismatch: bool) -> bool:
        time.sleep(0.02)
        return super().combine(other, ignore_mismatch)


def test_builds_that_end_at_once_lose_no_timings(tmp_path, monkeypatch):
    file, tensorrt = tmp_path / "timing.cache", SimpleNamespace(__name__="tensorrt")
    monkeypatch.setattr(
        TimingConfig, "create_timing_cache", lambda config, content: SlowTimings(content.decode().split())
    )

    def end(name: str) -> None:
        config = TimingConfig()
        config.timings = Timings([name])
        builder._keep_timing_cache(config, tensorrt, file)

    with ThreadPoolExecutor(8) as builds:  # a lock on a file holds between threads that open it, as between processes
        list(builds.map(end, "abcdefgh"))
    assert file.read_bytes() == b"a b c d e f g h"


@pytest.mark.parametrize("network", NETWORKS)
def test_half_of_a_network_answers_almost_the_same(models_dir, tmp_path, network):
    model = models_dir / f"{network}.onnx"
    halved = tmp_path / model.name
    halved.write_bytes(fp16.convert(model.read_bytes()))
    with OnnxRunner(model) as whole, OnnxRunner(halved) as rounded:
        assert rounded.inputs == whole.inputs
        assert [spec.name for spec in rounded.outputs] == [spec.name for spec in whole.outputs]
        feeds = {whole.inputs[0].name: picture(whole.inputs[0].shape)}
        expected, given = whole.infer(feeds), rounded.infer(feeds)
    for name, values in expected.items():
        assert given[name].dtype == np.float32
        error = np.abs(given[name] - values).max() / np.abs(values).max()
        assert 0 < error < MOST_HALF_ERROR


def picture(shape: tuple[int | None, ...]) -> np.ndarray:
    sizes = [4, *(size or 60 for size in shape[1:])]
    return np.random.default_rng(3).integers(0, 256, sizes).astype(np.float32)


def _has_gpu() -> bool:
    try:
        return bool(cuda_driver.gpus())
    except UnavailableError:
        return False


@pytest.mark.parametrize("network", NETWORKS)
def test_prelus_put_back_answer_the_same(models_dir, tmp_path, network):
    model = models_dir / f"{network}.onnx"
    fused = tmp_path / f"{network}.onnx"
    fused.write_bytes(prelu.fuse(model.read_bytes()))
    operators = [node.op_type for node in onnx.load(str(fused)).graph.node]
    assert operators.count("PRelu") == {"pnet": 1, "rnet": 3, "onet": 4, "embedder": 0, "sface": 27}[network]
    assert "Mul" not in operators
    with OnnxRunner(model) as plain, OnnxRunner(fused) as runner:
        feeds = {plain.inputs[0].name: picture(plain.inputs[0].shape)}
        given, wanted = runner.infer(feeds), plain.infer(feeds)
    for name, values in wanted.items():
        np.testing.assert_allclose(given[name], values, atol=1e-5)


def test_what_is_no_network_is_left_to_the_parser():
    assert prelu.fuse(b"no network") == b"no network"
