"""A `CudaContext` on PyCUDA; graphs, and page-locking of memory that exists, go to the driver (`driver_calls`).

`pycuda.autoinit` is not used: it makes a second context at import.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

from jetstream.runners import driver_calls
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_context import (
    DEFAULT_SHARED_BYTES,
    Bytes,
    CudaContext,
    CudaStream,
    DefaultStream,
    Graph,
    Grid,
    Memory,
    OpenedMemory,
    no_sharing,
)


class PyCudaContext(CudaContext):
    """PyCUDA's streams, events and memory are what the contract asks for, and free themselves."""

    error = cuda.Error

    def __init__(self, device: int) -> None:
        """Raises UnavailableError where there is no such GPU, or the driver is too old."""
        super().__init__(device, "pycuda")
        try:
            cuda.init()
            gpu = cuda.Device(device)
            self.multiprocessors = gpu.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT)
            self.shares_host_memory = bool(gpu.get_attribute(cuda.device_attribute.INTEGRATED))
            driver_calls.require()
            self._context = gpu.retain_primary_context()
        except cuda.Error as error:
            raise UnavailableError(f"no CUDA context on GPU {device} ({error})") from None

    def _push(self) -> None:
        self._context.push()

    def _pop(self) -> None:
        cuda.Context.pop()

    def _release(self) -> None:
        self._context.detach()

    def _is_memory(self, error: Exception) -> bool:
        return isinstance(error, cuda.MemoryError)

    def stream(self) -> CudaStream:
        stream: CudaStream = cuda.Stream()
        return stream

    def wait_for_default_stream(self) -> None:
        driver_calls.wait_for_default_stream()

    def event(self, *, timing: bool = False) -> Any:
        return cuda.Event(cuda.event_flags.DEFAULT if timing else cuda.event_flags.DISABLE_TIMING)

    def allocate(self, n_bytes: int) -> Memory:
        memory: Memory = cuda.mem_alloc(max(n_bytes, 1))
        cuda.memset_d8(memory, 0, max(n_bytes, 1))
        return memory

    def free_bytes(self) -> int:
        return int(cuda.mem_get_info()[0])

    def pinned(self, n_bytes: int) -> Bytes:
        pinned: Bytes = cuda.pagelocked_empty(max(n_bytes, 1), np.uint8)
        return pinned

    def register(self, address: int, n_bytes: int) -> bool:
        return driver_calls.register(address, n_bytes)  # PyCUDA's own crashes on a numpy view of shared memory

    def unregister(self, address: int) -> None:
        driver_calls.unregister(address)

    def address_on_gpu(self, address: int) -> int:
        return driver_calls.address_on_gpu(address)

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        cuda.memcpy_htod_async(address, source, stream)

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        if isinstance(stream, DefaultStream):
            if not target.flags.c_contiguous:
                raise ValueError("only contiguous arrays can be copied to and from the GPU")
            driver_calls.download(target.ctypes.data, address, target.nbytes)
            return
        cuda.memcpy_dtoh_async(target, address, stream)

    def download_2d(self, target: Bytes, address: int, pitch: int, stream: Any) -> None:
        work = cuda.Memcpy2D()
        work.set_src_device(address)
        work.set_dst_host(target)
        work.src_pitch, work.dst_pitch = pitch, target.shape[1]
        work.height, work.width_in_bytes = target.shape
        work(stream)

    def copy(self, target: int, source: int, n_bytes: int, stream: Any) -> None:
        cuda.memcpy_dtod_async(target, source, n_bytes, stream)

    def copy_2d(self, target: int, target_pitch: int, source: int, source_pitch: int, size: Grid, stream: Any) -> None:
        if isinstance(stream, DefaultStream):
            driver_calls.copy_2d(target, target_pitch, source, source_pitch, size)
            return
        work = cuda.Memcpy2D()
        work.set_src_device(source)
        work.set_dst_device(target)
        work.src_pitch, work.dst_pitch = source_pitch, target_pitch
        work.width_in_bytes, work.height = size
        work(stream)

    def module(self, cubin: bytes) -> Any:
        try:
            return cuda.module_from_buffer(cubin)
        except cuda.MemoryError:
            raise
        except cuda.Error as error:
            raise UnavailableError(f"the GPU does not accept the kernels ({error})") from None

    def kernel(self, module: Any, name: str, argument_bytes: int, shared_bytes: int) -> Any:
        kernel = module.get_function(name)
        kernel.prepare(f"{argument_bytes}s")
        if shared_bytes > DEFAULT_SHARED_BYTES:
            kernel.set_attribute(cuda.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes)
        return kernel

    def launch(self, kernel: Any, grid: Grid, threads: int, shared_bytes: int, arguments: bytes, stream: Any) -> None:
        kernel.prepared_async_call((*grid, 1), (threads, 1, 1), stream, arguments, shared_size=shared_bytes)

    def record(self, event: Any, stream: Any) -> None:
        event.record(stream)

    def wait_on_gpu(self, stream: Any, event: Any) -> None:
        stream.wait_for_event(event)

    def wait(self, event: Any) -> None:
        event.synchronize()

    def is_done(self, event: Any) -> bool:
        return bool(event.query())

    def elapsed_ms(self, began: Any, ended: Any) -> float:
        return float(began.time_till(ended))

    def finish(self) -> None:
        cuda.Context.synchronize()

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        return driver_calls.CudaGraph(stream, work)

    def export(self, memory: Memory) -> bytes:
        try:
            return bytes(cuda.mem_get_ipc_handle(memory))
        except cuda.Error as error:
            raise no_sharing(error) from None

    def open_memory(self, handle: bytes) -> OpenedMemory:
        try:
            opened: OpenedMemory = cuda.IPCMemoryHandle(bytearray(handle))
        except cuda.Error as error:
            raise no_sharing(error) from None
        return opened
