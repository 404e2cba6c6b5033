"""Animated pictures (GIF, WebP, APNG, AVIF) as a video, decoded by Pillow: each frame for as long as its file says.

FFmpeg reads only some of them. Knows no face.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jetstream.errors import SourceError
from jetstream.video.file_kinds import kind_at
from jetstream.video.folder import placed
from jetstream.video.frames import LazyFrame, Source, SourceSettings
from jetstream.video.images import DAMAGED, GARBLED, MOST_BYTES, PictureError, frame, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SHORTEST_S = 0.01
"""Browsers show a frame that asks for no longer than this for USUAL_S: such files were made for slow machines."""
USUAL_S = 0.1


class AnimationSource(Source):
    """The frames of an animated picture. After a damaged frame the rest is left out, which is said at the end."""

    def __init__(self, path: Path, settings: SourceSettings, *, fps_limit: float, loop: bool) -> None:
        super().__init__(fps_limit=fps_limit, loop=loop)
        self._path, self._settings = path, settings
        self._picture: Picture | None = self._open()
        self._size = self._picture.size
        # an APNG may begin with a picture for programs that don't know APNG
        self._first = int(bool(self._picture.info.get("default_image")))
        with contextlib.suppress(*GARBLED):  # damaged between two frames
            self.frames_expected = int(getattr(self._picture, "n_frames", 1)) - self._first
        self._good = 0
        with contextlib.suppress(PictureError):  # said when it is read
            frame(self._picture, self._first)
        self.fps = 1 / _shown_s(self._picture)

    def describe(self) -> str:
        width, height = self._size
        count = f", {self.frames_expected} frames" if self.frames_expected else ""
        return f"{self._path} ({width}x{height}, {self.fps:.4g} fps{count})"

    def close(self) -> None:
        if self._picture is not None:
            self._picture.close()
        self._picture = None

    def _open(self) -> "Picture":
        try:
            if self._path.stat().st_size > MOST_BYTES:
                raise PictureError(f"over {MOST_BYTES // 10**9} GB; convert it to a video")
            return open_picture(self._path, kind_at(self._path).name)
        except FileNotFoundError:
            raise SourceError(f"{self._path}: no such file; check the path") from None
        except OSError as error:
            raise SourceError(f"{self._path}: can't be read ({error.strerror}); check the file") from None
        except PictureError as error:
            raise SourceError(f"{self._path}: {error}") from None

    def _shots(self) -> Iterator[LazyFrame]:
        picture = self._picture = self._picture or self._open()
        self._good, pts_s = 0, 0.0
        while self._good != self.frames_expected:
            try:
                image = frame(picture, self._first + self._good)
            except PictureError:
                break
            self._good += 1
            yield LazyFrame(pts_s, partial(placed, image, self._settings))
            pts_s += _shown_s(picture)
        self.close()

    def _pass_ended(self, yielded: int) -> None:
        if self._good == 0:
            raise SourceError(f"{self._path}: {DAMAGED}")
        if self._good != self.frames_expected:
            of = f" of {self.frames_expected}" if self.frames_expected else ""
            self.warning = f"{self._path}: damaged after frame {self._good}{of}; the frames before it were processed"


def _shown_s(picture: "Picture") -> float:
    """How long the frame that was decoded last is shown, in s."""
    shown_s = float(picture.info.get("duration") or 0) / 1000
    return shown_s if shown_s > SHORTEST_S else USUAL_S
