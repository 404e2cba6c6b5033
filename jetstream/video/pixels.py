"""Decoded frames to BGR arrays: upright, with square pixels and correct colours, scaled down to a limit.

Knows no file and no time. One conversion does size, shape and colours together. A frame that needs neither size nor
shape can be had as NV12, without a conversion.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import partial

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from jetstream.picture_format import GpuPicture, Nv12Picture, PictureFormat, PicturePlace
from jetstream.video.cropping import WHOLE, Crop
from jetstream.video.frames import Image, SourceSettings, fitted
from jetstream.video.geometry import Orientation, mounted, squared

MATRICES = {1: "ITU709", 9: "ITU709", 10: "ITU709"}
"""swscale's name of FFmpeg's AVColorSpace: BT.709, and BT.2020, of which BT.709 is the nearest that every PyAV knows.
Frames of another colour space, or of none, are read as BT.601, as OpenCV does."""
PLANES = ("yuv420p", "yuvj420p", "nv12")
"""FFmpeg's pixel formats of 8 bits with Cb and Cr of 2 x 2 pixels: NV12 but for the order of the bytes"""
ON_GPU = "cuda"
"""FFmpeg's pixel format of frames on a GPU"""
FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
# Otherwise swscale starts a thread a core for each source. PyAV before 17 starts none and has no such argument.
ONE_THREAD = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class PixelAspect:
    """The width of a stream's pixels relative to their height: its container's word, else its codec's at the moment.

    This is FFmpeg's order (av_guess_sample_aspect_ratio). Called, it returns None where neither states it.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        guessed, coded = stream.sample_aspect_ratio, self._context.sample_aspect_ratio
        # Equal ones may both be the codec's, which can change; PyAV doesn't show the container's alone.
        self._stated = guessed if guessed != coded else None

    @property
    def stated(self) -> Fraction | None:
        """The container's word alone."""
        return self._stated

    def __call__(self) -> Fraction | None:
        return self._stated or self._context.sample_aspect_ratio


class FrameConverter:
    """A callable for the decoded frames of one stream, whose size, shape and orientation may change at key frames.

    `crop`: what its container leaves out of each frame, in px of the decoded one. `upright`: the orientation of frames
    that state none themselves.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._limits = (settings.max_width, settings.max_height)
        self._mounted = mounted(settings)
        self.crop = WHOLE
        self.upright = Orientation()
        self._reformatter = VideoReformatter()  # kept because it caches swscale's tables
        self._shape = (0, 0)
        self._size = (0, 0)
        self._part: tuple[slice, slice] | None = None  # rows and columns of the scaled frame; None: all
        self._rotation = 0
        self._turn = self._mounted

    def see(self, frame: av.VideoFrame, aspect: Callable[[], Fraction | None]) -> None:
        """Take notice of each frame in its order, also of those that aren't converted: a change comes with one frame.

        An orientation in the codec's own data comes with a key frame and holds until the next one.
        """
        rotation = rotation_of(frame)
        if frame.key_frame or (frame.width, frame.height) != self._shape or rotation not in (0, self._rotation):
            self._look_at(frame, rotation, aspect())

    def __call__(self, frame: av.VideoFrame) -> Image:
        """The frame seen last, (H, W, 3) uint8 BGR. Raises av.FFmpegError for a format that swscale can't convert."""
        return self._converted(frame, self._size, self._part, self._turn)

    def conversion_of(self, frame: av.VideoFrame, *, nv12: bool = False) -> Callable[[], PicturePlace]:
        """What converts the frame seen last, also when later ones, of another shape, have been seen. With `nv12` it
        gives the frame's planes where it can (`planes`). Those of a frame on a GPU stay there; where they can't be
        given the frame is copied down and converted."""
        if nv12 and self._is_as_wanted(frame) and frame.format.name == ON_GPU and _is_nv12_on_gpu(frame):
            return partial(_planes_on_gpu, frame)
        if nv12 and self._is_whole(frame):
            return partial(_planes, frame)
        return partial(self._converted, frame, self._size, self._part, self._turn)

    def _converted(
        self, frame: av.VideoFrame, size: tuple[int, int], part: tuple[slice, slice] | None, turn: Orientation
    ) -> Image:
        width, height = size
        bgr = self._reformatter.reformat(
            frame,
            width,
            height,
            "bgr24",
            # Given by name: PyAV 14.0 accepts no numbers.
            src_colorspace=MATRICES.get(frame.colorspace, "ITU601"),  # type: ignore[arg-type]
            dst_colorspace="ITU601",  # type: ignore[arg-type]
            interpolation="AREA",
            **ONE_THREAD,
        )
        image = bgr.to_ndarray() if part is None else bgr.to_ndarray()[part]
        return turn.apply(np.ascontiguousarray(image, np.uint8))

    def planes(self, frame: av.VideoFrame) -> Nv12Picture | None:
        """The frame seen last as NV12, whose luma lies in the frame's own memory, in the colours that BGR would have.

        None where it is no such frame, or must be scaled, cut or turned.
        """
        return _planes(frame) if self._is_whole(frame) else None

    def _is_whole(self, frame: av.VideoFrame) -> bool:
        """Whether the frame seen last has planes that are the picture as it is wanted."""
        is_known = frame.format.name in PLANES and all(plane.line_size > 0 for plane in frame.planes)
        return self._is_as_wanted(frame) and is_known

    def _is_as_wanted(self, frame: av.VideoFrame) -> bool:
        """Whether the frame seen last has the wanted size and orientation."""
        return self._size == (frame.width, frame.height) and self._part is None and self._turn == Orientation()

    def _look_at(self, frame: av.VideoFrame, rotation: int, aspect: Fraction | None) -> None:
        self._rotation, self._shape = rotation, (frame.width, frame.height)
        stated = orientation_of(frame, rotation)
        self._turn = (self.upright if stated == Orientation() else stated).then(self._mounted)
        crop = self.crop if self.crop.fits(*self._shape) else WHOLE
        part = self._shape[0] - crop.left - crop.right, self._shape[1] - crop.top - crop.bottom
        shown = self._turn.size(*squared(*part, aspect))
        self._size, self._part = self._turn.size(*fitted(*shown, *self._limits)), None
        if crop != WHOLE:
            self._take_part(crop, part)

    def _take_part(self, crop: Crop, part: tuple[int, int]) -> None:
        """Have the whole frame scaled so that `part` of it, (width, height) px, gets the size that was decided."""
        (width, height), wanted = self._shape, self._size
        across, down = wanted[0] / part[0], wanted[1] / part[1]
        self._size = max(wanted[0], round(width * across)), max(wanted[1], round(height * down))
        left = min(round(crop.left * across), self._size[0] - wanted[0])
        top = min(round(crop.top * down), self._size[1] - wanted[1])
        self._part = slice(top, top + wanted[1]), slice(left, left + wanted[0])


def nv12_format(frame: av.VideoFrame) -> PictureFormat:
    """Matrix and range of a frame as swscale is told them."""
    full = frame.format.name == "yuvj420p" or frame.color_range == FULL_RANGE
    if MATRICES.get(frame.colorspace) == "ITU709":
        return PictureFormat.NV12_709_FULL if full else PictureFormat.NV12_709
    return PictureFormat.NV12_601_FULL if full else PictureFormat.NV12_601


def _planes(frame: av.VideoFrame) -> Nv12Picture:
    luma, *others = (np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes)
    rows, columns = (frame.height + 1) // 2, (frame.width + 1) // 2
    if len(others) == 1:
        chroma = others[0][:rows, : 2 * columns].reshape(rows, columns, 2)
    else:
        chroma = np.asarray(cv2.merge([plane[:rows, :columns] for plane in others]), np.uint8)
    return Nv12Picture(luma[: frame.height, : frame.width], chroma, nv12_format(frame))


def _is_nv12_on_gpu(frame: av.VideoFrame) -> bool:
    """Whether a frame on a GPU is NV12, and not of more bits or colours."""
    if hasattr(frame, "sw_format"):  # PyAV 18
        return frame.sw_format is not None and frame.sw_format.name == "nv12"
    pitches = [plane.line_size for plane in frame.planes]
    return len(pitches) == 2 and pitches[0] == pitches[1] < 2 * frame.width  # of 16 bits it is twice the width or more


def _planes_on_gpu(frame: av.VideoFrame) -> GpuPicture:
    luma, chroma = frame.planes
    return GpuPicture(
        (frame.height, frame.width),
        luma.buffer_ptr,
        chroma.buffer_ptr,
        luma.line_size,
        chroma.line_size,
        nv12_format(frame),
        kept=frame,
    )


def rotation_of(frame: av.VideoFrame) -> int:
    """Degrees anticlockwise of the frame's display matrix; 0 also if it has none. Cheaper than the matrix."""
    return int(getattr(frame, "rotation", 0))  # PyAV 14 has none


def orientation_of(frame: av.VideoFrame, rotation: int) -> Orientation:
    """The frame's orientation by its display matrix; upright if it has none."""
    # Made here: `frame.side_data` would keep it in the frame, a reference cycle that holds the pixels.
    found = SideDataContainer.__new__(SideDataContainer)
    with suppress(ValueError):  # a kind of data that PyAV doesn't know, such as EXIF; what comes before it is there
        found.__init__(frame)  # type: ignore[misc]
    matrix = found.get("DISPLAYMATRIX")
    if matrix is not None and len(bytes(matrix)) >= 36:
        a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
        return Orientation.of_matrix(a, b, c, d)
    radians = np.radians(-rotation)
    cos, sin = round(float(np.cos(radians))), round(float(np.sin(radians)))
    return Orientation.of_matrix(cos, sin, -sin, cos)
