"""The one CUDA context of a process, shared by its runners and released after the last of them.

It is the device's primary context, which ONNX Runtime and the CUDA runtime inside TensorRT use too. A second context
would take more memory and share the GPU in time slices. `pycuda.autoinit` is not used: it makes a second one at import.
"""

import contextlib
import functools
import importlib.util
from collections.abc import Iterator
from typing import Any

from jetstream.runners.base import UnavailableError

_open: dict[int, "CudaContext"] = {}


class CudaContext:
    """A device's primary context. `use` returns it; each caller of `use` calls `close` once."""

    def __init__(self, device: int) -> None:
        cuda = driver()
        try:
            cuda.init()
            self._context = cuda.Device(device).retain_primary_context()
        except cuda.Error as error:
            raise UnavailableError(f"no CUDA context on GPU {device} ({error})") from None
        self._device = device
        self._users = 0

    @contextlib.contextmanager
    def current(self) -> Iterator[Any]:
        """`pycuda.driver`, with this context current in this thread."""
        cuda = driver()
        self._context.push()
        try:
            yield cuda
        finally:
            cuda.Context.pop()

    def close(self) -> None:
        self._users -= 1
        if self._users == 0:
            del _open[self._device]
            self._context.detach()


def use(device: int) -> CudaContext:
    """The process's context on this device. Raises UnavailableError where PyCUDA or the device is missing."""
    context = _open.get(device) or _open.setdefault(device, CudaContext(device))
    context._users += 1
    return context


def is_installed() -> bool:
    return importlib.util.find_spec("pycuda") is not None


@functools.cache  # called for every use of the GPU, and looking for a package takes 100 us
def driver() -> Any:
    """`pycuda.driver`. Raises UnavailableError."""
    if not is_installed():
        raise UnavailableError("PyCUDA isn't installed")
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        raise UnavailableError(f"PyCUDA can't be imported ({error})") from None
    return cuda
