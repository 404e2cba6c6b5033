"""Opens a video file, a stream or a camera with FFmpeg (PyAV) within a time limit, or says why it can't be opened.

Decodes nothing. No message contains a password of an address.
"""

import errno
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from jetstream.errors import SourceError
from jetstream.masking import masked_source
from jetstream.video import nvdec, rtsp
from jetstream.video.camera import FORMAT, CaptureDevice, descriptors, refuse_missing, ways_to_open
from jetstream.video.cropping import WHOLE, Crop, crop_of
from jetstream.video.file_kinds import UNKNOWN
from jetstream.video.frames import SourceSettings
from jetstream.video.geometry import mounted
from jetstream.video.motion_jpeg import is_motion_jpeg
from jetstream.video.picture_files import SUFFIXES, why_no_picture
from jetstream.video.troubles import NO_VIDEO, camera_trouble, file_trouble, network_trouble

T = TypeVar("T")

GRACE_S = 1.0
"""time for FFmpeg to interrupt itself after its time-out, before its blocked thread is abandoned"""
TAGS = "replace"
"""A title in another encoding than UTF-8, as old AVI files have, must not keep the video from being read."""
NO_FILM = 0x400 | 0x800
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC, a cover picture, and AV_DISPOSITION_TIMED_THUMBNAILS"""


class WriterProcess(Protocol):
    """A program whose output a container reads. `failure`: why it stopped too early; None if it didn't."""

    @property
    def failure(self) -> SourceError | None: ...

    def close(self) -> None: ...


class OpenVideo(NamedTuple):
    container: InputContainer
    stream: VideoStream
    descriptor: int | None = None  # file descriptor of a camera, to wait on
    cut_off: bool = False  # the file is shorter than its boxes say
    crop: Crop = WHOLE
    child: WriterProcess | None = None
    blame: Callable[[], None] = lambda: None  # to be called when it ends without a picture

    def refuse_failure(self) -> None:
        """Raises SourceError if the program that writes it failed."""
        if self.child is not None and self.child.failure is not None:
            raise self.child.failure

    def close(self) -> None:
        self.container.close()
        if self.child is not None:
            self.child.close()


def within(timeout_s: float, call: Callable[[], T]) -> T:
    """The result of `call()`, run in a thread. Raises TimeoutError after `timeout_s`; the blocked thread remains."""
    outcome: list[T | BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # handed to the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=run, name="open", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise TimeoutError
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def open_file(path: Path, *, cuda_device: int | None = None) -> OpenVideo:
    """Open a video file. Raises SourceError if `path` isn't one."""
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty; name a video")
        with nvdec.decoder(cuda_device, str(path)) as hwaccel:
            container = _open_path(path, hwaccel)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{path}: {file_trouble(error)}") from None
    if container.format.name == "tty":  # FFmpeg draws text files as pictures
        container.close()
        raise SourceError(f"{path}: {NO_VIDEO}")
    if _is_single_picture(container.format.name):  # of a format that `images` doesn't read
        container.close()
        raise SourceError(f"{path}: {why_no_picture(UNKNOWN)}")
    cut_off = "mp4" in container.format.name and boxes_exceed(path)
    stream = video_stream(container, str(path), cuda_device)
    crop = crop_of(path, container.format.name, stream.id, container.streams.video.index(stream))
    return OpenVideo(container, stream, cut_off=cut_off, crop=crop)


def _open_path(path: Path, hwaccel: HWAccel | None) -> InputContainer:
    if path.suffix.lower() not in SUFFIXES:
        # "file:" keeps FFmpeg from reading a name such as "http:1.mp4" as an address.
        container: InputContainer = av.open(f"file:{path}", hwaccel=hwaccel, metadata_errors=TAGS)
        return container
    with path.open("rb") as file:  # a video named like a picture: FFmpeg would go by the name
        name = "mjpeg" if is_motion_jpeg(file) else None
        container = av.open(f"file:/proc/self/fd/{file.fileno()}", format=name, hwaccel=hwaccel, metadata_errors=TAGS)
        return container


def _is_single_picture(format_name: str) -> bool:
    return format_name in ("image2", "ico") or (format_name.endswith("_pipe") and format_name != "jpeg_pipe")


def boxes_exceed(path: Path) -> bool:
    """Whether an MP4's last top-level box (ISO/IEC 14496-12, 4.2) ends beyond the file; fragments have no duration."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length < 8:  # 0: up to the end of the file; else it is damaged
                return False
            at += length
    return at > size


def open_network(
    url: str,
    settings: SourceSettings,
    *,
    cuda_device: int | None = None,
    options: Mapping[str, str] | None = None,
) -> OpenVideo:
    """Open a network stream or film, in the first way that its server takes. `options`: more of FFmpeg's. Raises
    SourceError if there is no answer in time, or the answer is no video."""
    limits_s = open_timeout_s, _ = settings.open_timeout_s, settings.read_timeout_s
    asked_s = time.monotonic()
    refused: Exception | None = None
    for way in rtsp.ways(url):
        left_s = open_timeout_s - (time.monotonic() - asked_s)
        if refused is not None and (left_s <= 0 or not is_of_its_way(refused)):
            break
        try:
            with nvdec.decoder(cuda_device, masked_source(url)) as hwaccel:
                # FFmpeg has a time-out of its own, but not for name resolution.
                container = within(
                    left_s + GRACE_S,
                    partial(_open_url, url, {**way, **(options or {})}, (left_s, limits_s[1]), hwaccel),
                )
        except (av.FFmpegError, TimeoutError) as error:
            refused = refused or error
            continue
        return OpenVideo(
            container, video_stream(container, masked_source(url), cuda_device), blame=rtsp.gave_no_picture(url)
        )
    # Without the cause: FFmpeg's error contains the whole URL.
    assert refused is not None
    late = time.monotonic() - asked_s >= open_timeout_s
    raise SourceError(f"{masked_source(url)}: {network_trouble(refused, open_timeout_s, late=late)}") from None


def _open_url(
    url: str, options: Mapping[str, str], limits_s: tuple[float, float], hwaccel: HWAccel | None
) -> InputContainer:
    container: InputContainer = av.open(url, container_options=dict(options), timeout=limits_s, hwaccel=hwaccel)
    return container


def is_of_its_way(error: Exception) -> bool:
    """Whether a server that answers so may take another transport; not after a time-out, nor where access is denied."""
    final = (ConnectionRefusedError, TimeoutError, av.error.ExitError, av.error.HTTPUnauthorizedError)
    return not isinstance(error, (*final, av.error.HTTPForbiddenError, av.error.HTTPNotFoundError))


def open_camera(camera: CaptureDevice, settings: SourceSettings, *, cuda_device: int | None = None) -> OpenVideo:
    """Open a V4L2 camera. Raises SourceError if it is missing or in use, or gives no picture in time."""
    refuse_missing(camera)
    if FORMAT not in av.formats_available:
        raise SourceError(f"{camera.shown}: this PyAV has no V4L2; install `av` as a wheel from PyPI")
    before = descriptors(camera.path)
    try:
        with nvdec.decoder(cuda_device, camera.shown) as hwaccel:
            container = within(settings.open_timeout_s, lambda: _open_best(camera, settings, hwaccel))
    except (av.FFmpegError, TimeoutError) as error:
        raise SourceError(f"{camera.shown}: {camera_trouble(error, settings.open_timeout_s)}") from None
    new = sorted(descriptors(camera.path) - before)
    return OpenVideo(container, video_stream(container, camera.shown, cuda_device), new[0] if new else None)


def _open_best(camera: CaptureDevice, settings: SourceSettings, hwaccel: HWAccel | None) -> InputContainer:
    # the driver is asked for the size before the picture is turned
    *better, last = ways_to_open(*mounted(settings).size(settings.max_width, settings.max_height))
    for options in better:
        try:
            return _open_device(camera.path, options, hwaccel)
        except av.FFmpegError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENODEV, errno.ENOENT):
                raise
    return _open_device(camera.path, last, hwaccel)


def _open_device(path: Path, options: dict[str, str], hwaccel: HWAccel | None) -> InputContainer:
    # Not `options`: PyAV also gives those to the decoder, which would use the requested size instead of the real one.
    container: InputContainer = av.open(str(path), format=FORMAT, container_options=options, hwaccel=hwaccel)
    return container


def dispositions(stream: VideoStream) -> int:
    """FFmpeg's AV_DISPOSITION_* bits. PyAV has them as an int, 14.2 as an enum that is none, and 14.0 not at all."""
    found = getattr(stream, "disposition", 0)
    return int(getattr(found, "value", found))


def video_stream(container: InputContainer, shown: str, cuda_device: int | None = None) -> VideoStream:
    """The video stream that a player shows: the default one, else that of most frames and bits; no cover picture and no
    thumbnails. Raises SourceError, and closes, if there is none to decode."""
    moving = [one for one in container.streams.video if not dispositions(one) & NO_FILM]
    best = container.streams.best("video")
    moving.sort(key=lambda stream: (stream.codec_context is None, stream is not best))
    context = moving[0].codec_context if moving else None
    if context is not None and (cuda_device is None or context.is_hwaccel):
        return moving[0]
    container.close()
    if context is not None:
        raise SourceError(nvdec.unable(shown, context.name))
    if moving:
        raise SourceError(f"{shown}: its codec can't be decoded here; convert it to H.264")
    raise SourceError(f"{shown}: no video in it; name a video, a folder of images, a camera or an address")
