"""The decoder of one camera behind a small contract: packets of a ring in, pictures out, in the order in which they are
shown. FFmpeg's, in software or on a GPU.

Knows no ring and no thread. Every packet may make it raise, hang or end the process; its caller isolates that.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import NamedTuple, Protocol, cast

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from jetstream.errors import SourceError
from jetstream.picture_format import PicturePlace
from jetstream.video import nvdec
from jetstream.video.frames import SourceSettings
from jetstream.video.gop.description import StreamDescription
from jetstream.video.gop.ring import KEY, NO_TIME, GopPacket
from jetstream.video.pixels import FrameConverter

NANOSECOND = Fraction(1, 10**9)
MOST_DAMAGED = 64
"""packets in a row without a picture after which a GPU's decoder is said not to decode the stream"""


class DecodedPicture(NamedTuple):
    """A picture that isn't converted yet. A later one may be converted before it."""

    pts_ns: int | None  # as of its packet; None: not stated
    # (H, W, 3) uint8 BGR, or if asked for NV12, also on the GPU; None: damaged
    picture: Callable[[], PicturePlace | None]


class GopDecoder(Protocol):
    """Decodes the packets of one stream, from a key frame on. `damaged`: packets and pictures left out so far."""

    damaged: int

    def decode(self, packet: GopPacket) -> list[DecodedPicture]:
        """The pictures that this packet completes; none for a damaged one. Raises SourceError: it can't go on."""

    def finish(self) -> list[DecodedPicture]:
        """The pictures that it holds back. After that it begins anew, at a key frame."""

    def close(self) -> None:
        """Release the decoder; its pictures stay."""


class LibavDecoder:
    """FFmpeg's decoder of the described stream. `cuda_device`: the GPU that decodes; None: the CPU. `nv12`: gives
    planes instead of BGR, of frames that need no other change; `on_gpu`: leaves those on the GPU.

    Raises SourceError where there is no such decoder, or the GPU doesn't decode the codec.
    """

    def __init__(
        self,
        description: StreamDescription,
        settings: SourceSettings,
        cuda_device: int | None,
        *,
        nv12: bool,
        on_gpu: bool = False,
    ) -> None:
        self._description, self._nv12 = description, nv12
        self.damaged = self._damaged_in_a_row = 0
        self._context = _opened(description, cuda_device, on_gpu=on_gpu)
        self._convert = FrameConverter(settings)
        self._convert.crop, self._convert.upright = description.crop, description.upright

    def decode(self, packet: GopPacket) -> list[DecodedPicture]:
        """As `GopDecoder.decode`."""
        # not `Packet(data)`, which has no room behind the data, where FFmpeg may read
        given = cast("Packet[VideoStream]", Packet(len(packet.data)))
        given.update(packet.data)
        given.time_base = NANOSECOND
        given.pts = None if packet.pts_ns == NO_TIME else packet.pts_ns
        given.dts = None if packet.dts_ns == NO_TIME else packet.dts_ns
        given.is_keyframe = bool(packet.flags & KEY)
        return self._decoded(given)

    def finish(self) -> list[DecodedPicture]:
        """As `GopDecoder.finish`."""
        pictures = self._decoded(None)
        self._context.flush_buffers()
        return pictures

    def close(self) -> None:
        """As `GopDecoder.close`."""
        del self._context

    def _decoded(self, packet: "Packet[VideoStream] | None") -> list[DecodedPicture]:
        try:
            frames = self._context.decode(packet)
        except av.error.EOFError:  # flushed twice
            return []
        except av.FFmpegError:
            self._count_damage()
            return []
        return [self._seen(frame) for frame in frames if not self._is_damaged(frame)]

    def _seen(self, frame: av.VideoFrame) -> DecodedPicture:
        self._damaged_in_a_row = 0
        self._convert.see(frame, partial(self._description.aspect, self._context))
        return DecodedPicture(frame.pts, partial(self._converted, self._convert.conversion_of(frame, nv12=self._nv12)))

    def _is_damaged(self, frame: av.VideoFrame) -> bool:
        if frame.is_corrupt:
            self._count_damage()
        return bool(frame.is_corrupt)

    def _converted(self, conversion: Callable[[], PicturePlace]) -> PicturePlace | None:
        try:
            return conversion()
        except av.FFmpegError:
            self.damaged += 1
            return None

    def _count_damage(self) -> None:
        self.damaged += 1
        self._damaged_in_a_row += 1
        # NVDEC refuses each frame that it can't decode, so a stream would never give a frame
        if self._context.is_hwaccel and self._damaged_in_a_row > MOST_DAMAGED:
            raise SourceError(nvdec.unable(self._description.shown, f"this {self._description.codec}"))


def _opened(description: StreamDescription, cuda_device: int | None, *, on_gpu: bool) -> VideoCodecContext:
    shown, codec = description.shown, description.codec
    try:
        if cuda_device is None:
            context = cast("VideoCodecContext", av.CodecContext.create(codec, "r"))
        else:
            codec = description.standard  # FFmpeg's own decoder, of which NVDEC is a part
            with nvdec.shared_decoder(cuda_device, shown, on_gpu=on_gpu) as hwaccel:
                context = cast("VideoCodecContext", av.CodecContext.create(codec, "r", hwaccel))
    except (av.FFmpegError, ValueError, RuntimeError) as error:
        raise SourceError(f"{shown}: a decoder of {codec} can't be opened ({error})") from None
    if cuda_device is not None and not context.is_hwaccel:
        raise SourceError(nvdec.unable(shown, codec))
    context.extradata = description.extradata or None
    context.width, context.height = description.width, description.height
    context.colorspace, context.color_range = description.colour_space, description.colour_range
    # With frame threads, damaged streams decode differently from run to run, and pictures come late.
    context.thread_type, context.thread_count = "SLICE", 1
    return context
