"""The NVIDIA GPUs that the driver reports, by ctypes, which costs nothing on a machine without one.

Knows no backend, makes no context and imports no package.
"""

import ctypes
import functools
from typing import NamedTuple

from jetstream.runners.base import UnavailableError

_DRIVER = "libcuda.so.1"
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


class GpuInfo(NamedTuple):
    """One GPU; its index in `gpus` is its `gpu.device`."""

    name: str
    capability: str  # "9.0"
    memory_bytes: int

    def __str__(self) -> str:
        return f"{self.name}, compute capability {self.capability}"


def gpu(device: int) -> GpuInfo:
    """The GPU with this index. Raises UnavailableError, which says what is missing."""
    found = gpus()
    if device >= len(found):
        raise UnavailableError(f"there is no GPU {device}: this machine has {len(found)}, numbered from 0")
    return found[device]


@functools.cache
def is_installed() -> bool:
    """Whether there is a driver, which is not asked for GPUs: that would take memory and time in each process."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


@functools.cache
def gpus() -> tuple[GpuInfo, ...]:
    """Every GPU. Raises UnavailableError where there is no driver or no GPU."""
    cuda = _driver()
    count = ctypes.c_int()
    _ask(cuda.cuDeviceGetCount(ctypes.byref(count)))
    return tuple(_gpu(cuda, number) for number in range(count.value))


def cuda_version() -> str:
    """The newest CUDA that the driver runs, such as "13.0". Raises UnavailableError."""
    version = ctypes.c_int()
    _ask(_driver().cuDriverGetVersion(ctypes.byref(version)))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


@functools.cache
def _driver() -> ctypes.CDLL:
    try:
        cuda = ctypes.CDLL(_DRIVER)
    except OSError:
        raise UnavailableError(f"no NVIDIA driver ({_DRIVER})") from None
    _ask(cuda.cuInit(0))
    return cuda


def _gpu(cuda: ctypes.CDLL, number: int) -> GpuInfo:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    _ask(cuda.cuDeviceGet(ctypes.byref(device), number))
    _ask(cuda.cuDeviceGetName(name, len(name), device))
    _ask(cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device))
    _ask(cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device))
    _ask(cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device))
    return GpuInfo(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", memory.value)


def _ask(status: int) -> None:
    if status == _NO_DEVICE:
        raise UnavailableError("the NVIDIA driver sees no GPU")
    if status:
        raise UnavailableError(f"the NVIDIA driver fails (CUDA error {status})")
