"""How many engines a machine can build at once: by its cores, its free memory and its GPU's memory.

Knows no engine.
"""

import os
from pathlib import Path

from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError

BUILD_BYTES = 2 * 2**30
"""taken as the need of one build, in the machine's memory and in the GPU's: CUDA, TensorRT's kernels, the scratch
memory of `builder.WORKSPACE_BYTES` and the largest batch"""


def builds_at_once(device: int) -> int:
    """At least 1. One core is left to others, and half of the memory: that of a GPU, and what is free of the
    machine's, which on a Jetson is the GPU's too."""
    return at_once(len(os.sched_getaffinity(0)), _free_bytes(), _gpu_bytes(device))


def at_once(cores: int, free_bytes: int, gpu_bytes: int) -> int:
    """How many builds so much carries."""
    return max(1, min(cores - 1, free_bytes // 2 // BUILD_BYTES, gpu_bytes // 2 // BUILD_BYTES))


def _free_bytes() -> int:
    """Memory that programs may still take, by proc(5)."""
    fields = (line.split() for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return next(int(words[1]) * 1024 for words in fields if words[0] == "MemAvailable:")


def _gpu_bytes(device: int) -> int:
    try:
        return cuda_driver.gpu(device).memory_bytes
    except UnavailableError:
        return 0  # nothing can be built at all
