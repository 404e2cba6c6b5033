"""Slots of a frame ring on a GPU: who has them, and which of their frames readers want in shared memory too.

Knows no CUDA; what copies is given to it (`GpuSlots`).

A frame is in its slot in shared memory, or in the slot of the same number on the GPU, or in both. The memory on the GPU
is the writer's: it is gone when the writer dies. In the ring's header are `generation`, odd while it is being changed,
the memory's device and handle, and `asked`, a time. Each slot's header has `on_gpu`: the generation of the memory that
has the frame, 0 if none; `here`, n + 1 once frame n is in shared memory; and `wanted`, n + 1 where a reader wants it
there.

To share memory, the writer
 G1. makes generation odd; fence; writes device and handle; fence; makes generation the next even number, which was
     never used before.
A reader that uses frames on the GPU
 G2. reads generation, fence, device and handle, fence, generation: if both are even and the frame's on_gpu, the frame
     is there. What it then computes is valid by the same check as of any frame (step 12 of `ring`), made after the GPU
     has done the work: the writer begins to copy frame n + slots there only after it has set begun.
A reader that wants frame n in shared memory, where here is not n + 1,
 H1. returns nothing if on_gpu is not the generation (nobody can copy it any more);
 H2. sets the slot's wanted to n + 1, and asked to now;
 H3. waits until here is n + 1; then a fence, and it reads the frame as any other.
The writer, which alone changes slots,
 H4. between two frames copies those whose wanted is n + 1 to their slots in shared memory; fence; sets here to n + 1;
 H5. while asked is less than KEEP_S ago, copies each new frame at once, before it sets cursor: so a reader of many
     frames waits for the first one alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from jetstream.ipc.cells import LINE_WORDS, Fence
from jetstream.picture_format import GpuMemory, GpuPicture, nv12_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GPU_WORDS = 3 * LINE_WORDS
HANDLE_BYTES = LINE_WORDS * 8
KEEP_S = 0.25
"""Frames are copied to shared memory as long after a reader asked."""
WAIT_S = 0.1
"""A reader waits so long for a frame that it asked for."""
_POLL_S = 0.001

# Words of a slot's header.
_NUMBER, _ON_GPU, _HERE, _WANTED = 0, 5, 6, 7
# Offsets in words. The writer's line, the handle's, the readers'.
_GENERATION, _DEVICE = 0, 1
_HANDLE = slice(LINE_WORDS * 8, 2 * LINE_WORDS * 8)  # bytes
_ASKED = 2 * LINE_WORDS


class GpuSlots(Protocol):
    """Memory on a GPU for each slot of a ring, in the process that writes it."""

    @property
    def memory(self) -> GpuMemory: ...

    def put(self, slot: int, picture: GpuPicture) -> None:
        """Copy a picture's luma, then its chroma, each without gaps, to the beginning of a slot; returns when done."""
        ...

    def fetch(self, slot: int, target: NDArray[np.uint8]) -> None:
        """Copy the first bytes of a slot to (N,) uint8; returns when done."""
        ...


class GpuTwin:
    """The slots of one ring on a GPU, as far as shared memory says of them."""

    def __init__(self, lines: memoryview, slot_lines: Sequence[memoryview], fence: Fence) -> None:
        """`lines`: GPU_WORDS words of 64 bits that start as zeros; `slot_lines`: the header of each slot."""
        self._lines, self._slot_lines, self._fence = lines, slot_lines, fence
        self._slots: GpuSlots | None = None  # the writer's
        self._served_ns = 0
        self._read: tuple[int, GpuMemory] | None = None  # the generation that was read last, and its memory

    @property
    def generation(self) -> int:
        """Of the memory that is shared now; 0: none, and never an odd number."""
        generation = self._lines[_GENERATION]
        return 0 if generation % 2 else generation

    def share(self, slots: GpuSlots) -> None:
        """Step G1."""
        lines, memory = self._lines, slots.memory
        lines[_GENERATION] = changed = lines[_GENERATION] | 1
        self._fence()
        lines[_DEVICE] = memory.device
        lines.cast("B")[_HANDLE] = memory.handle.ljust(HANDLE_BYTES, b"\0")
        self._fence()
        lines[_GENERATION] = changed + 1
        self._slots = slots

    def put(self, frame_id: int, picture: GpuPicture, here: NDArray[np.uint8]) -> None:
        """For the writer, in step 4 of `ring`: copy a picture to its slot on the GPU, and if frames are asked for to
        `here`, its slot in shared memory (step H5). Raises ValueError without memory on the GPU."""
        if self._slots is None:
            raise ValueError("frame on a GPU: this ring has no memory there")
        self._slots.put(frame_id % len(self._slot_lines), picture)
        self._line(frame_id)[_ON_GPU] = self.generation
        if time.monotonic_ns() - self._lines[_ASKED] < KEEP_S * 1e9:
            self.copy_here(frame_id, here[: nv12_bytes(*picture.size)])

    def wrote_here(self, frame_id: int) -> None:
        """For the writer: the frame is in shared memory alone."""
        line = self._line(frame_id)
        line[_ON_GPU], line[_HERE] = 0, frame_id + 1

    @property
    def is_asked(self) -> bool:
        """For the writer: whether readers asked for frames since `wanted` was called."""
        return self._lines[_ASKED] != self._served_ns

    def wanted(self) -> list[int]:
        """For the writer: the frames that readers want in shared memory, and which aren't there."""
        self._served_ns = self._lines[_ASKED]
        self._fence()
        lines = self._slot_lines
        return [line[_NUMBER] for line in lines if line[_WANTED] == line[_NUMBER] + 1 != line[_HERE]]

    def copy_here(self, frame_id: int, here: NDArray[np.uint8]) -> None:
        """For the writer: copy a frame's bytes from the GPU, if they are in its memory (step H4)."""
        line = self._line(frame_id)
        if self._slots is None or line[_ON_GPU] != self.generation:
            return
        self._slots.fetch(frame_id % len(self._slot_lines), here)
        self._fence()
        line[_HERE] = frame_id + 1

    def memory_of(self, frame_id: int, owner: str) -> GpuMemory | None:
        """Step G2; None: the frame is not on a GPU, or its memory is no longer shared."""
        lines, generation = self._lines, self._line(frame_id)[_ON_GPU]
        if generation == 0 or lines[_GENERATION] != generation:
            return None
        if self._read is None or self._read[0] != generation:
            self._fence()
            device, handle = lines[_DEVICE], bytes(lines.cast("B")[_HANDLE])
            self._fence()
            if lines[_GENERATION] != generation:
                return None
            self._read = generation, GpuMemory(device, handle, owner)  # of one generation it is always the same
        return self._read[1]

    def is_here(self, frame_id: int, holds: Callable[[int], bool]) -> bool:
        """Whether a frame is in shared memory, if need be after steps H1 to H3. `holds`: whether it is still whole."""
        line = self._line(frame_id)
        if line[_HERE] != frame_id + 1:
            line[_WANTED] = frame_id + 1
            self._fence()
            self._lines[_ASKED] = time.monotonic_ns()
            deadline_s = time.monotonic() + WAIT_S
            while line[_HERE] != frame_id + 1:
                is_lost = line[_ON_GPU] != self.generation or not holds(frame_id)
                if is_lost or time.monotonic() > deadline_s:
                    return False
                time.sleep(_POLL_S)
        self._fence()
        return True

    def close(self) -> None:
        """Release the memory."""
        self._slots = None
        for line in self._slot_lines:
            line.release()
        self._lines.release()

    def _line(self, frame_id: int) -> memoryview:
        return self._slot_lines[frame_id % len(self._slot_lines)]
