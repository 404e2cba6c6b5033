"""Which package calls CUDA, and why: tried with folders that hold packages of those names."""

import subprocess
import sys
from pathlib import Path

import pytest

from jetstream.config.schema import Config, GpuConfig
from jetstream.errors import UserError
from jetstream.networks import backends
from jetstream.runners import cuda_bindings, cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings

PYCUDA = {"pycuda/__init__.py": "VERSION_TEXT = '2026.1'", "pycuda/driver.py": ""}
BROKEN_PYCUDA = PYCUDA | {"pycuda/driver.py": "raise ImportError('libcurand.so.10: no such file')"}
CUDA_CORE = {
    "cuda/core/__init__.py": "__version__ = '1.2.2'",
    "cuda/bindings/__init__.py": "__version__ = '13.4.4'",
    "cuda/bindings/driver.py": "",
}
CORE_ALONE = {"cuda/core/__init__.py": "import cuda.bindings"}


def installed(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def said(folder: Path, wanted: str) -> str:
    """What a fresh process chooses, which sees the packages of `folder` before all others."""
    program = f"""
import sys
sys.path.insert(0, {str(folder)!r})
from jetstream.runners import cuda_bindings
from jetstream.runners.base import UnavailableError
try:
    choice = cuda_bindings.choose({wanted!r})
    print(choice.bindings, cuda_bindings.version(choice.bindings), choice.why, sep=", ")
except UnavailableError as reason:
    print(reason)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def bare() -> None:
    if any(map(cuda_bindings.is_installed, cuda_bindings.ORDER)):
        pytest.skip("bindings of CUDA are installed here")


@pytest.mark.parametrize(
    ("wanted", "files", "expected"),
    [
        ("auto", PYCUDA | CUDA_CORE, "pycuda, 2026.1, auto: the first that works"),
        ("auto", CUDA_CORE, "cuda-core, 1.2.2 with cuda-bindings 13.4.4, auto: PyCUDA isn't installed"),
        (
            "auto",
            BROKEN_PYCUDA | CUDA_CORE,
            "cuda-core, 1.2.2 with cuda-bindings 13.4.4, "
            "auto: PyCUDA can't be imported (libcurand.so.10: no such file)",
        ),
        ("cuda-core", PYCUDA | CUDA_CORE, '1.2.2 with cuda-bindings 13.4.4, set by gpu.bindings = "cuda-core"'),
        ("pycuda", PYCUDA | CUDA_CORE, 'pycuda, 2026.1, set by gpu.bindings = "pycuda"'),
        ("pycuda", CUDA_CORE, "PyCUDA isn't installed"),
        ("cuda-core", PYCUDA | CORE_ALONE, "cuda-core isn't installed"),
        ("auto", {}, "neither PyCUDA nor cuda-core is installed"),
        ("auto", BROKEN_PYCUDA, "PyCUDA can't be imported (libcurand.so.10: no such file); cuda-core isn't installed"),
    ],
)
def test_the_first_that_can_be_imported_is_taken(bare, tmp_path, wanted, files, expected):
    installed(tmp_path, files)
    assert said(tmp_path, wanted).endswith(expected)


@pytest.mark.parametrize(
    ("driver", "remedy"),
    [("12.6", "; the driver runs CUDA up to 12.6: pip install 'cuda-bindings==12.*'"), ("13.2", ""), ("14.0", "")],
)
def test_bindings_for_a_newer_cuda_than_the_drivers_are_said(monkeypatch, driver, remedy):
    monkeypatch.setattr(cuda_driver, "cuda_version", lambda: driver)
    assert cuda_bindings.too_new("1.2.2 with cuda-bindings 13.4.4") == remedy


def test_without_a_driver_no_bindings_are_too_new(no_gpu):
    assert cuda_bindings.too_new("1.2.2 with cuda-bindings 13.4.4") == ""


def test_a_gpu_without_bindings_is_a_sentence(bare, monkeypatch):
    monkeypatch.setattr(cuda_driver, "gpus", lambda: (cuda_driver.GpuInfo("Pretended GPU", "9.0", 2**33),))
    monkeypatch.setattr(bindings, "is_installed", lambda: True)
    assert "neither PyCUDA nor cuda-core is installed" in backends.choose(Config().gpu).why
    with pytest.raises(UserError, match="can't run here: cuda-core isn't installed"):
        backends.choose(GpuConfig(backend="tensorrt", bindings="cuda-core"))


def test_a_context_without_bindings_is_unavailable(bare):
    from jetstream.runners import cuda_context

    with pytest.raises(UnavailableError, match="neither PyCUDA nor cuda-core is installed"):
        cuda_context.use(0)
    assert cuda_context._open == {}
