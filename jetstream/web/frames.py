"""The newest tracked frame of each camera, and its picture as JPEG in the sizes that viewers ask for.

A JPEG is made only where somebody looks, once for all viewers of a size. Faces are hidden before, where `render.blur`
says so. Knows no socket.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import cv2
import numpy as np

from jetstream.config.schema import Config
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Tracked
from jetstream.runtime.switches import CameraSwitches
from jetstream.vision.drawing.annotate import annotate

JPEG_QUALITY: Final = 75
WIDTHS: Final = (160, 320, 480, 640, 960, 1280, 1920, 3840)
"""widths of pictures, px: few, so that viewers share them"""


class FrameJpeg(NamedTuple):
    """A frame's picture."""

    tracked: Tracked
    size: tuple[int, int]
    """width and height of the frame, px"""
    jpeg: bytes


class NewestFrames:
    """Shared by threads: one puts frames in, others take pictures."""

    def __init__(self, config: Config, rings: FrameReader) -> None:
        self._blur, self._switches = config.render.blur, CameraSwitches(config)
        self.rings = rings
        self._newest: dict[str, Tracked] = {}
        self._made: dict[tuple[str, int], FrameJpeg] = {}  # by camera and width
        self._locks: dict[tuple[str, int], threading.Lock] = {}
        self._lock = threading.Lock()
        self.changed: Callable[[], None] = _nothing
        """called with each new frame, by the thread that puts it in"""

    @property
    def newest(self) -> Mapping[str, Tracked]:
        """By camera."""
        return self._newest

    def put(self, tracked: Tracked) -> None:
        """Take a frame; an older one than before is one that was announced again."""
        frame, known = tracked.frame, self._newest.get(tracked.frame.camera)
        if known is None or frame.frame_id > known.frame.frame_id:
            self._newest[frame.camera] = tracked
            self.changed()

    def picture(self, camera: str, width: int) -> FrameJpeg | None:
        """The newest frame, `width` px wide or a little more, never larger than it is. None: there is none, or it was
        overwritten before it was read."""
        key = camera, next((one for one in WIDTHS if one >= width), WIDTHS[-1])
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            tracked, made = self._newest.get(camera), self._made.get(key)
            if tracked is None:
                return None
            if made is not None and made.tracked is tracked:
                return made
            made = self._encode(tracked, key[1])
            if made is not None:
                self._made[key] = made
            return made

    def _encode(self, tracked: Tracked, width: int) -> FrameJpeg | None:
        frame = tracked.frame
        view = self.rings.view(frame.camera, frame.frame_id)
        if view is None:
            return None
        image = view.image
        full_height, full_width = image.shape[:2]
        blur = self._switches.blur(frame.camera, self._blur)
        if blur != "none":
            image = np.array(image)  # blurred at full size, where the boxes are
            if not view.still_valid():
                return None
            annotate(image, tracked.faces, tracked.others, blur=blur, landmarks=False, boxes=False)
        if width < full_width:
            height = max(1, round(full_height * width / full_width))
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        done, jpeg = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        if not done or not view.still_valid():
            return None
        return FrameJpeg(tracked, (full_width, full_height), jpeg.tobytes())


def _nothing() -> None:
    """Nobody looks."""
