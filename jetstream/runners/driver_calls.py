"""Calls of the CUDA driver that PyCUDA lacks, by ctypes: page-locking of memory that exists, copies in the default
stream, and graphs.

All calls need a current context. Knows no kernel and no picture.
"""

import ctypes
import functools
from collections.abc import Callable

from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_context import CudaStream, too_little_memory

_LIBRARY = "libcuda.so.1"
_REGISTER_MAPPED = 2  # CU_MEMHOSTREGISTER_DEVICEMAP
_ON_DEVICE = 2  # CU_MEMORYTYPE_DEVICE
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


class _Copy2d(ctypes.Structure):
    """CUDA_MEMCPY2D of cuda.h."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("src_x", "src_y")),
        *(("src_kind", ctypes.c_int), ("src_host", ctypes.c_void_p)),
        *(("src_device", ctypes.c_ulonglong), ("src_array", ctypes.c_void_p), ("src_pitch", ctypes.c_size_t)),
        *((name, ctypes.c_size_t) for name in ("dst_x", "dst_y")),
        *(("dst_kind", ctypes.c_int), ("dst_host", ctypes.c_void_p)),
        *(("dst_device", ctypes.c_ulonglong), ("dst_array", ctypes.c_void_p), ("dst_pitch", ctypes.c_size_t)),
        *((name, ctypes.c_size_t) for name in ("width", "height")),
    )


def copy_2d(target: int, target_pitch: int, source: int, source_pitch: int, size: tuple[int, int]) -> None:
    """Start to copy `size`, (bytes in a row, rows), on the GPU, in the default stream."""
    kinds = {"src_kind": _ON_DEVICE, "dst_kind": _ON_DEVICE}
    copy = _Copy2d(src_device=source, src_pitch=source_pitch, dst_device=target, dst_pitch=target_pitch, **kinds)
    copy.width, copy.height = size
    _ask(_cuda().cuMemcpy2DAsync_v2(ctypes.byref(copy), None))


def download(target: int, address: int, n_bytes: int) -> None:
    """Start to copy from the GPU to an address of the host, in the default stream."""
    _ask(
        _cuda().cuMemcpyDtoHAsync_v2(
            ctypes.c_void_p(target), ctypes.c_ulonglong(address), ctypes.c_size_t(n_bytes), None
        )
    )


def wait_for_default_stream() -> None:
    """Block the calling thread until all work in the default stream has completed."""
    _ask(_cuda().cuStreamSynchronize(None))


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
