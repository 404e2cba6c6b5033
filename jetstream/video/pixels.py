"""Decoded frames to BGR arrays: upright, with correct colours, scaled down to a limit.

Knows no file and no time. One conversion does size and colours together.
"""

import struct

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from jetstream.video.frames import Image, fitted

BT709 = 1
"""FFmpeg's AVCOL_SPC_BT709. Frames without a colour space are read as BT.601, as OpenCV does."""
# Otherwise swscale starts a thread a core for each source. PyAV before 17 starts none and has no such argument.
ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class Orientation:
    """How to transpose, then mirror a decoded picture so that it is upright; `display_matrix` as in FFmpeg, or None."""

    def __init__(self, display_matrix: bytes | None) -> None:
        self.transposed = self.mirror_x = self.mirror_y = False
        if display_matrix is not None and len(display_matrix) >= 36:
            # FFmpeg's av_display_matrix, native int32: pixel (x, y) is displayed at (a x + c y, b x + d y).
            a, b, _, c, d = struct.unpack_from("=5i", display_matrix)
            self.transposed = abs(b) + abs(c) > abs(a) + abs(d)
            self.mirror_x = (c if self.transposed else a) < 0
            self.mirror_y = (b if self.transposed else d) < 0

    def apply(self, image: Image) -> Image:
        if self.transposed:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.mirror_x or self.mirror_y:
            code = -1 if self.mirror_x and self.mirror_y else int(self.mirror_x)
            image = np.asarray(cv2.flip(image, code), np.uint8)
        return image


class FrameConverter:
    """A callable for the decoded frames of one stream, whose size may change."""

    def __init__(self, max_width: int, max_height: int) -> None:
        self._limits = (max_width, max_height)
        self._reformatter = VideoReformatter()  # kept because it caches swscale's tables
        self._shape = (0, 0)
        self._size = (0, 0)
        self._turn = Orientation(None)

    def __call__(self, frame: av.VideoFrame) -> Image:
        """(H, W, 3) uint8 BGR. Raises av.FFmpegError for a pixel format that swscale can't convert."""
        if (frame.width, frame.height) != self._shape:
            self._look_at(frame)
        width, height = self._size
        bgr = self._reformatter.reformat(
            frame,
            width,
            height,
            "bgr24",
            # Given by name: PyAV 14.0 accepts no numbers.
            src_colorspace="ITU709" if frame.colorspace == BT709 else "ITU601",  # type: ignore[arg-type]
            dst_colorspace="ITU601",  # type: ignore[arg-type]
            interpolation="AREA",
            **ONE_THREAD,
        )
        return self._turn.apply(np.ascontiguousarray(bgr.to_ndarray(), np.uint8))

    def _look_at(self, frame: av.VideoFrame) -> None:
        # Once for each size, not for each frame: reading side data makes a reference cycle that holds the frame.
        matrix = frame.side_data.get("DISPLAYMATRIX")
        self._turn = Orientation(None if matrix is None else bytes(matrix))  # type: ignore[call-overload]
        self._shape = (frame.width, frame.height)
        if self._turn.transposed:
            height, width = fitted(frame.height, frame.width, *self._limits)
            self._size = (width, height)
        else:
            self._size = fitted(*self._shape, *self._limits)
