"""Opens a source by its name: camera, stream, GStreamer pipeline, video file, pictures, or the demo.

Decodes nothing itself and doesn't reconnect; `live` has the parts for that.
"""

import glob
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jetstream.errors import SourceError
from jetstream.video import gstreamer
from jetstream.video.camera import camera_of
from jetstream.video.demo import DemoSource
from jetstream.video.ffmpeg import OpenVideo, masked, open_camera, open_file, open_network
from jetstream.video.folder import FolderSource
from jetstream.video.frames import Frame, Source
from jetstream.video.images import SUFFIXES, list_images
from jetstream.video.stream import StreamSource

__all__ = ["Frame", "Source", "SourceProbe", "is_live", "kind_of", "open_source", "probe", "shown"]

NETWORK = ("rtsp", "rtsps", "http", "https")


class SourceProbe(NamedTuple):
    """Properties of a source, found by reading its first frame."""

    kind: str  # of `kind_of`
    width: int  # px of the first frame, after scaling
    height: int
    fps: float | None  # nominal; None: not stated
    frames: int | None  # in one pass; None: not stated, or endless
    live: bool
    described: str

    def __str__(self) -> str:
        size = f"{self.width}x{self.height}"
        return self.described if size in self.described else f"{self.described}, delivered as {size}"


def kind_of(spec: str) -> str:
    """ "camera", "network", "pipeline", "video", "images" or "demo", from the name and the file at it.

    Raises SourceError for a URL of an unknown scheme, and for a path that doesn't exist.
    """
    if spec == "demo":
        return "demo"
    if gstreamer.is_pipeline(spec):
        return "pipeline"
    if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", spec):
        if scheme[1].lower() in NETWORK:
            return "network"
        raise SourceError(f"{masked(spec)}: addresses start with {', '.join(NETWORK)}; for a file give its path")
    try:
        return _local_kind(spec)
    except (OSError, ValueError) as error:  # an impossible file name, or no permission
        raise SourceError(f"{spec[:100]!r}: {getattr(error, 'strerror', None) or error}; check the path") from None


def _local_kind(spec: str) -> str:
    if camera_of(spec):
        return "camera"
    path = Path(spec)
    if path.is_dir() or path.suffix.lower() in SUFFIXES or (glob.has_magic(spec) and not path.exists()):
        return "images"
    if not path.exists():
        raise SourceError(f"{spec}: no such file, folder or camera; check the path")
    return "video"


def is_live(spec: str, *, every_frame: bool = False) -> bool:
    """Whether it is a camera or a stream, which doesn't wait for its reader. Raises SourceError as `kind_of` does.

    A GStreamer pipeline counts as live unless `every_frame`, where it is read like a file.
    """
    kind = kind_of(spec)
    return kind in ("camera", "network") or (kind == "pipeline" and not every_frame)


def shown(spec: str) -> str:
    """A source for messages, with passwords masked."""
    if gstreamer.is_pipeline(spec):
        return gstreamer.shown(spec)
    return masked(spec) if "://" in spec else spec


def open_source(
    spec: str,
    *,
    max_width: int,
    max_height: int,
    open_timeout_s: float,
    read_timeout_s: float,
    image_fps: float,
    loop: bool,
    fps_limit: float = 0,
    decode_threads: int = 1,
    cuda_device: int | None = None,
    every_frame: bool = False,
) -> Source:
    """Open a source of frames. Use it in a `with`.

    spec                    camera index ("0"), /dev path or by-id name; rtsp(s):// or http(s):// URL; "gst: PIPELINE";
                            path of a video; folder or glob of pictures; "demo"
    max_width, max_height   px; larger frames are scaled down, keeping their aspect ratio
    open_timeout_s          time limit to open a camera, stream or pipeline
    read_timeout_s          time limit for the next frame of a camera, stream or pipeline
    image_fps               frame rate of pictures
    loop                    files, pictures and the demo start again at their end; times continue to increase
    fps_limit               largest number of frames a second, others are left out; 0: all frames
    decode_threads          more than 1 decode files faster, but then damaged files may differ from run to run
    cuda_device             GPU that decodes videos, streams and cameras (NVDEC), or they are refused; None: the CPU
    every_frame             see `is_live`

    Raises SourceError if the source is missing, not readable, of no known kind, or exceeds `open_timeout_s`. So does
    reading, for a live source also when it is lost or exceeds `read_timeout_s`.
    """
    kind = kind_of(spec)
    if kind == "demo":
        return DemoSource(max_width=max_width, max_height=max_height, fps_limit=fps_limit, loop=loop)
    if kind == "images":
        paths = pictures_of(spec)
        return FolderSource(
            spec,
            paths,
            image_fps=image_fps,
            max_width=max_width,
            max_height=max_height,
            fps_limit=fps_limit,
            loop=loop,
        )
    name = shown(spec)
    opener: Callable[..., OpenVideo]
    if kind == "pipeline":
        opener = partial(gstreamer.open_pipeline, spec, open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s)
    elif kind == "network":
        opener = partial(open_network, spec, open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s)
    elif camera := camera_of(spec):
        name = camera.shown
        opener = partial(open_camera, camera, max_width=max_width, max_height=max_height, open_timeout_s=open_timeout_s)
    else:
        opener = partial(open_file, Path(spec))
    if kind != "pipeline":
        opener = partial(opener, cuda_device=cuda_device)
    return StreamSource(
        opener,
        name,
        live=is_live(spec, every_frame=every_frame),
        max_width=max_width,
        max_height=max_height,
        read_timeout_s=read_timeout_s,
        decode_threads=decode_threads,
        fps_limit=fps_limit,
        loop=loop,
    )


def pictures_of(spec: str) -> list[Path]:
    """The pictures of a path, folder or glob, in natural order. Raises SourceError if there are none."""
    path = Path(spec)
    if path.suffix.lower() in SUFFIXES and not path.is_dir() and not (glob.has_magic(spec) and not path.exists()):
        if not path.exists():
            raise SourceError(f"{spec}: no such picture; check the path")
        return [path]
    found = list_images(spec)
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise SourceError(f"{spec}: no pictures here; name a folder or a pattern with pictures in it ({kinds})")
    return found


def probe(
    spec: str,
    *,
    max_width: int,
    max_height: int,
    open_timeout_s: float,
    read_timeout_s: float,
    image_fps: float,
    cuda_device: int | None = None,
) -> SourceProbe:
    """Open a source, read its first frame and close it. Parameters and errors as of `open_source`."""
    with open_source(
        spec,
        max_width=max_width,
        max_height=max_height,
        open_timeout_s=open_timeout_s,
        read_timeout_s=read_timeout_s,
        image_fps=image_fps,
        loop=False,
        cuda_device=cuda_device,
    ) as source:
        first = next(source, None)
        if first is None:
            raise SourceError(f"{source.describe()}: it ended before its first frame; check what it sends")
        height, width = first.image.shape[:2]
        kind = kind_of(spec)
        return SourceProbe(kind, width, height, source.fps, source.frames_expected, source.live, source.describe())
