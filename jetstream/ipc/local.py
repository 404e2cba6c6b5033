"""A ring inside one process, for replay and for tests of stages, which can't tell it from a shared one.

Knows no shared memory and waits for nobody.
"""

import numpy as np
from numpy.typing import NDArray

from jetstream.ipc.cells import CELL_WORDS, Cell, Cells, Fence
from jetstream.ipc.frames import FrameView, check_image, copy_image


class LocalRing:
    """A ring in one process, without shared memory and for frames of any size."""

    def __init__(self, *, slots: int = 16) -> None:
        self.slots = slots
        self.cursor = 0
        self._images: dict[int, NDArray[np.uint8]] = {}
        self._captured_ns: dict[int, int] = {}
        self._cells = Cells(memoryview(bytearray(CELL_WORDS * 8)).cast("Q"), Fence())

    def write(self, image: NDArray[np.uint8], *, captured_ns: int = 0) -> int:
        """Keep a copy of `image`, (H, W, 3) uint8 BGR, drop the oldest beyond `slots`; return the frame's number."""
        check_image(image)
        frame_id = self.cursor
        copy = image.copy()
        copy.flags.writeable = False
        self._images[frame_id], self._captured_ns[frame_id] = copy, captured_ns
        self._images.pop(frame_id - self.slots, None)
        self._captured_ns.pop(frame_id - self.slots, None)
        self.cursor = frame_id + 1
        return frame_id

    def captured_ns(self, frame_id: int) -> int:
        return self._captured_ns[frame_id]

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether every registered reader is done with the frame that `write` would drop. Waits for nobody: who should
        make room runs in this same process."""
        slowest = self.slowest
        return slowest is None or slowest + self.slots > self.cursor

    @property
    def slowest(self) -> int | None:
        return self._cells.slowest()

    def read(self, frame_id: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
        image = self._images.get(frame_id)
        return None if image is None else copy_image(image, out)

    def view(self, frame_id: int) -> FrameView | None:
        image = self._images.get(frame_id)
        return None if image is None else FrameView(frame_id, image, self)

    def holds(self, frame_id: int) -> bool:
        return frame_id in self._images

    def register(self, reader: str) -> Cell:
        return self._cells.register(reader, self.cursor)

    def close(self) -> None:
        self._images.clear()
