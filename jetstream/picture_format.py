"""What the bytes of a picture are: BGR, or NV12 with a colour matrix and a range; and NV12 to BGR.

Knows no file and no ring. Of a GPU it knows what names a picture there, and reads none of its memory;
`gpu/kernels/common.cu` repeats the conversion, and the bits are the same.

NV12 has Y of each pixel, and Cb and Cr of each square of 2 x 2 pixels. With E' of 0..1, Kr and Kb of the matrix,

    E'Y = Kr E'R + (1 - Kr - Kb) E'G + Kb E'B,  E'Cb = (E'B - E'Y) / (2 - 2 Kb),  E'Cr = (E'R - E'Y) / (2 - 2 Kr)

(ITU-R BT.601-7, 2.5.1 and 2.5.2; BT.709-6, 3.2 and 3.3). In 8 bits Y = 219 E'Y + 16 and C = 224 E'C + 128 in the
limited range (BT.601-7, 2.5.3; BT.709-6, 3.4), 255 E'Y and 255 E'C + 128 in the full one (ITU-T H.273, 8.3). Solved for
255 E'R, 255 E'G and 255 E'B, each colour is

    (y * Y + cb * Cb + cr * Cr + offset) >> 10, cut to 0..255

with whole y, cb, cr and offset: 1024 times the exact ones, rounded. All four pixels of a square take its Cb and Cr, as
swscale does in yuv420p of even heights. swscale rounds each product down, so its colours are darker: by 1.2 on average
and 3 at most.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

if TYPE_CHECKING:  # processes that touch no pixel start without numpy
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

FRACTION_BITS = 10
_ROWS_AT_ONCE = 60  # of Cb and Cr in a conversion: what lies between its steps stays in the processor's cache


class PictureFormat(enum.IntEnum):
    """What the bytes are. The numbers stand in the headers of frame rings."""

    BGR = 0
    NV12_601 = 1  # BT.601, limited range
    NV12_601_FULL = 2
    NV12_709 = 3  # BT.709, limited range
    NV12_709_FULL = 4


_LUMA_SHARES = {  # Kr and Kb
    PictureFormat.NV12_601: (0.299, 0.114),
    PictureFormat.NV12_601_FULL: (0.299, 0.114),
    PictureFormat.NV12_709: (0.2126, 0.0722),
    PictureFormat.NV12_709_FULL: (0.2126, 0.0722),
}
_FULL = (PictureFormat.NV12_601_FULL, PictureFormat.NV12_709_FULL)


@dataclass(frozen=True, eq=False)
class Nv12Picture:
    """A picture as most decoders give it. Its rows, and its two planes, may lie apart."""

    luma: NDArray[np.uint8]  # (H, W)
    chroma: NDArray[np.uint8]  # (ceil(H / 2), ceil(W / 2), 2): Cb, Cr
    format: PictureFormat  # one of NV12

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.luma.shape[0], self.luma.shape[1]

    @property
    def nbytes(self) -> int:
        return self.luma.nbytes + self.chroma.nbytes

    def bgr(self, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR, in `out` if given, which is contiguous and has that shape."""
        import cv2
        import numpy as np

        height, width = self.shape
        if out is None:
            out = np.empty((height, width, 3), np.uint8)
        rows, columns = min(_ROWS_AT_ONCE, len(self.chroma)), self.chroma.shape[1]
        # small and used again and again: new memory would take longer than the conversion
        planes = [np.empty((rows, columns), np.uint8) for _ in (0, 1)]
        twice = [np.empty((rows, columns, 2), np.uint8) for _ in (0, 1)]
        merged = np.empty((rows, width, 3), np.uint8)
        for first in range(0, len(self.chroma), rows):
            few = self.chroma[first : first + rows]
            cv2.split(few, [plane[: len(few)] for plane in planes])
            for plane, pairs in zip(planes, twice, strict=True):
                cv2.merge([plane[: len(few)]] * 2, dst=pairs[: len(few)])  # each value twice in a row
            wide = [pairs.reshape(rows, -1)[:, :width] for pairs in twice]
            for parity in (0, 1):  # even and odd rows share Cb and Cr
                some = slice(2 * first + parity, 2 * (first + len(few)), 2)
                luma = self.luma[some]
                if len(luma):
                    _convert(luma, [plane[: len(luma)] for plane in wide], self.format, out[some], merged[: len(luma)])
        return out

    def part(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """Rows `top` to `bottom` and columns `left` to `right` of `bgr`."""
        even_top, even_left = top // 2 * 2, left // 2 * 2
        luma = self.luma[even_top:bottom, even_left:right]
        chroma = self.chroma[even_top // 2 : (bottom + 1) // 2, even_left // 2 : (right + 1) // 2]
        return Nv12Picture(luma, chroma, self.format).bgr()[top - even_top :, left - even_left :]

    def sampled(self, stride: int) -> NDArray[np.uint8]:
        """`bgr()[::stride, ::stride]` of an even stride, without converting the rest."""
        return sampled_bgr(self.luma[::stride, ::stride], self.chroma[:: stride // 2, :: stride // 2], self.format)


class GpuMemory(NamedTuple):
    """Memory on a GPU that its process shares with others."""

    device: int  # number of the GPU
    handle: bytes  # with which other processes on this machine open it
    owner: str  # what it is for; newer memory of one owner replaces the older


@dataclass(frozen=True, eq=False)
class GpuPicture:
    """NV12 in the memory of a GPU."""

    size: tuple[int, int]  # height and width, px
    luma: int  # address of the first row's first byte; of shared memory the offset in it
    chroma: int
    luma_pitch: int  # bytes from one row to the next
    chroma_pitch: int
    format: PictureFormat  # one of NV12
    memory: GpuMemory | None = None  # None: of this process
    kept: object = None  # what must live as long as the picture is used

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.size

    def rows(self, top: int, bottom: int) -> GpuPicture:
        """Some rows of it; `top` is even."""
        return replace(
            self,
            size=(bottom - top, self.size[1]),
            luma=self.luma + top * self.luma_pitch,
            chroma=self.chroma + top // 2 * self.chroma_pitch,
        )


AnyPicture: TypeAlias = Union["NDArray[np.uint8]", Nv12Picture]
"""(H, W, 3) uint8 BGR, or NV12."""
PicturePlace: TypeAlias = Union["NDArray[np.uint8]", Nv12Picture, GpuPicture]
"""A picture, or where it lies on a GPU."""


def packed(size: tuple[int, int], first: int, form: PictureFormat, memory: GpuMemory | None = None) -> GpuPicture:
    """A picture on a GPU without gaps, luma and then chroma, as a ring has it. `first`: as `GpuPicture.luma`."""
    height, width = size
    return GpuPicture(size, first, first + height * width, width, width + width % 2, form, memory)


def sampled_bgr(luma: NDArray[np.uint8], chroma: NDArray[np.uint8], form: PictureFormat) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR of samples that lie so far apart that each, (H, W), has Cb and Cr of its own, (H, W, 2)."""
    import numpy as np

    out = np.empty((*luma.shape, 3), np.uint8)
    planes = [np.ascontiguousarray(chroma[..., one]) for one in (0, 1)]
    _convert(np.ascontiguousarray(luma), planes, form, out, np.empty_like(out))
    return out


def is_nv12(picture: PicturePlace) -> bool:
    return isinstance(picture, (Nv12Picture, GpuPicture))


def nv12_bytes(rows: int, columns: int) -> int:
    """Y of each pixel, Cb and Cr of each 2 x 2 pixels."""
    return rows * columns + 2 * -(-rows // 2) * -(-columns // 2)


def format_of(picture: PicturePlace) -> PictureFormat:
    return picture.format if isinstance(picture, (Nv12Picture, GpuPicture)) else PictureFormat.BGR


def bgr_of(picture: PicturePlace) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: the picture itself, or NV12 converted. Raises TypeError for one that lies on a GPU."""
    if isinstance(picture, GpuPicture):
        raise TypeError("a picture on a GPU can't be read here")
    return picture.bgr() if isinstance(picture, Nv12Picture) else picture


def bgr_part(picture: AnyPicture, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
    """Some rows and columns of `bgr_of(picture)`."""
    if isinstance(picture, Nv12Picture):
        return picture.part(top, bottom, left, right)
    return picture[top:bottom, left:right]


@functools.cache
def to_bgr(form: PictureFormat) -> tuple[tuple[int, int, int, int], ...]:
    """y, cb, cr and offset of B, of G and of R for a format of NV12, as the module's formula has them."""
    red, blue = _LUMA_SHARES[form]
    green = 1 - red - blue
    black, luma_scale, chroma_scale = (0, 1.0, 1.0) if form in _FULL else (16, 255 / 219, 255 / 224)
    of_cb, of_cr = chroma_scale * (2 - 2 * blue), chroma_scale * (2 - 2 * red)
    colours = (of_cb, 0.0), (-of_cb * blue / green, -of_cr * red / green), (0.0, of_cr)
    y = _fixed(luma_scale)
    # a half is added so that the shift rounds
    return tuple(
        (y, _fixed(cb), _fixed(cr), _fixed(0.5) - y * black - (_fixed(cb) + _fixed(cr)) * 128) for cb, cr in colours
    )


def _fixed(value: float) -> int:
    return round(value * (1 << FRACTION_BITS))


@functools.cache
def _matrix(form: PictureFormat) -> NDArray[np.float32]:
    """(3, 4) float32 with which cv2.transform computes the formula: of bytes it takes whole 1024ths, adds a half to the
    offset itself, and shifts the sum."""
    import numpy as np

    matrix = np.array(to_bgr(form), np.float64) / 2**FRACTION_BITS
    return np.asarray(matrix - (0, 0, 0, 0.5), np.float32)


def _convert(
    luma: NDArray[np.uint8],
    chroma: Sequence[NDArray[np.uint8]],
    form: PictureFormat,
    out: NDArray[np.uint8],
    merged: NDArray[np.uint8],
) -> None:
    """Fill `out`, (H, W, 3) BGR, from Y, Cb and Cr of each pixel, (H, W). `merged`: memory of the same shape."""
    import cv2

    cv2.merge([luma, *chroma], dst=merged)
    cv2.transform(merged, _matrix(form), dst=out)
