"""A frame as rings accept it and return it: its check, its bytes in a slot, its copy, and a view of it in place.

Knows nothing of a ring's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jetstream.picture_format import AnyPicture, GpuPicture, Nv12Picture, PictureFormat, PicturePlace, bgr_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FrameShape(NamedTuple):
    """What a slot's header says of its frame's picture."""

    size: tuple[int, int]  # height and width, px
    format: PictureFormat


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
    picture: AnyPicture  # (H, W, 3) uint8 BGR, or NV12; read-only
    holder: FrameHolder

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR: the picture itself, or a copy, converted at each call."""
        return bgr_of(self.picture)

    def still_valid(self) -> bool:
        """False when the writer has begun to overwrite the frame; results computed from it must be discarded."""
        return self.holder.holds(self.frame_id)


@dataclass(frozen=True)
class GpuFrameView:
    """A frame in a ring's memory on a GPU. As of `FrameView`, results are valid only if `still_valid()` is true after
    the GPU has computed them."""

    frame_id: int
    picture: GpuPicture
    holder: FrameHolder

    def still_valid(self) -> bool:
        """As `FrameView.still_valid`."""
        return self.holder.holds(self.frame_id)


def check_picture(picture: PicturePlace) -> tuple[int, int]:
    """Height and width, px. Raises ValueError unless it is (H, W, 3) uint8, or NV12, with at least one pixel."""
    if isinstance(picture, GpuPicture):
        if min(picture.size) < 1:
            raise ValueError(f"frame of size {picture.size}: expected 1 x 1 px or more")
        return picture.size
    if isinstance(picture, Nv12Picture):
        luma, chroma = picture.luma, picture.chroma
        height, width = picture.shape
        whole = ((height + 1) // 2, (width + 1) // 2, 2)
        if luma.dtype != "uint8" or chroma.dtype != "uint8" or luma.size == 0 or chroma.shape != whole:
            raise ValueError(
                f"frame of shapes {luma.shape} {luma.dtype}, {chroma.shape} {chroma.dtype}: expected NV12, (H, W) and "
                "(ceil(H / 2), ceil(W / 2), 2) uint8"
            )
        return height, width
    if picture.dtype != "uint8" or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"frame of shape {picture.shape} {picture.dtype}: expected (H, W, 3) uint8 BGR")
    return picture.shape[0], picture.shape[1]


def picture_in(memory: NDArray[np.uint8], height: int, width: int, form: PictureFormat) -> AnyPicture:
    """A frame's picture at the start of (N,) uint8, without a copy: BGR, or Y of all rows, then Cb and Cr."""
    if form is PictureFormat.BGR:
        return memory[: height * width * 3].reshape(height, width, 3)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    luma, chroma = memory[: height * width], memory[height * width :][: rows * columns * 2]
    return Nv12Picture(luma.reshape(height, width), chroma.reshape(rows, columns, 2), form)


def put_picture(picture: AnyPicture, target: AnyPicture) -> None:
    """Copy a picture of any strides to `target`, of the same size and format."""
    if isinstance(target, Nv12Picture):
        assert isinstance(picture, Nv12Picture)
        target.luma[...], target.chroma[...] = picture.luma, picture.chroma
    else:
        assert not isinstance(picture, Nv12Picture)
        target[...] = picture


def read_only(picture: AnyPicture) -> AnyPicture:
    """The same, whose arrays are no longer writeable."""
    for plane in (picture.luma, picture.chroma) if isinstance(picture, Nv12Picture) else (picture,):
        plane.flags.writeable = False
    return picture


def copy_bgr(picture: AnyPicture, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The picture as (H, W, 3) uint8 BGR, in new memory or in that of `out`.

    Raises ValueError when `out` is too small, not uint8 or not contiguous.
    """
    import numpy as np  # processes that touch no pixel start without it

    height, width = picture.shape[:2]
    n_bytes = height * width * 3
    if out is None:
        out = np.empty(n_bytes, np.uint8)
    if out.dtype != np.uint8 or not out.flags.c_contiguous or out.size < n_bytes:
        raise ValueError(f"out of shape {out.shape} {out.dtype}: expected contiguous uint8 of {n_bytes} bytes or more")
    copy: NDArray[np.uint8] = out.reshape(-1)[:n_bytes].reshape(height, width, 3)
    if isinstance(picture, Nv12Picture):
        return picture.bgr(copy)
    np.copyto(copy, picture)
    return copy
