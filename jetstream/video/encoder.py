"""Pictures with their times to packets, by the encoder of H.264 or MPEG-4 that is installed.

Knows no file and no clock.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from jetstream.video.frames import Image

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

Preset = Literal["ultrafast", "superfast"]
"""of x264. 720p on one Zen 4 core, at equal quality: superfast 4.7 ms and 2.3 Mbit/s, ultrafast 3.1 ms and 3.7 Mbit/s,
veryfast 6.9 ms and 1.9 Mbit/s"""
ENCODERS: Final = {"h264": "libx264", "mpeg4": "mpeg4"}
CLOCK_HZ: Final = {"h264": 90_000, "mpeg4": 60_000}
"""ticks a second of frame times; MPEG-4 allows at most 65,535"""
# Without B-frames and look-ahead x264 holds back one picture, to rate it by how long it is shown; with force-cfr none.
X264: Mapping[Preset, Mapping[str, str]] = {
    "superfast": {"preset": "superfast", "crf": "23", "bf": "0", "rc-lookahead": "0"},
    "ultrafast": {"preset": "ultrafast", "crf": "23", "bf": "0", "rc-lookahead": "0", "x264-params": "force-cfr=1"},
}
MPEG4: Final = {"flags": "+qscale", "global_quality": str(5 * 118)}  # 118: FFmpeg's FF_QP2LAMBDA
# The colours of cv2's COLOR_BGR2YUV_I420, which is three times as fast as swscale: BT.601 at every size.
COLOURS: Final = {"colorspace": "smpte170m", "color_range": "tv"}


class PictureEncoder:
    """The encoder of a new stream of `output`, one for each output.

    codec            "h264" or "mpeg4", of `chosen_codec`
    preset           with "ultrafast" it gives the packet of each picture at once
    fps              nominal rate; pictures keep the times they are given
    width, height    px; an odd size gets a column or row more, a copy of the last
    key_every_s      longest time between two key frames, but for the time to the next picture
    threads          of the encoder

    Raises av.FFmpegError and OSError, here and later.
    """

    def __init__(
        self,
        output: "OutputContainer",
        codec: str,
        *,
        preset: Preset,
        fps: float,
        width: int,
        height: int,
        key_every_s: float,
        threads: int,
    ) -> None:
        self.width, self.height = width + width % 2, height + height % 2
        self._clock_hz, self._key_every_s = CLOCK_HZ[codec], key_every_s
        self._first_s: float | None = None
        self._last_tick = self._key_tick = 0
        options = {**(X264[preset] if codec == "h264" else MPEG4), **COLOURS}
        stream: Any = output.add_stream(ENCODERS[codec], rate=Fraction(fps).limit_denominator(1001), options=options)
        self._stream = stream
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, self._clock_hz)
        # Key frames are forced by time; this limit is for a stream whose times don't advance.
        stream.codec_context.gop_size = 600
        stream.codec_context.thread_count = threads
        stream.thread_type = "SLICE"  # frame threads would delay pictures

    def encode(self, image: Image, time_s: float) -> "tuple[list[Packet[Any]], bool]":
        """Encode a (H, W, 3) uint8 BGR picture of the encoder's size; the packets that are whole, and whether it is a
        key frame.

        It is shown from `time_s` on; the time of the first one becomes 0. One that doesn't increase becomes the next
        tick.
        """
        even = grown(image, self.width, self.height, 0, 0, cv2.BORDER_REPLICATE)
        i420 = cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(np.asarray(i420, np.uint8), "yuv420p")
        frame.time_base = Fraction(1, self._clock_hz)
        frame.pts, is_key = self._place(time_s)
        if is_key:
            frame.pict_type = PictureType.I
        return self._stream.encode(frame), is_key

    def finish(self) -> "list[Packet[Any]]":
        """What is left at the end."""
        return [] if self._first_s is None else self._stream.encode(None)

    def _place(self, time_s: float) -> tuple[int, bool]:
        """The tick of a picture, and whether it is a key frame."""
        if self._first_s is None:
            self._first_s = time_s
            return 0, True
        tick = max(round((time_s - self._first_s) * self._clock_hz), self._last_tick + 1)
        self._last_tick = tick
        is_key = tick - self._key_tick >= self._key_every_s * self._clock_hz
        if is_key:
            self._key_tick = tick
        return tick, is_key


def grown(image: Image, width: int, height: int, left: int, top: int, border: int) -> Image:
    """`image` at (left, top) px of a picture of the given size; `border` (cv2.BORDER_*) says how to fill the rest."""
    bottom, right = height - top - image.shape[0], width - left - image.shape[1]
    if not (left or top or bottom or right):
        return image
    return np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, border, value=(0, 0, 0)), np.uint8)


def chosen_codec(codec: str) -> str:
    """ "h264" or "mpeg4", for "auto" the first that this PyAV has. Raises ValueError if it has no encoder for it."""
    wanted = list(ENCODERS) if codec == "auto" else [codec]
    for name in wanted:
        if ENCODERS.get(name) in av.codecs_available:
            return name
    other = "" if codec == "auto" else "use codec auto, or "
    raise ValueError(f"no encoder for {' or '.join(wanted)} here; {other}install `av` as a wheel from PyPI")
