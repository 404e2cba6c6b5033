"""A machine with a GPU and TensorRT, pretended in every process of a pipeline: engines are those of `tensorrt_standin`,
which answer as ONNX Runtime does. Kernels for the GPU there are none.

`install` belongs into the sitecustomize of the processes (SITECUSTOMIZE).
"""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jetstream.gpu import cubin_cache
from jetstream.networks import backends
from jetstream.runners import cuda_bindings, cuda_context, cuda_driver, onnxrt
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings, prepare
from jetstream.runners.tensorrt.build_protocol import BindingsProbe
from tests.support import fake_build_process, tensorrt_standin

HOW, OPENED, GPUS = "PRETENDED_BUILDS", "PRETENDED_ENGINES_OPENED", "PRETENDED_GPUS"
"""environment variables: words for `fake_build_process`; a folder that gets a file for each process that opens engines,
named by its pid, with the number of its GPU in it; names of the GPUs, with commas, if it isn't one"""
SITECUSTOMIZE = "from tests.support import pretended_gpu\npretended_gpu.install(setattr)\n"
VERSION = "8.5.3.1"


def install(put: Callable[[Any, str, Any], None]) -> None:
    """Pretend in this process; `put` is `setattr`, or that of a MonkeyPatch."""
    device = tensorrt_standin.Device()
    names = os.environ.get(GPUS, "Pretended GPU").split(",")
    gpus = tuple(cuda_driver.GpuInfo(name, "9.0", 2**33) for name in names)
    command = [sys.executable, fake_build_process.__file__, *os.environ[HOW].split()]
    put(cuda_driver, "gpus", lambda: gpus)
    put(onnxrt, "providers", lambda: ("CPUExecutionProvider",))
    put(backends.bindings, "is_installed", lambda: True)
    put(cuda_bindings, "is_installed", lambda _: True)
    put(cuda_bindings, "choose", lambda wanted: cuda_bindings.BindingsChoice("pycuda", "pretended"))
    put(cubin_cache, "is_there", no_kernels)
    put(cubin_cache, "load", no_kernels)
    put(prepare, "probe", lambda: BindingsProbe(tensorrt=f"tensorrt {VERSION}", pycuda="2026.1"))
    put(prepare, "BACKGROUND", command)
    put(prepare, "ensure", functools.partial(prepare.ensure, command=command))
    put(bindings, "load", lambda: tensorrt(device))
    put(cuda_context, "_opened", functools.partial(opened, device))


def opened(device: tensorrt_standin.Device, number: int, _: object) -> tensorrt_standin.Device:
    """The context of GPU `number`, the only one that this process may open."""
    path = Path(os.environ[OPENED], str(os.getpid()))
    assert not path.exists() or path.read_text() in ("", str(number)), "a process uses one GPU"
    path.write_text(str(number))
    device.device = number
    return device.opened()


def no_kernels(*_: object) -> None:
    """Raises UnavailableError."""
    raise UnavailableError("there are no kernels for a pretended GPU")


def tensorrt(device: tensorrt_standin.Device) -> Any:
    def load(plan: bytes) -> tensorrt_standin.Loaded:
        Path(os.environ[OPENED], str(os.getpid())).touch()
        return tensorrt_standin.Loaded(device, plan)

    return SimpleNamespace(
        __name__="tensorrt",
        __version__=VERSION,
        ILogger=object,
        Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=load),
    )
