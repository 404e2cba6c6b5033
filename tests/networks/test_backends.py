"""Which backend runs the networks on a machine without a GPU, and what it costs to find out."""

import logging
import subprocess
import sys

import pytest

from jetstream.config import load
from jetstream.config.schema import Config, GpuConfig
from jetstream.errors import UserError
from jetstream.networks import backends
from jetstream.networks.runner import open_runner
from jetstream.runners import cuda_bindings, cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import CUDA, OnnxRunner, providers
from jetstream.runners.tensorrt import bindings


def test_without_a_gpu_auto_is_the_cpu(no_gpu):
    choice = backends.choose(GpuConfig())
    assert choice.order == ("cpu",)
    assert "no NVIDIA driver" in choice.why or "sees no GPU" in choice.why


def test_without_a_gpu_auto_opens_in_silence(no_gpu, models_dir, caplog):
    with caplog.at_level(logging.DEBUG), open_runner(models_dir / "rnet.onnx", Config()) as runner:
        assert isinstance(runner, OnnxRunner)
    assert caplog.records == []


@pytest.mark.parametrize("backend", ["tensorrt", "onnxruntime"])
def test_a_backend_that_is_not_here_is_a_sentence_when_it_was_asked_for(no_gpu, models_dir, backend):
    with pytest.raises(UserError, match=f'gpu.backend: "{backend}" can\'t run here: .*; see `jetstream doctor`'):
        open_runner(models_dir / "rnet.onnx", Config(gpu=GpuConfig(backend=backend)))


def test_the_cpu_asks_nobody(monkeypatch):
    monkeypatch.setattr(cuda_driver, "gpu", lambda device: pytest.fail("asked the driver"))
    assert backends.choose(GpuConfig(backend="cpu")).order == ("cpu",)


@pytest.mark.skipif(CUDA in providers(), reason="this onnxruntime has the CUDA provider")
def test_a_network_on_a_gpu_that_onnxruntime_cannot_use_is_unavailable(models_dir):
    with pytest.raises(UnavailableError, match="no CUDA provider"):
        OnnxRunner(models_dir / "rnet.onnx", device=0)


def test_opening_models_imports_no_gpu_package():
    script = (
        "import sys, jetstream.networks.open, jetstream.networks.build\n"
        "from jetstream.networks import backends; from jetstream.config.schema import GpuConfig\n"
        "backends.choose(GpuConfig(backend='cpu'))\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('tensorrt', 'tensorrt_rtx', 'tensorrt_rtx_bindings', 'pycuda', 'cuda', 'onnx')])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_reason_names_only_what_a_better_backend_lacks():
    choice = backends.BackendChoice(("tensorrt", "cpu"), {"onnxruntime": "no CUDA provider"}, has_gpu=True)
    assert choice.why == "the best there is"
    choice = backends.BackendChoice(("onnxruntime", "cpu"), {"tensorrt": "TensorRT isn't installed"}, has_gpu=True)
    assert choice.why == "TensorRT isn't installed"


@pytest.fixture
def with_a_gpu(monkeypatch):
    """A machine on which TensorRT, what it needs and a driver are installed."""
    for module in (bindings, cuda_bindings, cuda_driver):
        monkeypatch.setattr(module, "is_installed", lambda *_: True)


def test_frames_stay_nv12_where_the_gpu_takes_them_live(with_a_gpu, monkeypatch):
    monkeypatch.setattr(cuda_driver, "gpus", lambda: pytest.fail("asked the driver"))
    assert backends.takes_nv12(load.build({}, where="test"))
    assert backends.takes_nv12(load.build({"record": {"dir": "kept", "video": "none"}}, where="test"))


@pytest.mark.parametrize(
    "tables",
    [
        {"pipeline": {"pace": "every-frame"}},
        {"gpu": {"backend": "cpu"}},
        {"gpu": {"backend": "onnxruntime"}},
        {"detect": {"detector": "mine"}},
        {"record": {"dir": "kept"}},
        {"record": {"dir": "kept", "video": "clean"}},
    ],
)
def test_frames_are_bgr_where_the_cpu_reads_them(with_a_gpu, tables):
    assert not backends.takes_nv12(load.build(tables, where="test"))


@pytest.mark.parametrize("missing", [bindings, cuda_bindings, cuda_driver])
def test_frames_are_bgr_where_something_is_not_installed(with_a_gpu, monkeypatch, missing):
    monkeypatch.setattr(missing, "is_installed", lambda *_: False)
    assert not backends.takes_nv12(load.build({"gpu": {"backend": "tensorrt"}}, where="test"))


def test_driver_is_there_when_its_library_is(monkeypatch):
    monkeypatch.setattr(cuda_driver, "_DRIVER", "libc.so.6")
    assert cuda_driver.is_installed.__wrapped__()
    monkeypatch.setattr(cuda_driver, "_DRIVER", "libcuda.so.none")
    assert not cuda_driver.is_installed.__wrapped__()
