"""A frame as rings take it and hand it out: its check, its copy, and a view of it in place.

Knows no ring's memory.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FrameHolder(Protocol):
    """What can say whether a frame is still as it was written."""

    def holds(self, frame_id: int) -> bool: ...


@dataclass(frozen=True)
class FrameView:
    """A frame where it lies. What was made of it counts only if `still_valid` afterwards (for a copy to the GPU: after
    waiting for the copy)."""

    frame_id: int
    image: NDArray[np.uint8]  # (H, W, 3) uint8 BGR, read-only
    holder: FrameHolder

    def still_valid(self) -> bool:
        """False when the writer has begun to overwrite the frame: drop what was made of it."""
        return self.holder.holds(self.frame_id)


def check_image(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width. Raises ValueError unless it is (H, W, 3) uint8 with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"frame of shape {image.shape} {image.dtype}: expected (H, W, 3) uint8 BGR")
    return image.shape[0], image.shape[1]


def copy_image(image: NDArray[np.uint8], out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """A copy in new memory, or in `out`'s. Raises ValueError when `out` is too small, not uint8 or not contiguous."""
    if out is None:
        out = np.empty(image.shape, np.uint8)
    if out.dtype != np.uint8 or not out.flags.c_contiguous or out.size < image.size:
        raise ValueError(
            f"out of shape {out.shape} {out.dtype}: expected contiguous uint8 of {image.size} bytes or more"
        )
    copy: NDArray[np.uint8] = out.reshape(-1)[: image.size].reshape(image.shape)
    np.copyto(copy, image)
    return copy
