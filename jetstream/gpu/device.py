"""One NVIDIA GPU for a process: memory, copies, kernels and graphs, on the process's one context.

Knows no picture and no network. PyCUDA is used where it can be. CUDA graphs, and page-locking of memory that exists, go
to the driver by ctypes (`driver`): PyCUDA has no graphs and crashes on a numpy view of shared memory.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError
from jetstream.gpu import driver
from jetstream.runners import cuda_context
from jetstream.runners.base import UnavailableError

log = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]
Size = tuple[int, int]


class Graph(Protocol):
    """Work that was recorded once and is launched as one."""

    def launch(self, stream: Any) -> None: ...

    def close(self) -> None: ...


class Device(Protocol):
    """A GPU. Addresses are numbers; all calls but `close` happen inside `current`."""

    multiprocessors: int
    reads_host_memory: bool
    """The GPU shares the CPU's memory (a Jetson), so pictures in registered memory need no copy."""

    def current(self) -> contextlib.AbstractContextManager[Any]: ...

    def stream(self) -> Any: ...

    def event(self) -> Any: ...

    def allocate(self, n_bytes: int) -> int:
        """Memory on the GPU, zeroed. Raises UnavailableError where there is too little."""
        ...

    def free(self, address: int) -> None: ...

    def pinned(self, n_bytes: int) -> Bytes:
        """Page-locked memory of the host, (n_bytes,) uint8."""
        ...

    def pin(self, source: NDArray[Any]) -> None:
        """Page-lock the shared memory that an array is a view of; later calls for the same memory do nothing."""
        ...

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None: ...

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None: ...

    def address_on_gpu(self, source: NDArray[Any]) -> int | None:
        """The GPU's address of an array in registered memory; None where the GPU can't read it."""
        ...

    def launch(
        self, kernel: str, grid: Size, threads: int, shared_bytes: int, arguments: bytes, stream: Any
    ) -> None: ...

    def record(self, event: Any, stream: Any) -> None: ...

    def wait_on_gpu(self, stream: Any, event: Any) -> None:
        """Work put into `stream` from now on begins after `event`."""
        ...

    def wait(self, event: Any) -> None:
        """Block the calling thread until `event` has completed. Raises RuntimeError where the GPU failed."""
        ...

    def finish(self) -> None:
        """Block until the GPU has completed all work."""
        ...

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        """Record what `work` puts into `stream`, without running it. The caller closes the graph."""
        ...


class CudaDevice:
    """A Device with jetstream's kernels loaded. `close` frees all that it allocated, except graphs."""

    def __init__(self, number: int, kernels: bytes) -> None:
        """`kernels` is a cubin. Raises UnavailableError: no PyCUDA, GPU or memory, or a cubin for another GPU."""
        self._context = cuda_context.use(number)
        self._memory: dict[int, Any] = {}
        self._pinned: dict[int, int] = {}  # address of registered memory to its size; 0: it can't be
        self._to_unpin: list[int] = []
        self._functions: dict[str, Any] = {}
        self._is_open = True
        try:
            with self.current() as cuda:
                attributes = cuda.Context.get_device()
                self.multiprocessors = attributes.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT)
                self.reads_host_memory = bool(attributes.get_attribute(cuda.device_attribute.INTEGRATED))
                self._module = _module(cuda, kernels)
                driver.require()
        except (UnavailableError, RuntimeError) as error:
            self._context.close()
            raise UnavailableError(str(error)) from None

    @contextlib.contextmanager
    def current(self) -> Iterator[Any]:
        with self._context.current() as cuda:
            self._cuda = cuda
            try:
                yield cuda
            except cuda.MemoryError as error:
                raise driver.no_memory(error) from None
            except cuda.Error as error:
                raise RuntimeError(f"the GPU fails: {error}") from None

    def stream(self) -> Any:
        return self._cuda.Stream()

    def event(self) -> Any:
        return self._cuda.Event(self._cuda.event_flags.DISABLE_TIMING)

    def allocate(self, n_bytes: int) -> int:
        memory = self._cuda.mem_alloc(max(n_bytes, 1))
        self._cuda.memset_d8(memory, 0, max(n_bytes, 1))
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        self._memory.pop(address).free()

    def pinned(self, n_bytes: int) -> Bytes:
        pinned: Bytes = self._cuda.pagelocked_empty(max(n_bytes, 1), np.uint8)
        return pinned

    def pin(self, source: NDArray[Any]) -> None:
        whole = source.base
        # an array that owns its memory may free it at any time; a ring's array is a view of a buffer that stays
        if not isinstance(whole, np.ndarray) or whole.base is None or whole.ctypes.data in self._pinned:
            return
        address, n_bytes = whole.ctypes.data, whole.nbytes
        self._pinned[address] = n_bytes
        try:
            if driver.register(address, n_bytes):
                self._to_unpin.append(address)
        except (RuntimeError, UnavailableError) as error:
            log.warning("a frame ring can't be page-locked (%s); copies from it take four times as long", error)
            self._pinned[address] = 0

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        self._cuda.memcpy_htod_async(address, source, stream)

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        self._cuda.memcpy_dtoh_async(target, address, stream)

    def address_on_gpu(self, source: NDArray[Any]) -> int | None:
        if not self.reads_host_memory:
            return None
        first = source.ctypes.data
        if any(start <= first and first + source.nbytes <= start + size for start, size in self._pinned.items()):
            return driver.address_on_gpu(first)
        return None

    def launch(self, kernel: str, grid: Size, threads: int, shared_bytes: int, arguments: bytes, stream: Any) -> None:
        function = self._functions.get(kernel)
        if function is None:
            function = self._functions[kernel] = self._module.get_function(kernel)
            function.prepare(f"{len(arguments)}s")
            if shared_bytes > 48 * 1024:
                function.set_attribute(self._cuda.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes)
        function.prepared_async_call((*grid, 1), (threads, 1, 1), stream, arguments, shared_size=shared_bytes)

    def record(self, event: Any, stream: Any) -> None:
        event.record(stream)

    def wait_on_gpu(self, stream: Any, event: Any) -> None:
        stream.wait_for_event(event)

    def wait(self, event: Any) -> None:
        event.synchronize()

    def finish(self) -> None:
        self._cuda.Context.synchronize()

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        return driver.CudaGraph(stream.handle, work)

    def close(self) -> None:
        """Free everything but graphs; may be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        with contextlib.suppress(RuntimeError), self.current():  # a GPU that failed frees nothing
            self.finish()
        with contextlib.suppress(RuntimeError), self.current():
            self._functions.clear()
            self._module = None
            for address in list(self._memory):
                self.free(address)
            for address in self._to_unpin:
                driver.unregister(address)
        self._context.close()


def _module(cuda: Any, kernels: bytes) -> Any:
    try:
        return cuda.module_from_buffer(kernels)
    except cuda.MemoryError:
        raise
    except cuda.Error as error:
        raise UnavailableError(f"the GPU does not accept the kernels ({error})") from None


@contextlib.contextmanager
def in_use(device: Device, stage: str) -> Iterator[None]:
    """`device.current` for a running stage: UnavailableError becomes ModelError, as no other backend can take over."""
    try:
        with device.current():
            yield
    except UnavailableError as reason:
        raise ModelError(f"{stage}: {reason}") from None
