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
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from jetstream.ipc.cells import LINE_WORDS, Fence
from jetstream.picture_format import GpuMemory, GpuPicture

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


class GpuLines:
    """The ring's header as far as it is about a GPU, in `words`: GPU_WORDS words of 64 bits that start as zeros."""

    def __init__(self, words: memoryview, fence: Fence) -> None:
        self._words, self._fence = words, fence
        self._read: tuple[int, GpuMemory] | None = None  # the generation that was read last, and its memory

    @property
    def generation(self) -> int:
        """Of the memory that is shared now; 0: none, and never an odd number."""
        generation = self._words[_GENERATION]
        return 0 if generation % 2 else generation

    @property
    def asked_ns(self) -> int:
        """When a reader last asked for a frame, CLOCK_MONOTONIC."""
        return self._words[_ASKED]

    def share(self, memory: GpuMemory) -> None:
        """Step G1."""
        words = self._words
        words[_GENERATION] = changed = words[_GENERATION] | 1
        self._fence()
        words[_DEVICE] = memory.device
        words.cast("B")[_HANDLE] = memory.handle.ljust(HANDLE_BYTES, b"\0")
        self._fence()
        words[_GENERATION] = changed + 1

    def memory(self, generation: int, owner: str) -> GpuMemory | None:
        """Step G2; None: the memory of this generation is no longer shared."""
        words = self._words
        if words[_GENERATION] != generation:
            return None
        if self._read is None or self._read[0] != generation:
            self._fence()
            device, handle = words[_DEVICE], bytes(words.cast("B")[_HANDLE])
            self._fence()
            if words[_GENERATION] != generation:
                return None
            self._read = generation, GpuMemory(device, handle, owner)  # of one generation it is always the same
        return self._read[1]

    def ask(self) -> None:
        """The second half of step H2."""
        self._words[_ASKED] = time.monotonic_ns()

    def is_asked(self) -> bool:
        """Whether frames are copied at once (step H5)."""
        return time.monotonic_ns() - self._words[_ASKED] < KEEP_S * 1e9

    def close(self) -> None:
        """Release the memory."""
        self._words.release()


def is_true_soon(condition: Callable[[], bool], unless: Callable[[], bool]) -> bool:
    """Wait for a condition, at most WAIT_S and not `unless` it can't become true any more."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        if unless() or time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True
