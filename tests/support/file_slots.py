"""A GPU's memory as a file: what a ring asks of one, without a GPU. Its handle is the file's name."""

import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetstream.ipc.frames import picture_in, put_picture
from jetstream.ipc.segment import SHARED_MEMORY
from jetstream.picture_format import GpuMemory, GpuPicture, Nv12Picture

DEVICE = 0
PREFIX = "jetstream-test-"
"""of the files, before the process that started the one that made them: it removes those of one that was killed"""


class FileSlots:
    """An `ipc.gpu_slots.GpuSlots`."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        fd, name = tempfile.mkstemp(prefix=f"{PREFIX}{os.getppid()}-", dir=SHARED_MEMORY)
        os.close(fd)
        self.path, self._slot_bytes, self.fetched = Path(name), slot_bytes, 0
        self._bytes = np.memmap(self.path, np.uint8, "r+", shape=(slots * slot_bytes,))
        self.memory = GpuMemory(DEVICE, self.path.name.encode(), "")

    def put(self, slot: int, picture: GpuPicture) -> None:
        height, width = picture.size
        target = picture_in(self._slot(slot), height, width, picture.format)
        put_picture(planes(picture), target)

    def fetch(self, slot: int, target: NDArray[np.uint8]) -> None:
        target[:] = self._slot(slot)[: target.size]
        self.fetched += 1

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def _slot(self, slot: int) -> NDArray[np.uint8]:
        return self._bytes[slot * self._slot_bytes : (slot + 1) * self._slot_bytes]


def on_gpu(picture: Nv12Picture) -> GpuPicture:
    """A picture "on the GPU": addresses are those of this process."""
    luma, chroma = picture.luma, picture.chroma
    addresses = luma.ctypes.data, chroma.ctypes.data
    return GpuPicture(picture.shape, *addresses, luma.strides[0], chroma.strides[0], picture.format, kept=picture)


def planes(picture: GpuPicture) -> Nv12Picture:
    """The planes of a picture "on the GPU", also where another process has the memory."""
    height, width = picture.size
    rows, columns = (height + 1) // 2, (width + 1) // 2
    if picture.memory is None:
        luma = _at(picture.luma, height * picture.luma_pitch).reshape(height, -1)[:, :width]
        chroma = _at(picture.chroma, rows * picture.chroma_pitch).reshape(rows, -1)[:, : 2 * columns]
    else:
        memory = np.memmap(SHARED_MEMORY / picture.memory.handle.rstrip(b"\0").decode(), np.uint8, "r")
        luma = memory[picture.luma :][: height * width].reshape(height, width)
        chroma = memory[picture.chroma :][: rows * columns * 2].reshape(rows, -1)
    return Nv12Picture(luma, chroma.reshape(rows, columns, 2), picture.format)


def _at(address: int, n_bytes: int) -> NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * n_bytes).from_address(address))
