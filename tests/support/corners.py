"""A picture whose corners say how it is turned, and videos of it."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from tests.support.defaults import open_source

COLOURS = {"R": (40, 40, 220), "G": (40, 200, 40), "B": (220, 60, 40), "W": (230, 230, 230)}
UPRIGHT = "RGBW"
"""upper left, upper right, lower left, lower right"""


def marked(width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8 BGR: a colour in each quarter."""
    image = np.zeros((height, width, 3), np.uint8)
    half_x, half_y = width // 2, height // 2
    image[:half_y, :half_x], image[:half_y, half_x:] = COLOURS["R"], COLOURS["G"]
    image[half_y:, :half_x], image[half_y:, half_x:] = COLOURS["B"], COLOURS["W"]
    return image


def corners(image: np.ndarray) -> str:
    """The colours of the quarters, as in UPRIGHT."""
    height, width = image.shape[:2]
    middles = [image[y * height // 4, x * width // 4].astype(int) for y in (1, 3) for x in (1, 3)]
    return "".join(min(COLOURS, key=lambda c: int(np.abs(middle - COLOURS[c]).sum())) for middle in middles)


def marked_video(
    path: Path,
    size: tuple[int, int] = (160, 120),
    *,
    aspect: Fraction | None = None,
    frames: int = 6,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    full_range: bool = False,
    options: dict[str, str] | None = None,
    sei: bytes = b"",
) -> Path:
    """A video of `marked`, a little noisy. `aspect`: sample aspect ratio; `sei`: an Annex B unit to put before each key
    frame."""
    values = "JPEG" if full_range else "MPEG"
    with av.open(
        str(path), "w", options={"fflags": "+bitexact"}
    ) as output:  # no random ids, whose bytes tests may find
        stream = output.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for index in range(frames):
            noise = np.random.default_rng(index).integers(0, 8, (size[1], size[0], 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(marked(*size) + noise, "bgr24")
            if pix_fmt.startswith("yuv"):
                frame = frame.reformat(format=pix_fmt, dst_colorspace="ITU601", dst_color_range=values)
            frame.pts = index
            output.mux([_with_unit(packet, sei) for packet in stream.encode(frame)])
        output.mux([_with_unit(packet, sei) for packet in stream.encode(None)])
    return path


def _with_unit(packet: av.Packet, sei: bytes) -> av.Packet:
    if not sei or not packet.is_keyframe:
        return packet
    copy = av.Packet(sei + bytes(packet))
    copy.stream, copy.time_base, copy.is_keyframe = packet.stream, packet.time_base, True
    copy.pts, copy.dts = packet.pts, packet.dts
    return copy


def filtered(source: Path, path: Path, bsf: str) -> Path:
    """The packets of a video through one of FFmpeg's bitstream filters."""
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        before = given.streams.video[0]
        after = output.add_stream_from_template(before)
        context = BitStreamFilterContext(bsf, before, after)
        for packet in given.demux(before):
            for made in context.filter(packet if packet.dts is not None else None):
                made.stream = after
                output.mux(made)
    return path


def joined(path: Path, parts: Sequence[Path]) -> Path:
    """Transport streams one after the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


Shown = tuple[str, int, int]  # corners, width, height


def shown(path: Path, **settings: object) -> list[Shown]:
    """What the frames of a source show, in order; each kind once."""
    with open_source(str(path), **settings) as source:  # type: ignore[arg-type]
        seen = [(corners(frame.image), frame.image.shape[1], frame.image.shape[0]) for frame in source]
        assert source.warning is None
    return [kind for kind, _ in groupby(seen)]
