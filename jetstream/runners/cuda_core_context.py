"""A `CudaContext` on cuda-core: its streams and events, and calls of the driver, by cuda-bindings, for the rest.

cuda-core allocates from memory pools, which can't be exported as handles and which Jetsons may lack. It loads cubins
lazily, so that a wrong one is noticed late, and takes no struct as a kernel's argument.
"""

import contextlib
import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver
from cuda.core import Device, EventOptions, StreamOptions
from cuda.core._utils.cuda_utils import CUDAError  # cuda-core 1.2 has no public name for what it raises
from numpy.typing import NDArray

from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_bindings import too_new, version
from jetstream.runners.cuda_context import (
    DEFAULT_SHARED_BYTES,
    HANDLE_BYTES,
    Bytes,
    CudaContext,
    CudaStream,
    Graph,
    Grid,
    Memory,
    OpenedMemory,
    no_sharing,
)

_MAPPED = driver.CU_MEMHOSTREGISTER_DEVICEMAP
_PARAMETERS, _PARAMETERS_SIZE, _PARAMETERS_END = (
    1,
    2,
    0,
)  # CU_LAUNCH_PARAM_BUFFER_POINTER, ..._SIZE, CU_LAUNCH_PARAM_END


class CudaCoreContext(CudaContext):
    """cuda-core keeps its own hold on the primary context until the process ends; all memory is freed before."""

    error = CUDAError

    def __init__(self, device: int) -> None:
        """Raises UnavailableError where there is no such GPU, or the driver is too old."""
        super().__init__(device, "cuda-core")
        self._is_released = False
        try:
            _ask(driver.cuInit(0))
            self._gpu = _ask(driver.cuDeviceGet(device))
            attributes = driver.CUdevice_attribute
            self.multiprocessors = self._attribute(attributes.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            self.shares_host_memory = bool(self._attribute(attributes.CU_DEVICE_ATTRIBUTE_INTEGRATED))
            self._context = _ask(driver.cuDevicePrimaryCtxRetain(self._gpu))
        except (CUDAError, RuntimeError) as error:  # RuntimeError: the driver lacks a function, or isn't there
            raise UnavailableError(
                f"no CUDA context on GPU {device} ({error}){too_new(version('cuda-core'))}"
            ) from None

    def _attribute(self, attribute: Any) -> int:
        return int(_ask(driver.cuDeviceGetAttribute(attribute, self._gpu)))

    def _push(self) -> None:
        _ask(driver.cuCtxPushCurrent(self._context))

    def _pop(self) -> None:
        driver.cuCtxPopCurrent()  # what a failed GPU says has been raised already

    def _release(self) -> None:
        self._is_released = True
        driver.cuDevicePrimaryCtxRelease(self._gpu)

    def _is_memory(self, error: Exception) -> bool:
        return driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY.name in str(error)

    def _core(self) -> Device:
        """cuda-core's object for this GPU in this thread, on the context that is current."""
        core = Device(self.device)
        core.set_current()
        return core

    def stream(self) -> CudaStream:
        return _CoreStream(self._core().create_stream(options=StreamOptions(nonblocking=False)))

    def wait_for_default_stream(self) -> None:
        _ask(driver.cuStreamSynchronize(0))

    def event(self, *, timing: bool = False) -> Any:
        return self._core().create_event(EventOptions(timing_enabled=timing))

    def allocate(self, n_bytes: int) -> Memory:
        memory = _DriverMemory(self, int(_ask(driver.cuMemAlloc(max(n_bytes, 1)))), driver.cuMemFree)
        _ask(driver.cuMemsetD8(int(memory), 0, max(n_bytes, 1)))
        return memory

    def free_bytes(self) -> int:
        return int(_ask(driver.cuMemGetInfo()))

    def pinned(self, n_bytes: int) -> Bytes:
        address = int(_ask(driver.cuMemHostAlloc(max(n_bytes, 1), 0)))
        content = (ctypes.c_uint8 * max(n_bytes, 1)).from_address(address)
        self.when_gone(content, driver.cuMemFreeHost, address)
        pinned: Bytes = np.ctypeslib.as_array(content)
        return pinned

    def when_gone(self, owner: Any, free: Callable[[int], Any], address: int) -> Any:
        """`free` the address once `owner` is unreachable, unless the context is released before."""
        gone = weakref.finalize(owner, self._free, free, address)
        gone.atexit = False
        return gone

    def _free(self, free: Callable[[int], Any], address: int) -> None:
        if self._is_released:
            return
        with contextlib.suppress(RuntimeError), self.current():  # a GPU that failed frees nothing
            _ask(free(address))

    def register(self, address: int, n_bytes: int) -> bool:
        answer = driver.cuMemHostRegister(address, n_bytes, _MAPPED)
        if answer[0] == driver.CUresult.CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED:
            return False
        _ask(answer)
        return True

    def unregister(self, address: int) -> None:
        driver.cuMemHostUnregister(address)

    def address_on_gpu(self, address: int) -> int:
        return int(_ask(driver.cuMemHostGetDevicePointer(address, 0)))

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        _ask(driver.cuMemcpyHtoDAsync(address, _contiguous(source), source.nbytes, stream.handle))

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        _ask(driver.cuMemcpyDtoHAsync(_contiguous(target), address, target.nbytes, stream.handle))

    def download_2d(self, target: Bytes, address: int, pitch: int, stream: Any) -> None:
        work = driver.CUDA_MEMCPY2D()
        work.srcMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        work.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_HOST
        work.srcDevice, work.srcPitch = address, pitch
        work.dstHost, work.dstPitch = _contiguous(target), target.shape[1]
        work.Height, work.WidthInBytes = target.shape
        _ask(driver.cuMemcpy2DAsync(work, stream.handle))

    def copy(self, target: int, source: int, n_bytes: int, stream: Any) -> None:
        _ask(driver.cuMemcpyDtoDAsync(target, source, n_bytes, stream.handle))

    def copy_2d(self, target: int, target_pitch: int, source: int, source_pitch: int, size: Grid, stream: Any) -> None:
        work = driver.CUDA_MEMCPY2D()
        work.srcMemoryType = work.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        work.srcDevice, work.srcPitch = source, source_pitch
        work.dstDevice, work.dstPitch = target, target_pitch
        work.WidthInBytes, work.Height = size
        _ask(driver.cuMemcpy2DAsync(work, stream.handle))

    def module(self, cubin: bytes) -> Any:
        try:
            return _LoadedModule(self, int(_ask(driver.cuModuleLoadData(cubin))))
        except CUDAError as error:
            if self._is_memory(error):
                raise
            raise UnavailableError(f"the GPU does not accept the kernels ({error})") from None

    def kernel(self, module: Any, name: str, argument_bytes: int, shared_bytes: int) -> Any:
        kernel = _ask(driver.cuModuleGetFunction(module.handle, name.encode()))
        if shared_bytes > DEFAULT_SHARED_BYTES:
            most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            _ask(driver.cuFuncSetAttribute(kernel, most, shared_bytes))
        return kernel

    def launch(self, kernel: Any, grid: Grid, threads: int, shared_bytes: int, arguments: bytes, stream: Any) -> None:
        content = ctypes.create_string_buffer(arguments, len(arguments))
        size = ctypes.c_size_t(len(arguments))
        extra = (ctypes.c_void_p * 5)(
            _PARAMETERS, ctypes.addressof(content), _PARAMETERS_SIZE, ctypes.addressof(size), _PARAMETERS_END
        )
        where = ctypes.addressof(extra)
        _ask(driver.cuLaunchKernel(kernel, *grid, 1, threads, 1, 1, shared_bytes, stream.handle, 0, where))

    def record(self, event: Any, stream: Any) -> None:
        stream.core.record(event)

    def wait_on_gpu(self, stream: Any, event: Any) -> None:
        stream.core.wait(event)

    def wait(self, event: Any) -> None:
        event.sync()

    def is_done(self, event: Any) -> bool:
        return bool(event.is_done)

    def elapsed_ms(self, began: Any, ended: Any) -> float:
        return float(ended - began)

    def finish(self) -> None:
        _ask(driver.cuCtxSynchronize())

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        return _DriverGraph(stream, work)

    def export(self, memory: Memory) -> bytes:
        try:
            handle = _ask(driver.cuIpcGetMemHandle(int(memory)))
        except CUDAError as error:
            raise no_sharing(error) from None
        return ctypes.string_at(handle.getPtr(), HANDLE_BYTES)

    def open_memory(self, handle: bytes) -> OpenedMemory:
        if len(handle) != HANDLE_BYTES:
            raise no_sharing(f"a handle has {HANDLE_BYTES} bytes, not {len(handle)}")
        there = driver.CUipcMemHandle()
        ctypes.memmove(there.getPtr(), handle, HANDLE_BYTES)
        lazy = int(driver.CUipcMem_flags.CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
        try:
            address = int(_ask(driver.cuIpcOpenMemHandle(there, lazy)))
        except CUDAError as error:
            raise no_sharing(error) from None
        return _DriverMemory(self, address, driver.cuIpcCloseMemHandle)


class _CoreStream:
    """A stream of cuda-core, with its handle as a number."""

    def __init__(self, core: Any) -> None:
        self.core = core
        self.handle = int(core.handle)

    def synchronize(self) -> None:
        self.core.sync()


class _DriverGraph:
    """A graph of what a function puts into a stream."""

    def __init__(self, stream: CudaStream, work: Callable[[], None]) -> None:
        # relaxed: TensorRT allocates nothing then, but may ask
        _ask(driver.cuStreamBeginCapture(stream.handle, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
        try:
            work()
        finally:
            answer = driver.cuStreamEndCapture(stream.handle)
        graph = _ask(answer)
        try:
            self._executable = _ask(driver.cuGraphInstantiate(graph, 0))
        finally:
            driver.cuGraphDestroy(graph)

    def launch(self, stream: CudaStream) -> None:
        _ask(driver.cuGraphLaunch(self._executable, stream.handle))

    def close(self) -> None:
        if self._executable is not None:
            driver.cuGraphExecDestroy(self._executable)
            self._executable = None


class _DriverMemory:
    """Memory of the driver: a Memory, and an OpenedMemory."""

    def __init__(self, context: CudaCoreContext, address: int, free: Callable[[int], Any]) -> None:
        self._address = address
        self._gone = context.when_gone(self, free, address)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._gone()

    close = free


class _LoadedModule:
    """The kernels of a cubin, unloaded with the last reference."""

    def __init__(self, context: CudaCoreContext, handle: int) -> None:
        self.handle = handle
        context.when_gone(self, driver.cuModuleUnload, handle)


def _contiguous(array: NDArray[Any]) -> int:
    """Its address. Raises ValueError where its memory is no single block."""
    if not array.flags.c_contiguous:
        raise ValueError("only contiguous arrays can be copied to and from the GPU")
    return int(array.ctypes.data)


def _ask(answer: tuple[Any, ...]) -> Any:
    """The value of a driver call's answer. Raises CUDAError."""
    status, *values = answer
    if status != driver.CUresult.CUDA_SUCCESS:
        raise CUDAError(f"{driver.CUresult(status).name} ({int(status)})")
    return values[0] if values else None
