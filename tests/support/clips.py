"""Videos made on the spot."""

from pathlib import Path

from jetstream.video.demo import scene
from tests.support.defaults import video_sink


def demo_clip(path: Path, *, frames: int) -> Path:
    """A video of the demo's scene, from where both people are in it."""
    sink = video_sink(path, fps=25, width=1280, height=720)
    for index in range(frames):
        sink.write(scene(index), index / 25)
    sink.close()
    return path
