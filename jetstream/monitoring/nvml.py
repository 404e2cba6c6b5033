"""Load and memory of NVIDIA's GPUs, from their management library (NVML), which comes with the driver.

Makes no CUDA context. A call can hang with the driver, so call it from a process that may be killed.
"""

import ctypes
from typing import NamedTuple

LIBRARY = "libnvidia-ml.so.1"


class GpuUse(NamedTuple):
    """None: this driver doesn't report it."""

    number: int  # NVML's index
    name: str
    busy: float | None  # 0..1, share of NVML's last sample period in which a kernel ran
    used_bytes: int | None
    memory_bytes: int | None


class _NvmlUtilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))  # percent


class _NvmlMemory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """The library, opened once; without it, no GPUs are found."""

    def __init__(self, library: str = LIBRARY) -> None:
        self._devices: list[tuple[str, ctypes.c_void_p]] = []
        try:
            self._nvml = ctypes.CDLL(library)
        except OSError:
            return
        count = ctypes.c_uint()
        if self._nvml.nvmlInit_v2() or self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return
        for number in range(count.value):
            device, name = ctypes.c_void_p(), ctypes.create_string_buffer(96)
            if self._nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) == 0:
                self._nvml.nvmlDeviceGetName(device, name, len(name))
                self._devices.append((name.value.decode(errors="replace"), device))

    def use(self) -> tuple[GpuUse, ...]:
        return tuple(self._use(number, name, device) for number, (name, device) in enumerate(self._devices))

    def _use(self, number: int, name: str, device: ctypes.c_void_p) -> GpuUse:
        rates, memory = _NvmlUtilization(), _NvmlMemory()
        told_rates = self._nvml.nvmlDeviceGetUtilizationRates(device, ctypes.byref(rates)) == 0
        told_memory = self._nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0
        return GpuUse(
            number,
            name,
            busy=rates.gpu / 100 if told_rates else None,
            used_bytes=memory.used if told_memory else None,
            memory_bytes=memory.total if told_memory else None,
        )
