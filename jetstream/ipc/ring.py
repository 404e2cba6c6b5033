"""Frames of one camera in shared memory: one writer, many readers, no locks, and never a torn frame.

Knows no messages, no stages and nothing of what the pixels show; blocks only in `wait_for_room`.

Frames are numbered 0, 1, 2, ...; frame n is in slot n % slots. Two 64-bit counters are in the header: `begun`, one
more than the last frame the writer has begun, and `cursor`, one more than the last it has finished.

To write frame n >= cursor, the writer (frames between cursor and n are left out: nobody can read them)
 1. at the every-frame pace first waits until every registered reader's cell says it is done with frame n - slots;
 2. sets begun to n + 1: from here on, frame n - slots is gone;
 3. fence;
 4. writes the slot's header (n, height, width, when it was captured, picture format, where the pixels are) and the
    pixels;
 5. fence;
 6. sets cursor to n + 1: from here on, frame n is there.
To read frame n, a reader
 7. returns None unless n < cursor;
 8. fence;
 9. reads the slot's header;
10. uses the pixels: copies, converts, uploads or scales them down;
11. fence;
12. uses the result only if begun <= n + slots. (The same check comes between 9 and 10, so that size and format are
    valid before they are used.) Otherwise the writer has overwritten the frame;
13. at the every-frame pace, when it needs frame n no more: fence, then its cell's done becomes n + 1.

Why no torn frame is used: a reader that saw one byte of step 4 of frame n + slots sees, after the fence in 11, what the
writer did before the fence in 3, which is begun = n + slots + 1, so the check in 12 fails. Counters only grow, and 64
bits don't overflow. Where slots are on a GPU too, `gpu_slots` has further steps. A writer killed between 2 and 6 leaves
begun = n + 1 > cursor; the next writer starts at n, so it writes the same number again, which no reader has used yet. A
lock on a byte of the file ensures one writer; it is taken at the first write, and the kernel releases it when the
writer dies.

Requirements: a counter is an aligned 64-bit word, written and read as a whole (memoryview's "Q" format is one 8-byte
move on x86-64 and aarch64). x86 keeps loads in order and ordinary stores in order, but the large memcpy of 4 may use
streaming stores, which it does not order, so the fences are needed there too. aarch64 guarantees no order by itself;
all of it comes from the fences (by reasoning; stress-tested on x86-64 only so far). `cells.Fence` says what they are
made of: 0.3 us each, beside the 100 to 1,000 us of a 1080p copy.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from jetstream.errors import RingError
from jetstream.ipc.cells import LINE_WORDS, Cell, Cells, Fence
from jetstream.ipc.frames import (
    FrameShape,
    FrameView,
    GpuFrameView,
    check_picture,
    copy_bgr,
    picture_in,
    put_picture,
    read_only,
)
from jetstream.ipc.gpu_slots import GpuSlots, GpuTwin
from jetstream.ipc.layout import BEGUN, CELLS, CURSOR, GPU, PIXEL_BYTES, SLOTS, Layout, checked_layout
from jetstream.ipc.local import LocalRing
from jetstream.ipc.segment import SHARED_MEMORY, Role, Segment, segment_name, sweep
from jetstream.picture_format import AnyPicture, GpuPicture, PictureFormat, PicturePlace, format_of, nv12_bytes, packed

if TYPE_CHECKING:  # processes that only count frames start without numpy
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Cell", "FrameView", "LocalRing", "Ring", "segment_name", "sweep"]

# Short beside detecting a frame (7 ms or more), long beside reading the cells (2 us): a wait takes 2 % of a core.
_POLL_S = 0.001
_FORMATS = frozenset(PictureFormat)
# Words of a slot's header: the frame's number, height and width, when it was captured, picture format. The other three
# are those of `gpu_slots`.
_NUMBER, _HEIGHT, _WIDTH, _CAPTURED, _FORMAT = range(5)


class Ring:
    """One camera's ring: `create` in the supervisor, `attach` everywhere else.

    A context manager that closes and, in the creator, unlinks.
    """

    def __init__(self, segment: Segment, layout: Layout, *, created: bool) -> None:
        self.layout = layout
        self.slots = layout.slots
        self._segment = segment
        self._created = created
        self._fence = Fence()
        self._words = segment.memory[: layout.header_bytes].cast("Q")
        self._cells = Cells(self._words[CELLS:GPU], self._fence)
        slot_lines = [self._words[SLOTS + slot * LINE_WORDS :][:LINE_WORDS] for slot in range(layout.slots)]
        self._gpu = GpuTwin(self._words[GPU:SLOTS], slot_lines, self._fence)
        self._pixel_bytes: NDArray[np.uint8] | None = None  # of the whole segment, once it is needed
        # by the place of the slot's header: height, width and format of the last picture seen there, and its arrays
        self._pictures: dict[int, tuple[tuple[int, int, int], AnyPicture]] = {}

    @classmethod
    def create(cls, name: str, *, slots: int, max_width: int, max_height: int, directory: Path = SHARED_MEMORY) -> Ring:
        """Reserve the memory of a new ring. Take `name` from `segment_name`, so that `sweep` finds the owner.

        Sizes are in px. Raises RingError when the ring doesn't fit into `directory` or exists already, ValueError for
        fewer than 2 slots or a size below 1 px.
        """
        if slots < 2 or max_width < 1 or max_height < 1:
            raise ValueError(
                f"a ring of {slots} slots of {max_width} x {max_height} px: needs 2 slots and 1 px at least"
            )
        layout = Layout(slots, max_width, max_height)
        contents = f"a frame ring of {slots} slots of {max_width} x {max_height} px"
        segment = Segment.create(name, layout.total_bytes, contents=contents, directory=directory)
        ring = cls(segment, layout, created=True)
        for word, value in reversed(list(enumerate(layout.constants))):  # the magic number last: it marks a valid ring
            ring._words[word] = value
        return ring

    @classmethod
    def attach(cls, name: str, *, directory: Path = SHARED_MEMORY) -> Ring:
        """Open a ring that exists. Raises RingError when there is none, or the file is no ring of this version."""
        segment = Segment.attach(name, directory=directory)
        try:
            return cls(segment, checked_layout(segment.path, segment.memory), created=False)
        except RingError:
            segment.close()
            raise

    @property
    def cursor(self) -> int:
        """The number of the newest finished frame and one more."""
        return self._words[CURSOR]

    @property
    def slowest(self) -> int | None:
        """The frame number below which every registered reader is done; None without readers."""
        return self._cells.slowest()

    @property
    def begun(self) -> int:
        """The number of the frame begun last and one more: `cursor`, or above it while a frame is being written."""
        return self._words[BEGUN]

    @property
    def memory(self) -> NDArray[np.uint8]:
        """The whole segment, (total_bytes,) uint8, page-aligned and read-only, to pin for the GPU.

        Unpin and drop it before `close`.
        """
        array = self._array()[:]
        array.flags.writeable = False
        return array

    def share(self, slots: GpuSlots) -> None:
        """From now on `write` takes pictures on this GPU, until the ring is closed. For the writer, as `write`.

        Raises RingError when another process (or another Ring in this one) is the writer.
        """
        self._segment.become_writer("frame ring")
        self._gpu.share(slots)

    def write(self, picture: PicturePlace, *, captured_ns: int = 0, left_out: int = 0) -> int:
        """Copy a picture, (H, W, 3) uint8 BGR or NV12, of any strides, into the next slot without waiting for readers;
        return its number. One that lies on the GPU is copied there (see `share`).

        `captured_ns`, of CLOCK_MONOTONIC, is kept beside it for a writer that must announce it again. `left_out` is how
        many frames of the source before this one were not written; their numbers are never given.

        Raises ValueError for another shape or dtype or more pixels than a slot has, RingError when another process (or
        another Ring in this one) is the writer, RuntimeError where the GPU fails.
        """
        height, width = check_picture(picture)
        is_on_gpu = isinstance(picture, GpuPicture)
        is_too_large = is_on_gpu and nv12_bytes(height, width) > self.layout.gpu_slot_bytes
        if height * width * PIXEL_BYTES > self.layout.frame_bytes or is_too_large:
            limit = f"{self.layout.max_width} x {self.layout.max_height}"
            raise ValueError(
                f"frame of {width} x {height} px: the ring holds at most {limit}; set max_width, max_height"
            )
        self._segment.become_writer("frame ring")
        words = self._words
        frame_id = max(words[CURSOR], words[BEGUN] - 1) + left_out
        slot = self._slot_header(frame_id)
        words[BEGUN] = frame_id + 1
        self._fence()
        words[slot + _NUMBER], words[slot + _HEIGHT], words[slot + _WIDTH] = frame_id, height, width
        words[slot + _CAPTURED], words[slot + _FORMAT] = captured_ns, format_of(picture)
        if isinstance(picture, GpuPicture):
            self._gpu.put(frame_id, picture, self._slot(frame_id))
        else:
            put_picture(picture, picture_in(self._slot(frame_id), height, width, format_of(picture)))
            self._gpu.wrote_here(frame_id)
        self._fence()
        words[CURSOR] = frame_id + 1
        return frame_id

    def captured_ns(self, frame_id: int) -> int:
        """The time given to `write` for a frame that is still in the ring, ns.

        Only the writer may call this: for others the frame may be overwritten meanwhile.
        """
        return self._words[self._slot_header(frame_id) + _CAPTURED]

    @property
    def is_asked(self) -> bool:
        """Whether readers have asked for frames in shared memory since the last `bring`. For the writer."""
        return self._gpu.is_asked

    def bring(self) -> None:
        """Copy the frames that readers asked for from the GPU to shared memory (step H4). For the writer, between two
        `write`. Raises RuntimeError where the GPU fails."""
        if self._gpu.is_asked:
            for frame_id in self._gpu.wanted():
                size = (self._words[self._slot_header(frame_id) + one] for one in (_HEIGHT, _WIDTH))
                self._gpu.copy_here(frame_id, self._slot(frame_id)[: nv12_bytes(*size)])

    def wait_for_room(self, timeout_s: float) -> bool:
        """Block until no registered reader needs the frame that `write` would overwrite (every-frame pace).

        False when `timeout_s` has passed first; 0 checks once.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._has_room():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(_POLL_S, left_s))
        return True

    def read(self, frame_id: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
        """A private copy of the frame, (H, W, 3) uint8 BGR, to which NV12 is converted; None when the frame has been
        overwritten or isn't written yet.

        `out` is contiguous uint8 of any shape and at least H * W * 3 bytes. The copy then uses its memory, which saves
        the page faults of a new array; when None is returned its contents are undefined. Raises ValueError when `out`
        is too small, not uint8 or not contiguous.
        """
        view = self.view(frame_id)
        if view is None:
            return None
        copy = copy_bgr(view.picture, out)
        return copy if view.still_valid() else None

    def view(self, frame_id: int) -> FrameView | None:
        """The frame in place, as it was written, to upload or scale down without a copy; None when overwritten or not
        written yet.

        A frame that is on a GPU alone is asked for and waited for, `gpu_slots.WAIT_S` at most; None where it doesn't
        come. Raises RingError when the slot's header is damaged.
        """
        found = self._found(frame_id)
        return None if found is None else self._view_here(frame_id, found)

    def view_on(self, frame_id: int, gpu: int | None) -> FrameView | GpuFrameView | None:
        """As `view`, but a frame that is on the GPU with this number is left there."""
        found = self._found(frame_id)
        if found is None:
            return None
        memory = None if gpu is None else self._gpu.memory_of(frame_id, str(self._segment.path))
        if memory is None or memory.device != gpu:
            return self._view_here(frame_id, found)
        first = frame_id % self.slots * self.layout.gpu_slot_bytes
        return GpuFrameView(frame_id, packed(found.size, first, found.format, memory), self)

    def holds(self, frame_id: int) -> bool:
        """Whether all reads of this finished frame so far were valid (steps 11 and 12)."""
        self._fence()
        return self._words[BEGUN] <= frame_id + self.slots

    def register(self, reader: str) -> Cell:
        """The reader's cell, its earlier one if it had one; from now on the every-frame writer waits for this reader.

        The supervisor registers a reader that must not miss the first frames, before the writer starts; the reader then
        registers under the same name. Raises ValueError when no cell is free or the name is too long.
        """
        with self._segment.locked(Role.CELLS):
            return self._cells.register(reader, self.cursor)

    def close(self) -> None:
        """Release the memory. Views and cells handed out stay valid: the last of them unmaps it."""
        self._cells.close()
        self._gpu.close()
        self._words.release()
        self._pixel_bytes = None
        self._pictures.clear()
        self._segment.close()

    def unlink(self) -> None:
        """Remove the ring's name; processes that have it open keep it."""
        self._segment.unlink()

    def __enter__(self) -> Ring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._created:
            self.unlink()

    def _has_room(self) -> bool:
        slowest = self.slowest
        return slowest is None or slowest + self.slots > self.cursor

    def _found(self, frame_id: int) -> FrameShape | None:
        """Steps 7 to 9; None: the frame is overwritten, or not written yet. Raises RingError: it is damaged."""
        words = self._words
        if not 0 <= frame_id < words[CURSOR]:
            return None
        self._fence()
        slot = self._slot_header(frame_id)
        number, height, width, form = (words[slot + one] for one in (_NUMBER, _HEIGHT, _WIDTH, _FORMAT))
        if number != frame_id or not self.holds(frame_id):
            return None
        # not a torn read: `holds` was true after it
        if not 0 < height * width * PIXEL_BYTES <= self.layout.frame_bytes or form not in _FORMATS:
            raise RingError(
                f"{self._segment.path}: damaged: a frame of {width} x {height} px in format {form}; start the run again"
            )
        return FrameShape((height, width), PictureFormat(form))

    def _view_here(self, frame_id: int, found: FrameShape) -> FrameView | None:
        if not self._gpu.is_here(frame_id, self.holds):
            return None
        slot, shape = self._slot_header(frame_id), (*found.size, found.format)
        kept = self._pictures.get(slot)
        if kept is None or kept[0] != shape:
            kept = self._pictures[slot] = shape, read_only(picture_in(self._slot(frame_id), *found.size, found.format))
        return FrameView(frame_id, kept[1], self)

    def _slot_header(self, frame_id: int) -> int:
        return SLOTS + frame_id % self.slots * LINE_WORDS

    def _slot(self, frame_id: int) -> NDArray[np.uint8]:
        start = self.layout.header_bytes + frame_id % self.slots * self.layout.slot_bytes
        return self._array()[start : start + self.layout.slot_bytes]

    def _array(self) -> NDArray[np.uint8]:
        if self._pixel_bytes is None:
            import numpy as np

            self._pixel_bytes = np.frombuffer(self._segment.memory, np.uint8)
        return self._pixel_bytes
