"""A GPU's CUDA context in this process: memory, streams, copies, kernels, graphs.

Its users share it, and it is released after the last of them. It is the GPU's primary context, which ONNX Runtime and
the CUDA runtime inside TensorRT use too: a second one would take more memory and share the GPU in time slices. A
process may hold contexts of several GPUs. `pycuda_context` and `cuda_core_context` implement it, each on one of
`cuda_bindings`. Knows no network and no picture.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jetstream.runners import cuda_bindings
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_bindings import Bindings, WantedBindings

HANDLE_BYTES = 64  # of memory that another process opens
DEFAULT_SHARED_BYTES = 48 * 1024  # a kernel that wants more shared memory a block must ask for it
Bytes = NDArray[np.uint8]
Grid = tuple[int, int]


class CudaStream(Protocol):
    """A queue of work on the GPU."""

    @property
    def handle(self) -> int: ...

    def synchronize(self) -> None:
        """Block until all work in it has completed."""
        ...


class DefaultStream:
    """CUDA's default stream, the one of code that names none, such as FFmpeg. It takes copies alone here.

    Work in it begins when all work that was put into other streams before has ended, and theirs waits for it. So what
    shares a process with code that uses it is best put there as well: with a stream for each of 100 cameras, every step
    waits for all of them.
    """

    handle = 0


class Memory(Protocol):
    """Memory on the GPU, freed with its last reference."""

    def __int__(self) -> int:
        """Its address."""
        ...

    def free(self) -> None: ...


class OpenedMemory(Protocol):
    """Memory of another process."""

    def __int__(self) -> int:
        """Its address in this process."""
        ...

    def close(self) -> None: ...


class Graph(Protocol):
    """Work that was recorded once and is launched as one."""

    def launch(self, stream: Any) -> None: ...

    def close(self) -> None: ...


class CudaContext(ABC):
    """One GPU's primary context. `use` returns it; each caller of `use` calls `close` once.

    Addresses are numbers. All calls but `current` and `close` happen inside `current`.
    """

    error: type[Exception]
    """What the bindings raise inside `current`, which turns it into the exceptions of jetstream."""
    multiprocessors: int
    shares_host_memory: bool
    """The GPU has no memory of its own (a Jetson)."""

    def __init__(self, device: int, bindings: Bindings) -> None:
        self.device, self.bindings = device, bindings
        self._users = 0

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """This context is current in this thread, and the one before it afterwards.

        Raises UnavailableError where the GPU has too little memory, RuntimeError where it fails otherwise.
        """
        self._push()
        try:
            yield
        except self.error as error:
            if self._is_memory(error):
                raise too_little_memory(error) from None
            raise RuntimeError(f"the GPU fails: {error}") from None
        finally:
            self._pop()

    def close(self) -> None:
        self._users -= 1
        if self._users == 0:
            del _open[self.device, self.bindings]
            self._release()

    @abstractmethod
    def _push(self) -> None: ...

    @abstractmethod
    def _pop(self) -> None: ...

    @abstractmethod
    def _release(self) -> None: ...

    @abstractmethod
    def _is_memory(self, error: Exception) -> bool:
        """Whether the error says that the GPU has too little memory."""

    @abstractmethod
    def stream(self) -> CudaStream: ...

    @abstractmethod
    def wait_for_default_stream(self) -> None:
        """Block the calling thread until all work in the default stream has completed."""

    @abstractmethod
    def event(self, *, timing: bool = False) -> Any:
        """An event; `elapsed_ms` takes those with `timing` only."""

    @abstractmethod
    def allocate(self, n_bytes: int) -> Memory:
        """Memory on the GPU, zeroed, at least one byte."""

    @abstractmethod
    def free_bytes(self) -> int:
        """How much of the GPU's memory is free, whoever uses the rest."""

    @abstractmethod
    def pinned(self, n_bytes: int) -> Bytes:
        """Page-locked memory of the host, (n_bytes,) uint8, at least one; freed with the last array that shows it."""

    @abstractmethod
    def register(self, address: int, n_bytes: int) -> bool:
        """Page-lock memory of the host, so that copies from it run at full speed beside everything else.

        False: it is page-locked already, by other code of this process, which will also unregister it.
        """

    @abstractmethod
    def unregister(self, address: int) -> None: ...

    @abstractmethod
    def address_on_gpu(self, address: int) -> int:
        """The GPU's address of a byte of registered memory."""

    @abstractmethod
    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        """Start to copy a contiguous array to the GPU."""

    @abstractmethod
    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        """Start to copy from the GPU to a contiguous array."""

    @abstractmethod
    def download_2d(self, target: Bytes, address: int, pitch: int, stream: Any) -> None:
        """Start to copy the rows of a contiguous array, (rows, bytes in a row) uint8, from the GPU, where `pitch` bytes
        lie from one row to the next."""

    @abstractmethod
    def copy(self, target: int, source: int, n_bytes: int, stream: Any) -> None:
        """Start to copy from one address on the GPU to another."""

    @abstractmethod
    def copy_2d(self, target: int, target_pitch: int, source: int, source_pitch: int, size: Grid, stream: Any) -> None:
        """Start to copy `size`, (bytes in a row, rows), on the GPU; a pitch is the bytes from one row to the next."""

    @abstractmethod
    def module(self, cubin: bytes) -> Any:
        """The kernels of a cubin. Raises UnavailableError where the GPU does not accept it."""

    @abstractmethod
    def kernel(self, module: Any, name: str, argument_bytes: int, shared_bytes: int) -> Any:
        """A kernel of a module, for arguments of this size and up to so much dynamic shared memory a block."""

    @abstractmethod
    def launch(self, kernel: Any, grid: Grid, threads: int, shared_bytes: int, arguments: bytes, stream: Any) -> None:
        """Start a kernel; `arguments` are its parameters as they lie in memory, structs among them."""

    @abstractmethod
    def record(self, event: Any, stream: Any) -> None: ...

    @abstractmethod
    def wait_on_gpu(self, stream: Any, event: Any) -> None:
        """Work put into `stream` from now on begins after `event`."""

    @abstractmethod
    def wait(self, event: Any) -> None:
        """Block the calling thread until `event` has completed."""

    @abstractmethod
    def is_done(self, event: Any) -> bool:
        """Whether `event` has completed, without waiting."""

    @abstractmethod
    def elapsed_ms(self, began: Any, ended: Any) -> float:
        """Milliseconds on the GPU from one completed event to another."""

    @abstractmethod
    def finish(self) -> None:
        """Block until the GPU has completed all work."""

    @abstractmethod
    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        """Call `work` once and record what it puts into `stream`, without running it. The caller closes the graph."""

    @abstractmethod
    def export(self, memory: Memory) -> bytes:
        """A handle of HANDLE_BYTES, with which another process opens the memory. Raises UnavailableError: no IPC."""

    @abstractmethod
    def open_memory(self, handle: bytes) -> OpenedMemory:
        """Memory that another process exported, and must keep until this is closed. Raises UnavailableError."""


_open: dict[tuple[int, Bindings], CudaContext] = {}


def use(device: int, wanted: WantedBindings = "auto") -> CudaContext:
    """The process's context on this GPU. Raises UnavailableError where the bindings or the GPU are missing."""
    bindings = cuda_bindings.choose(wanted).bindings
    context = _open.get((device, bindings))
    if context is None:
        context = _open[device, bindings] = _opened(device, bindings)
    context._users += 1
    return context


def _opened(device: int, bindings: Bindings) -> CudaContext:
    if bindings == "pycuda":
        from jetstream.runners.pycuda_context import PyCudaContext

        return PyCudaContext(device)
    from jetstream.runners.cuda_core_context import CudaCoreContext

    return CudaCoreContext(device)


def too_little_memory(said: object) -> UnavailableError:
    """The error for too little memory, with CUDA's own message."""
    return UnavailableError(f"the GPU has too little memory ({said}); lower detect.batch, gpu.batch or recognize.batch")


def no_sharing(said: object) -> UnavailableError:
    """The error where memory can't be exported or opened; drivers of Jetsons may not support it."""
    return UnavailableError(f"the GPU's memory can't be shared between processes ({said})")
