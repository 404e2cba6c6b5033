"""A Device without a GPU: the real kernels compiled by a C++ compiler, the real networks on ONNX Runtime.

Addresses are those of this process; streams keep no order of their own, since everything is done at once.
"""

import contextlib
import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu import cubin_cache
from jetstream.picture_format import GpuMemory
from jetstream.runners.onnxrt import OnnxRunner

COMPILER = shutil.which("g++") or shutil.which("clang++")
_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(([^)]*)\)')


def build(folder: Path, tile: int) -> ctypes.CDLL:
    """The kernels as a library, with one function `launch`."""
    source = re.sub(r'#line 1 "(\w+\.cu)"', "", cubin_cache.sources())
    cases = []
    for name, parameters in _KERNEL.findall(source):
        struct, *numbers = (one.split()[0] for one in parameters.split(","))
        passed = "".join(f", numbers[{index}]" for index in range(len(numbers)))
        cases.append(
            f'if (!strcmp(kernel, "{name}")) run_grid([](const char* arguments) {{'
            f" const int* numbers = (const int*)(arguments + sizeof({struct}));"
            f" {name}(*(const {struct}*)arguments{passed}); }}, x, y, threads, arguments);"
        )
    entry = 'extern "C" void launch(const char* kernel, int x, int y, int threads, const char* arguments) {\n'
    text = f'#include "{Path(__file__).parent / "emulation.h"}"\n#define JETSTREAM_TILE {tile}\n{source}\n{entry}'
    file, library = folder / f"kernels{tile}.cpp", folder / f"kernels{tile}.so"
    file.write_text(text + "\n".join(cases) + "\n}\n")
    exact = ["-O3", "-march=native", "-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"]
    options = ["-std=c++17", *exact, "-w", "-shared", "-fPIC"]
    subprocess.run([str(COMPILER), *options, "-o", str(library), str(file)], check=True)
    return ctypes.CDLL(str(library))


class _Graph:
    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def launch(self, stream: Any) -> None:
        self._work()

    def close(self) -> None: ...


class EmulatedDevice:
    number = 0
    multiprocessors = 4
    reads_host_memory = False

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.launched: list[str] = []

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        yield

    def stream(self) -> Any:
        return SimpleNamespace(synchronize=lambda: None)

    event = stream

    def allocate(self, n_bytes: int) -> int:
        memory = np.zeros(max(n_bytes, 16) + 64, np.uint8)
        address = -(-memory.ctypes.data // 64) * 64
        self.memory[address] = memory
        return address

    def free(self, address: int) -> None:
        del self.memory[address]

    def pinned(self, n_bytes: int) -> NDArray[np.uint8]:
        return np.zeros(max(n_bytes, 1), np.uint8)

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        ctypes.memmove(address, np.ascontiguousarray(source).ctypes.data, source.nbytes)

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        ctypes.memmove(target.ctypes.data, address, target.nbytes)

    def download_2d(self, target: NDArray[np.uint8], address: int, pitch: int, stream: Any) -> None:
        for number, row in enumerate(target):
            ctypes.memmove(row.ctypes.data, address + number * pitch, row.nbytes)

    def address_of(self, memory: GpuMemory) -> int:
        return int.from_bytes(memory.handle, "little")

    def pin(self, source: NDArray[Any]) -> None: ...

    def address_on_gpu(self, source: NDArray[Any]) -> int | None:
        return source.ctypes.data if self.reads_host_memory else None

    def launch(
        self, kernel: str, grid: tuple[int, int], threads: int, shared_bytes: int, arguments: bytes, stream: Any
    ) -> None:
        self.launched.append(kernel)
        self._library.launch(kernel.encode(), *grid, threads, arguments)

    def record(self, event: Any, stream: Any) -> None: ...

    def wait_on_gpu(self, stream: Any, event: Any) -> None: ...

    def wait(self, event: Any) -> None: ...

    def finish(self) -> None: ...

    def graph(self, stream: Any, work: Callable[[], None]) -> _Graph:
        return _Graph(work)

    def close(self) -> None:
        self.memory.clear()


class OnnxNet:
    """R-Net, O-Net or the embedder between addresses."""

    def __init__(self, runner: OnnxRunner, rows: tuple[int, ...]) -> None:
        self._runner, self.rows = runner, rows

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None:
        spec = self._runner.inputs[0]
        shape = (rows, *(size or 0 for size in spec.shape[1:]))
        count = int(np.prod(shape))
        feed = np.ctypeslib.as_array((ctypes.c_float * count).from_address(image)).reshape(shape)
        for name, values in self._runner.infer({spec.name: feed}).items():
            if name in outputs:
                ctypes.memmove(outputs[name], np.ascontiguousarray(values).ctypes.data, values.nbytes)

    def close(self) -> None: ...
