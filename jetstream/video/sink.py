"""Pictures with their times to a video file that can be played even if the writer was killed.

Frames have the times they are written with; there is no fixed frame rate.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from jetstream import files
from jetstream.errors import SourceError
from jetstream.video.encoder import PictureEncoder, chosen_codec, grown
from jetstream.video.frames import Image

KEY_FRAME_EVERY_S = 1.0
"""also the loss when the writer is killed: a fragment is written at the next key frame"""
CONTAINERS: Mapping[str, Mapping[str, str]] = {
    ".mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"},
    ".mkv": {"cluster_time_limit": str(int(KEY_FRAME_EVERY_S * 1000)), "flush_packets": "1"},
}


class VideoSink:
    """One video file, fragmented MP4 or Matroska by its suffix. A context manager.

    width, height    px of the pictures; an odd size gets a column or row more, a copy of the last
    fps              nominal rate for the encoder; frames keep the times they are written with
    codec            "h264" (libx264), "mpeg4", or "auto": the first of these that is installed, see `codec_name`
    encoder_threads  of the encoder
    durable          sync to disk about every second, so that a power failure loses no more than a kill

    The file is readable by its owner only. An existing one is overwritten, but never through a link. Raises SourceError
    if it can't be written, at opening or later; after that only `close` may be called.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float,
        width: int,
        height: int,
        codec: str,
        encoder_threads: int = 1,
        durable: bool = False,
    ) -> None:
        self._path = Path(path)
        try:
            self.codec_name = chosen_codec(codec)
        except ValueError as error:
            raise SourceError(f"{self._path}: {error}") from None
        self._durable = durable
        self._descriptor = create_private(self._path)
        try:
            self._container = av.open(f"file:{self._path}", "w", container_options=dict(container_options(self._path)))
            self._encoder = PictureEncoder(
                self._container,
                self.codec_name,
                preset="superfast",
                fps=fps,
                width=width,
                height=height,
                key_every_s=KEY_FRAME_EVERY_S,
                threads=encoder_threads,
            )
        except (av.FFmpegError, OSError) as error:
            os.close(self._descriptor)
            raise self._trouble(error) from None
        self.width, self.height = self._encoder.width, self._encoder.height

    def write(self, image: Image, time_s: float) -> None:
        """Append a (H, W, 3) uint8 BGR picture that is shown from `time_s` on; the time of the first one becomes 0.

        A picture of another size is scaled to fit, with black bars. A time that doesn't increase becomes the next tick.
        """
        fitted = self._fitted(image)
        try:
            packets, is_key = self._encoder.encode(fitted, time_s)
            self._container.mux(packets)
            if is_key and self._durable:
                os.fdatasync(self._descriptor)
        except (av.FFmpegError, OSError) as error:
            raise self._trouble(error) from None

    def close(self) -> None:
        """Write the rest and finish the file; may be called again. Raises SourceError if the disk is full."""
        if self._descriptor < 0:
            return
        try:
            self._container.mux(self._encoder.finish())
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            with suppress(av.FFmpegError, OSError):
                self._container.close()
            raise self._trouble(error) from None
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "VideoSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fitted(self, image: Image) -> Image:
        height, width = image.shape[:2]
        if (width + width % 2, height + height % 2) == (self.width, self.height):
            return image
        scale = min(self.width / width, self.height / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
        left, top = (self.width - size[0]) // 2, (self.height - size[1]) // 2
        return grown(image, self.width, self.height, left, top, cv2.BORDER_CONSTANT)

    def _trouble(self, error: Exception) -> SourceError:
        reason = getattr(error, "strerror", None) or str(error)
        return SourceError(f"{self._path}: the video can't be written ({reason}); check the disk and the folder")


def container_options(path: Path) -> Mapping[str, str]:
    """FFmpeg options for the container. Raises SourceError if the suffix is neither .mp4 nor .mkv."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        raise SourceError(f"{path}: a video's name ends in {' or '.join(CONTAINERS)}; change the name") from None


def create_private(path: Path) -> int:
    """The descriptor of an empty file that only its owner can read. Raises SourceError if it can't be created."""
    container_options(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            files.keep_private(descriptor, path)  # an existing file may be readable by others
        return descriptor
    except OSError as error:
        raise SourceError(f"{path}: can't be written ({error.strerror}); name a folder that can be written") from None
