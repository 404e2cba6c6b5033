"""One NVIDIA GPU for a process: memory, copies, kernels and graphs, on the process's one context of that GPU.

Knows no picture, no network and no bindings (`runners.cuda_context` has those). A process may have several devices.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError
from jetstream.picture_format import GpuMemory
from jetstream.runners import cuda_context
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_bindings import WantedBindings
from jetstream.runners.cuda_context import Bytes, CudaStream, Memory, OpenedMemory
from jetstream.runners.cuda_context import Graph as Graph

log = logging.getLogger(__name__)

Size = tuple[int, int]


class Device(Protocol):
    """A GPU. Addresses are numbers; all calls but `close` happen inside `current`."""

    number: int
    multiprocessors: int
    reads_host_memory: bool
    """The GPU shares the CPU's memory (a Jetson), so pictures in registered memory need no copy."""

    def current(self) -> contextlib.AbstractContextManager[None]:
        """Raises UnavailableError where the GPU has too little memory, RuntimeError where it fails otherwise."""
        ...

    def stream(self) -> CudaStream: ...

    def event(self, *, timing: bool = False) -> Any:
        """An event; `elapsed_ms` takes those with `timing` only, which cost a little more."""
        ...

    def allocate(self, n_bytes: int) -> int:
        """Memory on the GPU, zeroed. Raises UnavailableError where there is too little."""
        ...

    def free(self, address: int) -> None:
        """Raises ValueError where `allocate` didn't return it, or it is freed already."""
        ...

    def pinned(self, n_bytes: int) -> Bytes:
        """Page-locked memory of the host, (n_bytes,) uint8."""
        ...

    def pin(self, source: NDArray[Any]) -> None:
        """Page-lock the shared memory that an array is a view of; later calls for the same memory do nothing."""
        ...

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None: ...

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None: ...

    def download_2d(self, target: Bytes, address: int, pitch: int, stream: Any) -> None:
        """Start to copy the rows of a contiguous array, (rows, bytes in a row) uint8, from the GPU, where `pitch` bytes
        lie from one row to the next."""
        ...

    def copy(self, target: int, source: int, n_bytes: int, stream: Any) -> None:
        """Copy on the GPU."""
        ...

    def copy_2d(self, target: int, target_pitch: int, source: int, source_pitch: int, size: Size, stream: Any) -> None:
        """Copy `size`, (bytes in a row, rows), on the GPU; a pitch is the bytes from one row to the next.

        Neither pitch may be less than a row.
        """
        ...

    def address_on_gpu(self, source: NDArray[Any]) -> int | None:
        """The GPU's address of an array in registered memory; None where the GPU can't read it."""
        ...

    def export(self, address: int) -> bytes:
        """A handle, 64 bytes, of allocated memory; another process on this GPU opens it. It is valid until `free`.

        Raises UnavailableError where the driver can't share memory, ValueError where `allocate` didn't return it.
        """
        ...

    def open_memory(self, handle: bytes) -> int:
        """The address, in this process, of memory that another one exported.

        That process frees it only after it is closed here. Raises UnavailableError where it can't be opened: the
        handle is wrong, of this process, of another GPU, or of memory that is freed. Raises ValueError where it is open
        already.
        """
        ...

    def close_memory(self, address: int) -> None:
        """Raises ValueError where `open_memory` didn't return it, or it is closed already."""
        ...

    def address_of(self, memory: GpuMemory) -> int:
        """The address, in this process, of another one's memory, which is opened at its first use here.

        Older memory of the same owner is closed then. Raises UnavailableError where it can't be opened.
        """
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

    def is_done(self, event: Any) -> bool:
        """Whether `event` has completed, without waiting."""
        ...

    def elapsed_ms(self, began: Any, ended: Any) -> float:
        """Milliseconds on the GPU from one completed event to another."""
        ...

    def finish(self) -> None:
        """Block until the GPU has completed all work."""
        ...

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        """Record what `work` puts into `stream`, without running it. The caller closes the graph."""
        ...


class CudaDevice:
    """A Device with jetstream's kernels loaded. `close` frees all that it allocated, except graphs."""

    def __init__(self, number: int, kernels: bytes, bindings: WantedBindings = "auto") -> None:
        """`kernels` is a cubin. Raises UnavailableError: no bindings, GPU or memory, or a cubin for another GPU."""
        self._context = cuda_context.use(number, bindings)
        self.number = number
        self.multiprocessors = self._context.multiprocessors
        self.reads_host_memory = self._context.shares_host_memory
        self._memory: dict[int, Memory] = {}
        self._opened: dict[int, OpenedMemory] = {}
        self._of_owners: dict[str, tuple[bytes, int]] = {}  # handle and address of what `address_of` opened
        self._pinned: dict[int, int] = {}  # address of registered memory to its size; 0: it can't be
        self._to_unpin: list[int] = []
        self._functions: dict[str, Any] = {}
        self._is_open = True
        try:
            with self.current():
                self._module = self._context.module(kernels)
        except (UnavailableError, RuntimeError) as error:
            self._context.close()
            raise UnavailableError(str(error)) from None
        # what needs nothing of its own
        context = self._context
        self.stream, self.event, self.pinned = context.stream, context.event, context.pinned
        self.upload, self.download, self.download_2d = context.upload, context.download, context.download_2d
        self.copy, self.copy_2d = context.copy, context.copy_2d
        self.record, self.wait_on_gpu, self.wait = context.record, context.wait_on_gpu, context.wait
        self.is_done, self.elapsed_ms, self.finish = context.is_done, context.elapsed_ms, context.finish

    def current(self) -> contextlib.AbstractContextManager[None]:
        return self._context.current()

    def allocate(self, n_bytes: int) -> int:
        memory = self._context.allocate(n_bytes)
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        _taken(self._memory, address, "allocated").free()

    def pin(self, source: NDArray[Any]) -> None:
        whole = source.base
        # an array that owns its memory may free it at any time; a ring's array is a view of a buffer that stays
        if not isinstance(whole, np.ndarray) or whole.base is None or whole.ctypes.data in self._pinned:
            return
        address, n_bytes = whole.ctypes.data, whole.nbytes
        self._pinned[address] = n_bytes
        try:
            if self._context.register(address, n_bytes):
                self._to_unpin.append(address)
        except (RuntimeError, UnavailableError, self._context.error) as error:
            log.warning("a frame ring can't be page-locked (%s); copies from it take four times as long", error)
            self._pinned[address] = 0

    def address_on_gpu(self, source: NDArray[Any]) -> int | None:
        if not self.reads_host_memory:
            return None
        first = source.ctypes.data
        if any(start <= first and first + source.nbytes <= start + size for start, size in self._pinned.items()):
            return self._context.address_on_gpu(first)
        return None

    def export(self, address: int) -> bytes:
        if address not in self._memory:
            raise ValueError(f"no memory is allocated at {address:#x}")
        return self._context.export(self._memory[address])

    def open_memory(self, handle: bytes) -> int:
        opened = self._context.open_memory(handle)
        if int(opened) in self._opened:
            opened.close()
            raise ValueError(f"the memory at {int(opened):#x} is open already")
        self._opened[int(opened)] = opened
        return int(opened)

    def close_memory(self, address: int) -> None:
        _taken(self._opened, address, "opened").close()

    def address_of(self, memory: GpuMemory) -> int:
        handle, address = self._of_owners.get(memory.owner, (b"", 0))
        if handle != memory.handle:
            if handle:
                self.finish()  # work under way may use it
                del self._of_owners[memory.owner]
                self.close_memory(address)
            address = self.open_memory(memory.handle)
            self._of_owners[memory.owner] = memory.handle, address
        return address

    def launch(self, kernel: str, grid: Size, threads: int, shared_bytes: int, arguments: bytes, stream: Any) -> None:
        function = self._functions.get(kernel)
        if function is None:
            function = self._context.kernel(self._module, kernel, len(arguments), shared_bytes)
            self._functions[kernel] = function
        self._context.launch(function, grid, threads, shared_bytes, arguments, stream)

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        return self._context.graph(stream, work)

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
            for address in list(self._opened):
                self.close_memory(address)
            for address in list(self._memory):
                self.free(address)
            for address in self._to_unpin:
                self._context.unregister(address)
        self._context.close()


def _taken(table: dict[int, Any], address: int, what: str) -> Any:
    """Taken out of the table. Raises ValueError."""
    if address not in table:
        raise ValueError(f"no memory is {what} at {address:#x}")
    return table.pop(address)


@contextlib.contextmanager
def in_use(device: Device, stage: str) -> Iterator[None]:
    """`device.current` for a running stage: UnavailableError becomes ModelError, as no other backend can take over."""
    try:
        with device.current():
            yield
    except UnavailableError as reason:
        raise ModelError(f"{stage}: {reason}") from None
