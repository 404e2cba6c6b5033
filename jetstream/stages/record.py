"""Tracked frames to disk: a video a camera, and its events beside it as JSON Lines.

Both can be read after the machine lost its power in mid-frame, up to about the last second. Shows nothing on a screen.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config import Config
from jetstream.errors import UserError
from jetstream.ipc.ring import FrameReader
from jetstream.messages import Dropped, Finished, Tracked, event_of
from jetstream.video.sink import VideoSink
from jetstream.vision import draw

FPS = 25.0
"""Nominal rate of a recording; frames carry their own times."""
SYNC_EVERY_S = 1.0
"""how often events are on disk for sure, like the video"""

log = logging.getLogger("jetstream")


def record(messages: Iterator[Tracked], rings: FrameReader, config: Config) -> Iterator[Finished | Dropped]:
    """Every frame's event, and its picture unless it has left the ring, which is Dropped (`lapped`)."""
    started = time.strftime("%Y%m%dT%H%M%S")
    recordings: dict[str, Recording] = {}
    with ExitStack() as stack:
        for tracked in messages:
            camera = tracked.frame.camera
            if camera not in recordings:
                recordings[camera] = Recording(unused(Path(config.record.dir), f"{camera}-{started}"), config)
                stack.callback(recordings[camera].close)
            if not recordings[camera].add(tracked, rings):
                yield Dropped(camera=camera, reason="lapped")
            yield Finished(frame=tracked.frame)


class Recording:
    """One camera's video and events. `stem` is their path without a suffix."""

    def __init__(self, stem: Path, config: Config) -> None:
        self._settings = config.record
        self._landmarks = config.render.landmarks
        self._stem = stem
        self._events = open_events(stem.with_suffix(".jsonl"))
        self._video: VideoSink | None = None
        self._synced_s = 0.0

    def add(self, tracked: Tracked, rings: FrameReader) -> bool:
        """False when the picture was gone; its event is written all the same, and last: then the frame is done."""
        image = None
        if self._settings.video != "none":
            image = rings.read(tracked.frame.camera, tracked.frame.frame_id)
        if image is not None:
            self._write(image, tracked)
        write_event(self._events, tracked)
        if time.monotonic() - self._synced_s > SYNC_EVERY_S:
            os.fdatasync(self._events.fileno())
            self._synced_s = time.monotonic()
        return image is not None or self._settings.video == "none"

    def _write(self, image: NDArray[np.uint8], tracked: Tracked) -> None:
        if self._settings.video == "annotated":
            draw.faces(image, tracked.faces, landmarks=self._landmarks)
        if self._video is None:
            height, width = image.shape[:2]
            path = self._stem.with_suffix(".mp4")
            codec = self._settings.codec
            self._video = VideoSink(path, fps=FPS, width=width, height=height, codec=codec, durable=True)
            log.info("recording %s (%s)", path, self._video.codec_name)
        self._video.write(image, tracked.frame.time_s)

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
        self._events.close()


def open_events(path: Path) -> TextIO:
    """A new file of event lines, readable by its owner only; each line leaves the process as soon as it is written.

    `is_open` until it is closed. Raises UserError when it can't be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written") from None
    with contextlib.suppress(OSError):  # not every network folder has locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return open(descriptor, "w", buffering=1, encoding="utf-8")


def is_open(path: Path) -> bool:
    """Whether these events, or the video beside them, are still written. Raises OSError where that can't be seen."""
    with path.open("rb+") as events:
        try:
            fcntl.flock(events, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # no locks here, so nobody can tell
    return False


def write_event(events: TextIO, tracked: Tracked) -> None:
    events.write(msgspec.json.encode(event_of(tracked)).decode() + "\n")


def unused(folder: Path, stem: str) -> Path:
    """`folder/stem`, or with a number behind it, so that nothing recorded before is overwritten."""
    candidate, number = folder / stem, 1
    while any(candidate.with_suffix(suffix).exists() for suffix in (".mp4", ".jsonl")):
        number += 1
        candidate = folder / f"{stem}-{number}"
    return candidate
