"""Pictures with their times to a video file that can be played even if the writer was killed.

Frames have the times they are written with; there is no fixed frame rate.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream

from jetstream import files
from jetstream.errors import SourceError
from jetstream.video.frames import Image

ENCODERS = {"h264": "libx264", "mpeg4": "mpeg4"}
CLOCK_HZ = {"h264": 90_000, "mpeg4": 60_000}
"""ticks a second of frame times; MPEG-4 allows at most 65,535"""
KEY_FRAME_EVERY_S = 1.0
"""also the loss when the writer is killed: a fragment is written at the next key frame"""
# 720p on one Zen 4 core, at equal quality: superfast 4.7 ms and 2.3 Mbit/s, veryfast 6.9 and 1.9, ultrafast 3.1, 3.7.
# No B-frames and no look-ahead, so that the encoder outputs each picture at once.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "h264": {"preset": "superfast", "crf": "23", "bf": "0", "rc-lookahead": "0"},
    "mpeg4": {"flags": "+qscale", "global_quality": str(5 * 118)},  # 118: FFmpeg's FF_QP2LAMBDA
}
# The colours of cv2's COLOR_BGR2YUV_I420, which is three times as fast as swscale: BT.601 at every size.
COLOURS = {"colorspace": "smpte170m", "color_range": "tv"}
CONTAINERS: Mapping[str, Mapping[str, str]] = {
    ".mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
    ".mkv": {"cluster_time_limit": str(int(KEY_FRAME_EVERY_S * 1000)), "flush_packets": "1"},
}


class VideoSink:
    """One video file, fragmented MP4 or Matroska by its suffix. A context manager.

    width, height    px of the pictures; an odd size gets a column or row more, a copy of the last
    fps              nominal rate for the encoder; frames keep the times they are written with
    codec            "h264" (libx264), "mpeg4", or "auto": the first of these that is installed, see `codec_name`
    encoder_threads  of the encoder
    durable          sync to disk about every second, so that a power failure loses no more than a kill

    The file is readable by its owner only. An existing one is overwritten, but never through a link. Raises SourceError
    if it can't be written, at opening or later; after that only `close` may be called.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float,
        width: int,
        height: int,
        codec: str,
        encoder_threads: int = 1,
        durable: bool = False,
    ) -> None:
        self._path = Path(path)
        self.codec_name = chosen_codec(codec, self._path)
        self.width, self.height = width + width % 2, height + height % 2
        self._clock_hz, self._durable = CLOCK_HZ[self.codec_name], durable
        self._first_s: float | None = None
        self._last_tick = self._key_tick = 0
        self._descriptor = create_private(self._path)
        try:
            self._container = av.open(f"file:{self._path}", "w", container_options=dict(container_options(self._path)))
            self._stream = self._add_stream(fps, encoder_threads)
        except (av.FFmpegError, OSError) as error:
            os.close(self._descriptor)
            raise self._trouble(error) from None

    def write(self, image: Image, time_s: float) -> None:
        """Append a (H, W, 3) uint8 BGR picture that is shown from `time_s` on; the time of the first one becomes 0.

        A picture of another size is scaled to fit, with black bars. A time that doesn't increase becomes the next tick.
        """
        i420 = cv2.cvtColor(self._fitted(image), cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(np.asarray(i420, np.uint8), "yuv420p")
        frame.time_base = Fraction(1, self._clock_hz)
        frame.pts, is_key = self._place(time_s)
        if is_key:
            frame.pict_type = PictureType.I
        try:
            self._container.mux(self._stream.encode(frame))
            if is_key and self._durable:
                os.fdatasync(self._descriptor)
        except (av.FFmpegError, OSError) as error:
            raise self._trouble(error) from None

    def close(self) -> None:
        """Write the rest and finish the file; may be called again. Raises SourceError if the disk is full."""
        if self._descriptor < 0:
            return
        try:
            if self._first_s is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            with suppress(av.FFmpegError, OSError):
                self._container.close()
            raise self._trouble(error) from None
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "VideoSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add_stream(self, fps: float, threads: int) -> VideoStream:
        stream = self._container.add_stream(
            ENCODERS[self.codec_name],
            rate=Fraction(fps).limit_denominator(1001),
            options={**OPTIONS[self.codec_name], **COLOURS},
        )
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, self._clock_hz)
        # Key frames are forced by time; this limit is for a stream whose times don't advance.
        stream.codec_context.gop_size = 600
        stream.codec_context.thread_count = threads
        stream.thread_type = "SLICE"  # frame threads would delay pictures
        return stream

    def _place(self, time_s: float) -> tuple[int, bool]:
        """The tick of a picture, and whether it is a key frame."""
        if self._first_s is None:
            self._first_s = time_s
            return 0, True
        tick = max(round((time_s - self._first_s) * self._clock_hz), self._last_tick + 1)
        self._last_tick = tick
        is_key = tick - self._key_tick >= KEY_FRAME_EVERY_S * self._clock_hz
        if is_key:
            self._key_tick = tick
        return tick, is_key

    def _fitted(self, image: Image) -> Image:
        height, width = image.shape[:2]
        if (width + width % 2, height + height % 2) == (self.width, self.height):
            return grown(image, self.width, self.height, 0, 0, cv2.BORDER_REPLICATE)
        scale = min(self.width / width, self.height / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
        left, top = (self.width - size[0]) // 2, (self.height - size[1]) // 2
        return grown(image, self.width, self.height, left, top, cv2.BORDER_CONSTANT)

    def _trouble(self, error: Exception) -> SourceError:
        reason = getattr(error, "strerror", None) or str(error)
        return SourceError(f"{self._path}: the video can't be written ({reason}); check the disk and the folder")


def grown(image: Image, width: int, height: int, left: int, top: int, border: int) -> Image:
    """`image` at (left, top) px of a picture of the given size; `border` (cv2.BORDER_*) says how to fill the rest."""
    bottom, right = height - top - image.shape[0], width - left - image.shape[1]
    if not (left or top or bottom or right):
        return image
    return np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, border, value=(0, 0, 0)), np.uint8)


def chosen_codec(codec: str, path: Path) -> str:
    """ "h264" or "mpeg4". Raises SourceError if this PyAV has no encoder for it, or for "auto" none at all."""
    wanted = list(ENCODERS) if codec == "auto" else [codec]
    for name in wanted:
        if ENCODERS.get(name) in av.codecs_available:
            return name
    raise SourceError(f"{path}: no encoder for {codec} here; use codec auto, or install `av` as a wheel from PyPI")


def container_options(path: Path) -> Mapping[str, str]:
    """FFmpeg options for the container. Raises SourceError if the suffix is neither .mp4 nor .mkv."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        raise SourceError(f"{path}: a video's name ends in {' or '.join(CONTAINERS)}; change the name") from None


def create_private(path: Path) -> int:
    """The descriptor of an empty file that only its owner can read. Raises SourceError if it can't be created."""
    container_options(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            files.keep_private(descriptor, path)  # an existing file may be readable by others
        return descriptor
    except OSError as error:
        raise SourceError(f"{path}: can't be written ({error.strerror}); name a folder that can be written") from None
