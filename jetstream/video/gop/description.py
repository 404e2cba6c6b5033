"""What a decoder must know of a stream before its packets, as it stands in the ring before each key frame.

Decodes nothing; knows no ring.
"""

from fractions import Fraction

import msgspec
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from jetstream.errors import GARBLED, RingError
from jetstream.video.cropping import WHOLE, Crop
from jetstream.video.geometry import Orientation
from jetstream.video.pixels import PixelAspect


class StreamDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the container says of its video."""

    codec: str  # FFmpeg's name of the decoder (`libdav1d`)
    standard: str  # and of what it decodes (`av1`)
    extradata: bytes  # the codec's own header, of many containers; empty: it is in the packets
    width: int  # px, as coded
    height: int
    live: bool
    shown: str  # the source in messages, without a password
    begun_ns: int  # CLOCK_MONOTONIC when it was opened: the first of its times
    fps: float | None  # nominal; None: not stated
    stated_aspect: tuple[int, int] | None = None  # width of a pixel to its height, by the container
    coded_aspect: tuple[int, int] | None = None  # the same by the codec, as long as its packets state nothing
    crop: Crop = WHOLE
    upright: Orientation = Orientation()
    colour_space: int = 2  # FFmpeg's AVColorSpace and AVColorRange; 2 and 0: not stated
    colour_range: int = 0

    def encoded(self) -> bytes:
        """As it stands in a packet."""
        return msgspec.msgpack.encode(self)

    def aspect(self, context: VideoCodecContext) -> Fraction | None:
        """As `PixelAspect`, from a decoder's context."""
        for stated in (self.stated_aspect, context.sample_aspect_ratio, self.coded_aspect):
            if stated:
                return Fraction(*stated) if isinstance(stated, tuple) else stated
        return None


def described(data: bytes) -> StreamDescription:
    """The description in a packet. Raises RingError: another version of jetstream wrote it."""
    try:
        return msgspec.msgpack.decode(data, type=StreamDescription)
    except GARBLED:
        raise RingError("damaged description of a stream in a packet ring; start the run again") from None


def describe(
    stream: VideoStream,
    *,
    crop: Crop,
    upright: Orientation,
    live: bool,
    shown: str,
    begun_ns: int,
) -> StreamDescription:
    """The description of an opened stream."""
    context = stream.codec_context
    return StreamDescription(
        codec=context.name,
        standard=context.codec.canonical_name,
        extradata=context.extradata or b"",
        width=context.width,
        height=context.height,
        live=live,
        shown=shown,
        begun_ns=begun_ns,
        fps=float(stream.average_rate or 0) or None,
        stated_aspect=_pair(PixelAspect(stream).stated),
        coded_aspect=_pair(context.sample_aspect_ratio),
        crop=crop,
        upright=upright,
        colour_space=int(context.colorspace),
        colour_range=int(context.color_range),
    )


def _pair(aspect: Fraction | None) -> tuple[int, int] | None:
    return (aspect.numerator, aspect.denominator) if aspect else None
