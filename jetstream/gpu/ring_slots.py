"""The slots of a frame ring on a GPU, in the process that decodes there: an `ipc.gpu_slots.GpuSlots`.

Knows no ring and no frame. Needs no kernel: a copy is a call of the driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import GpuMemory, GpuPicture, packed
from jetstream.runners import cuda_context
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_bindings import WantedBindings
from jetstream.runners.cuda_context import Bytes, CudaContext, DefaultStream

STREAM = DefaultStream()
"""the one that FFmpeg copies in: with a stream for each of 100 cameras, each of its steps waited for them all"""


class RingSlots:
    """`slots` times `slot_bytes` of shared memory on the context's GPU. One thread at a time uses it."""

    def __init__(self, context: CudaContext, slots: int, slot_bytes: int) -> None:
        """Raises UnavailableError: the GPU has too little memory, or its memory can't be shared."""
        self._context, self._slot_bytes = context, slot_bytes
        self._here: Bytes | None = None  # page-locked: a copy from the GPU to other memory takes five times as long
        with context.current():
            self._memory = context.allocate(slots * slot_bytes)
            try:
                self.memory = GpuMemory(context.device, context.export(self._memory), "")
            except UnavailableError:
                self._memory.free()
                raise

    def put(self, slot: int, picture: GpuPicture) -> None:
        """As `GpuSlots.put`. Raises RuntimeError where the GPU fails."""
        to, (rows, columns) = (
            packed(picture.size, int(self._memory) + slot * self._slot_bytes, picture.format),
            picture.size,
        )
        chroma_size = to.chroma_pitch, -(-rows // 2)
        with self._context.current():
            self._context.copy_2d(to.luma, to.luma_pitch, picture.luma, picture.luma_pitch, (columns, rows), STREAM)
            self._context.copy_2d(to.chroma, to.chroma_pitch, picture.chroma, picture.chroma_pitch, chroma_size, STREAM)
            self._context.wait_for_default_stream()

    def fetch(self, slot: int, target: NDArray[np.uint8]) -> None:
        """As `GpuSlots.fetch`. Raises RuntimeError where the GPU fails."""
        with self._context.current():
            if self._here is None:
                self._here = self._context.pinned(self._slot_bytes)
            here = self._here[: target.size]
            self._context.download(here, int(self._memory) + slot * self._slot_bytes, STREAM)
            self._context.wait_for_default_stream()
        np.copyto(target, here)

    def close(self) -> None:
        """Free the memory; other processes that have it open keep it until they close it."""
        with self._context.current():
            self._here = None
            self._memory.free()


@contextmanager
def open_context(device: int, bindings: WantedBindings) -> Iterator[CudaContext]:
    """This process's context of a GPU. Raises UnavailableError: no GPU, or none of CUDA's bindings."""
    context = cuda_context.use(device, bindings)
    try:
        yield context
    finally:
        context.close()
