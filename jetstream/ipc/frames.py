"""A frame as rings accept it and return it: its check, its copy, and a view of it in place.

Knows nothing of a ring's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FrameHolder(Protocol):
    """A ring that can say whether a frame is still as it was written."""

    def holds(self, frame_id: int) -> bool:
        """Whether nothing of the frame has been overwritten so far."""
        ...


@dataclass(frozen=True)
class FrameView:
    """A frame in the ring's own memory. Results computed from it are valid only if `still_valid()` is true afterwards;
    for a copy to the GPU, after the copy has completed."""

    frame_id: int
    image: NDArray[np.uint8]  # (H, W, 3) uint8 BGR, read-only
    holder: FrameHolder

    def still_valid(self) -> bool:
        """False when the writer has begun to overwrite the frame; results computed from it must be discarded."""
        return self.holder.holds(self.frame_id)


def check_image(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width, px. Raises ValueError unless `image` is (H, W, 3) uint8 with at least one pixel."""
    if image.dtype != "uint8" or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"frame of shape {image.shape} {image.dtype}: expected (H, W, 3) uint8 BGR")
    return image.shape[0], image.shape[1]


def copy_image(image: NDArray[np.uint8], out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """A copy of `image` with its shape, in new memory or in that of `out`.

    Raises ValueError when `out` is too small, not uint8 or not contiguous.
    """
    import numpy as np  # processes that touch no pixel start without it

    if out is None:
        out = np.empty(image.shape, np.uint8)
    if out.dtype != np.uint8 or not out.flags.c_contiguous or out.size < image.size:
        raise ValueError(
            f"out of shape {out.shape} {out.dtype}: expected contiguous uint8 of {image.size} bytes or more"
        )
    copy: NDArray[np.uint8] = out.reshape(-1)[: image.size].reshape(image.shape)
    np.copyto(copy, image)
    return copy
