"""Videos made on the spot."""

from pathlib import Path

import av

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
