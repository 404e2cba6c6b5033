"""Calls of the CUDA driver that PyCUDA lacks, by ctypes: page-locking of memory that exists, and graphs.

All calls need a current context. Knows no kernel and no picture.
"""

import ctypes
import functools
from collections.abc import Callable

from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_context import CudaStream, too_little_memory

_LIBRARY = "libcuda.so.1"
_REGISTER_MAPPED = 2  # CU_MEMHOSTREGISTER_DEVICEMAP
_RELAXED = 2  # CU_STREAM_CAPTURE_MODE_RELAXED: TensorRT allocates nothing then, but may ask
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
_ALREADY_REGISTERED = 712  # CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED


class CudaGraph:
    """A CUDA graph of what a function puts into a stream."""

    def __init__(self, stream: CudaStream, work: Callable[[], None]) -> None:
        """Calls `work` once and records it without running it. Raises RuntimeError where the driver refuses."""
        cuda = _cuda()
        _ask(cuda.cuStreamBeginCapture_v2(ctypes.c_void_p(stream.handle), _RELAXED))
        graph = ctypes.c_void_p()
        self._executable = ctypes.c_void_p()
        try:
            try:
                work()
            finally:
                status = cuda.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph))
            _ask(status)
            _ask(cuda.cuGraphInstantiateWithFlags(ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0)))
        finally:
            if graph:
                cuda.cuGraphDestroy(graph)

    def launch(self, stream: CudaStream) -> None:
        _ask(_cuda().cuGraphLaunch(self._executable, ctypes.c_void_p(stream.handle)))

    def close(self) -> None:
        if self._executable:
            _cuda().cuGraphExecDestroy(self._executable)
            self._executable = ctypes.c_void_p()


def register(address: int, n_bytes: int) -> bool:
    """Page-lock memory, so that copies from it run at full speed beside everything else. Raises RuntimeError.

    False: it is page-locked already, by other code of this process, which will also unregister it.
    """
    status = _cuda().cuMemHostRegister_v2(ctypes.c_void_p(address), ctypes.c_size_t(n_bytes), _REGISTER_MAPPED)
    if status == _ALREADY_REGISTERED:
        return False
    _ask(status)
    return True


def unregister(address: int) -> None:
    _cuda().cuMemHostUnregister(ctypes.c_void_p(address))


def address_on_gpu(address: int) -> int:
    """The GPU's address of a byte of registered memory."""
    found = ctypes.c_ulonglong()
    _ask(_cuda().cuMemHostGetDevicePointer_v2(ctypes.byref(found), ctypes.c_void_p(address), 0))
    return found.value


def require() -> None:
    """Raises UnavailableError where the driver is too old."""
    if not hasattr(_cuda(), "cuGraphInstantiateWithFlags"):
        raise UnavailableError("the NVIDIA driver is older than CUDA 11.4")


@functools.cache
def _cuda() -> ctypes.CDLL:
    return ctypes.CDLL(_LIBRARY)


def _ask(status: int) -> None:
    if status == _OUT_OF_MEMORY:
        raise too_little_memory("CUDA_ERROR_OUT_OF_MEMORY")
    if status:
        name = ctypes.c_char_p()
        _cuda().cuGetErrorName(status, ctypes.byref(name))
        raise RuntimeError(f"the GPU fails: {(name.value or b'CUDA error').decode()} ({status})")
