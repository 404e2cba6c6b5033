"""A frame ring inside one process, with the methods of `ring.Ring`: for replay and for tests of stages.

Uses no shared memory and never blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetstream.ipc.cells import CELL_WORDS, Cell, Cells, Fence
from jetstream.ipc.frames import FrameView, check_picture, copy_bgr, picture_in, put_picture, read_only
from jetstream.picture_format import AnyPicture, GpuPicture, PicturePlace, format_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LocalRing:
    """A ring in one process, without shared memory and for frames of any size."""

    def __init__(self, *, slots: int = 16) -> None:
        self.slots = slots
        self.cursor = 0
        self._frames: dict[int, tuple[AnyPicture, int]] = {}  # by number: the picture, when it was captured in ns
        self._cells = Cells(memoryview(bytearray(CELL_WORDS * 8)).cast("Q"), Fence())

    def write(self, picture: PicturePlace, *, captured_ns: int = 0, left_out: int = 0) -> int:
        """Store a copy of a picture, (H, W, 3) uint8 BGR or NV12, remove the oldest beyond `slots` and return the
        frame's number.

        The parameters are as of `Ring.write`. Raises ValueError for an array of another shape or dtype.
        """
        import numpy as np  # processes that touch no pixel start without it

        height, width = check_picture(picture)
        if isinstance(picture, GpuPicture):
            raise ValueError("frame on a GPU: this ring has no memory there")
        frame_id = self.cursor + left_out
        copy = picture_in(np.empty(picture.nbytes, np.uint8), height, width, format_of(picture))
        put_picture(picture, copy)
        self._frames[frame_id] = read_only(copy), captured_ns
        for gone in [one for one in self._frames if one <= frame_id - self.slots]:
            del self._frames[gone]
        self.cursor = frame_id + 1
        return frame_id

    def captured_ns(self, frame_id: int) -> int:
        """The time that `write` was given, ns. Raises KeyError for a frame that was removed."""
        return self._frames[frame_id][1]

    is_asked = False
    """As `Ring.is_asked`: all frames are here."""

    def bring(self) -> None:
        """As `Ring.bring`."""

    def wait_for_room(self, timeout_s: float) -> bool:
        """Whether every registered reader is done with the frame that `write` would remove.

        Returns at once: the readers run in this process, so waiting would block them.
        """
        slowest = self.slowest
        return slowest is None or slowest + self.slots > self.cursor

    @property
    def slowest(self) -> int | None:
        """The frame number below which every registered reader is done; None without readers."""
        return self._cells.slowest()

    def read(self, frame_id: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
        """A copy, as `Ring.read`."""
        frame = self._frames.get(frame_id)
        return None if frame is None else copy_bgr(frame[0], out)

    def view(self, frame_id: int) -> FrameView | None:
        """The frame in place, as `Ring.view`."""
        frame = self._frames.get(frame_id)
        return None if frame is None else FrameView(frame_id, frame[0], self)

    def view_on(self, frame_id: int, gpu: int | None) -> FrameView | None:
        """As `view`: no frame is on a GPU."""
        return self.view(frame_id)

    def holds(self, frame_id: int) -> bool:
        """Whether the frame is still stored."""
        return frame_id in self._frames

    def register(self, reader: str) -> Cell:
        """The reader's cell. Raises ValueError when no cell is free or the name is too long."""
        return self._cells.register(reader, self.cursor)

    def close(self) -> None:
        """Remove all frames."""
        self._frames.clear()
