"""Videos made on the spot."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from jetstream.video.cropping import SEGMENT, TRACK, TRACKS, VIDEO
from jetstream.video.demo import scene
from tests.support.defaults import video_sink


def demo_clip(path: Path, *, frames: int) -> Path:
    """A video of the demo's scene, from where both people are in it."""
    sink = video_sink(path, fps=25, width=1280, height=720)
    for index in range(frames):
        sink.write(scene(index), index / 25)
    sink.close()
    return path


def part_of(video: Path, path: Path, *, first: int, end: int) -> Path:
    """Frames `first` to before `end` of a video, each of which starts a group of pictures; nothing is encoded again."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        begin = None
        for number, packet in enumerate(packet for packet in source.demux(stream) if packet.dts is not None):
            if number in (first, end):
                assert packet.is_keyframe
            if first <= number < end:
                begin = packet.dts if begin is None else begin
                packet.dts, packet.pts = packet.dts - begin, packet.pts - begin
                packet.stream = copy
                target.mux(packet)
    return path


def cropped_videos() -> Iterator[bytes]:
    """An MP4 with a clean aperture and a Matroska file with a crop, of headers alone."""

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), name) + content

    entry = box(
        b"avc1",
        bytes(24)
        + struct.pack(">2H", 160, 120)
        + bytes(50)
        + box(b"clap", struct.pack(">8i", 80, 1, 60, 1, 5, 1, 0, 1)),
    )
    table = box(b"stsd", struct.pack(">2I", 0, 1) + entry)
    for name in (b"stbl", b"minf", b"mdia"):
        table = box(name, table)
    yield box(b"moov", box(b"trak", box(b"tkhd", struct.pack(">4I", 0, 0, 0, 1)) + table))
    element = b"\x54\xcc\x81\x50"
    for name in (VIDEO, TRACK, TRACKS, SEGMENT):
        element = name + bytes((0x80 | len(element),)) + element
    yield element


def frames_of(path: Path, *, every: int = 1) -> list[NDArray[np.uint8]]:
    """One in `every` of a video's frames, (H, W, 3) uint8 BGR."""
    with av.open(str(path)) as container:
        frames = islice(container.decode(video=0), 0, None, every)
        return [frame.to_ndarray(format="bgr24") for frame in frames]


def clip_of(path: Path, images: Sequence[NDArray[np.uint8]], times_s: Iterable[float]) -> Path:
    """A video of pictures of one size, each at its own time."""
    height, width = images[0].shape[:2]
    with video_sink(path, fps=25, width=width, height=height) as sink:
        for image, time_s in zip(images, times_s, strict=False):
            sink.write(image, time_s)
    return path
