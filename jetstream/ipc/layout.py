"""The memory layout of a frame ring's segment, and the check of its header.

Knows no process and copies no pixels.

In 64-bit words, lines of eight: the constants; the writer's two counters; the reader cells; three lines about a GPU
(`gpu_slots`); a line a slot (frame number, height, width, time, picture format; on_gpu, here and wanted of
`gpu_slots`). Then the slots, each beginning on a page.
"""

import mmap
from pathlib import Path
from typing import NamedTuple

from jetstream.errors import RingError
from jetstream.ipc.cells import CELL_WORDS, LINE_WORDS
from jetstream.ipc.gpu_slots import GPU_WORDS
from jetstream.picture_format import nv12_bytes

MAGIC = int.from_bytes(b"jetsring", "little")
VERSION = 3
PIXEL_BYTES = 3  # of BGR; NV12 takes half
GPU_ALIGNMENT = 256  # bytes

# Offsets in 64-bit words. The first line never changes, the second is the writer's.
BEGUN = LINE_WORDS
CURSOR = LINE_WORDS + 1
CELLS = 2 * LINE_WORDS
GPU = CELLS + CELL_WORDS
SLOTS = GPU + GPU_WORDS


class Layout(NamedTuple):
    """The sizes and offsets of one ring, in bytes. Slots begin on pages, so that the GPU can pin and upload them."""

    slots: int
    max_width: int
    max_height: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of the largest frame: any height and width with at most max_height x max_width pixels."""
        return self.max_height * self.max_width * PIXEL_BYTES

    @property
    def slot_bytes(self) -> int:
        return _whole_pages(self.frame_bytes)

    @property
    def gpu_slot_bytes(self) -> int:
        """Of the slots on a GPU, which hold NV12."""
        return -(-nv12_bytes(self.max_height, self.max_width) // GPU_ALIGNMENT) * GPU_ALIGNMENT

    @property
    def header_bytes(self) -> int:
        return _whole_pages((SLOTS + self.slots * LINE_WORDS) * 8)

    @property
    def total_bytes(self) -> int:
        return self.header_bytes + self.slots * self.slot_bytes

    @property
    def constants(self) -> tuple[int, ...]:
        """The header's first line."""
        sizes = self.slots, self.max_width, self.max_height, PIXEL_BYTES
        return (MAGIC, VERSION, *sizes, self.slot_bytes, self.total_bytes)


def checked_layout(path: Path, memory: memoryview) -> Layout:
    """The layout in the header of `memory`, which this releases.

    Raises RingError unless it is a complete ring of this version.
    """
    with memory:
        words = tuple(memory[: LINE_WORDS * 8].cast("Q")) if len(memory) >= LINE_WORDS * 8 else (0,)
        found_bytes = len(memory)
    if words[0] != MAGIC:
        raise RingError(f"{path}: not a frame ring; remove it or choose another name")
    if words[1] != VERSION:
        raise RingError(
            f"{path}: frame ring of layout version {words[1]}, expected {VERSION}; "
            "every process of a pipeline must run the same jetstream"
        )
    layout = Layout(words[2], words[3], words[4])
    if words != layout.constants or found_bytes != layout.total_bytes:
        raise RingError(
            f"{path}: damaged frame ring of {found_bytes} bytes, {words[7]} expected; stop the run and start it again"
        )
    return layout


def _whole_pages(n_bytes: int) -> int:
    return -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
