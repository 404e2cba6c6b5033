"""Opens a source by its name: camera, stream, GStreamer pipeline, video file, pictures, or the demo.

Decodes nothing itself and doesn't reconnect; `live` has the parts for that.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jetstream.errors import SourceError
from jetstream.video import demo_film
from jetstream.video.address import cleaned, is_live, kind_of, may_be_film, shown
from jetstream.video.camera import camera_of
from jetstream.video.frames import Frame, Source, SourceSettings, fitted
from jetstream.video.geometry import mounted
from jetstream.video.picture_files import pictures_of

if TYPE_CHECKING:
    from jetstream.video.stream import Opener

__all__ = ["Frame", "Source", "SourceProbe", "SourceSettings", "open_source", "probe"]


class SourceProbe(NamedTuple):
    """Properties of a source, found by reading its first frame."""

    kind: str  # of `kind_of`
    width: int  # px of the first frame, upright, with square pixels, after scaling
    height: int
    fps: float | None  # nominal; None: not stated
    frames: int | None  # in one pass; None: not stated, or endless
    live: bool
    described: str

    def __str__(self) -> str:
        size = f"{self.width}x{self.height}"
        return self.described if size in self.described else f"{self.described}, delivered as {size}"


def open_source(
    spec: str,
    settings: SourceSettings,
    *,
    loop: bool,
    fps_limit: float = 0,
    decode_threads: int = 1,
    cuda_device: int | None = None,
    every_frame: bool = False,
) -> Source:
    """Open a source of frames. Use it in a `with`. What reads it is loaded only here: a demo needs no FFmpeg.

    spec            camera index ("0"), /dev path or by-id name; rtsp(s):// or http(s):// URL; "gst: PIPELINE"; path of
                    a video; folder or glob of pictures; "demo"
    loop            files, pictures and the demo start again at their end; times continue to increase
    fps_limit       largest number of frames a second, others are left out; 0: all frames
    decode_threads  more than 1 decode files faster, but then damaged files may differ from run to run
    cuda_device     GPU that decodes videos, streams and cameras (NVDEC), or they are refused; None: the CPU
    every_frame     see `is_live`

    Raises SourceError if the source is missing, not readable, of no known kind, or exceeds its time limit to open. So
    does reading, for a live source also when it is lost or exceeds its time limit to read.
    """
    spec = cleaned(spec)
    kind = kind_of(spec)
    if kind == "demo":
        from jetstream.video.demo import DemoSource

        return DemoSource(settings, fps_limit=fps_limit, loop=loop)
    if kind == "images":
        from jetstream.video.folder import FolderSource

        return FolderSource(spec, pictures_of(spec), settings, fps_limit=fps_limit, loop=loop)
    if kind == "animation":
        from jetstream.video.animation import AnimationSource

        return AnimationSource(Path(spec), settings, fps_limit=fps_limit, loop=loop)
    if may_be_film(spec):
        from jetstream.video.web_source import open_web

        return open_web(
            spec, settings, loop=loop, fps_limit=fps_limit, decode_threads=decode_threads, cuda_device=cuda_device
        )
    from jetstream.video.stream import StreamSource

    camera = camera_of(spec) if kind == "camera" else None
    return StreamSource(
        _opener(spec, kind, settings, cuda_device),
        camera.shown if camera else shown(spec),
        settings,
        live=is_live(spec, every_frame=every_frame),
        decode_threads=decode_threads,
        fps_limit=fps_limit,
        loop=loop,
    )


def _opener(spec: str, kind: str, settings: SourceSettings, cuda_device: int | None) -> "Opener":
    if kind == "pipeline":
        from jetstream.video.gstreamer import open_pipeline

        return partial(open_pipeline, spec, settings)
    from jetstream.video import ffmpeg

    if kind == "network":
        return partial(ffmpeg.open_network, spec, settings, cuda_device=cuda_device)
    if camera := camera_of(spec):
        return partial(ffmpeg.open_camera, camera, settings, cuda_device=cuda_device)
    return partial(ffmpeg.open_file, Path(spec), cuda_device=cuda_device)


def probe(spec: str, settings: SourceSettings, *, cuda_device: int | None = None) -> SourceProbe:
    """Open a source, read its first frame and close it. Parameters and errors as of `open_source`."""
    kind = kind_of(spec)
    if kind == "demo":  # known without drawing it
        demo_film.check()
        shown_size = mounted(settings).size(demo_film.WIDTH, demo_film.HEIGHT)
        size = fitted(*shown_size, settings.max_width, settings.max_height)
        return SourceProbe(kind, *size, demo_film.FPS, demo_film.FRAMES, live=False, described=demo_film.DESCRIBED)
    with open_source(spec, settings, loop=False, cuda_device=cuda_device) as source:
        first = next(source, None)
        if first is None:
            raise SourceError(f"{source.describe()}: it ended before its first frame; check what it sends")
        height, width = first.image.shape[:2]
        return SourceProbe(kind, width, height, source.fps, source.frames_expected, source.live, source.describe())
