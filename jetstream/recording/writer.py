"""One camera's recordings, each a video and its event file. None is written while the disk fails."""

import contextlib
import logging
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.errors import SourceError, UserError
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Tracked
from jetstream.recording.events_file import cut_to_last_line, last_event, open_events, unused, write_event
from jetstream.recording.outage import Outage
from jetstream.runtime.switches import CameraSwitches
from jetstream.video.mp4_repair import cut_to_last_fragment
from jetstream.video.sink import VideoSink
from jetstream.vision.drawing.annotate import annotate

log = logging.getLogger(__name__)

FPS = 25.0
"""Nominal rate of a recording; frames carry their own times."""
SYNC_EVERY_S = 1.0
"""time between two syncs of the events to disk; the video has the same"""
SILENT_S = 60.0
"""time without a frame after which a live camera's recording is closed: an open one can't be deleted or forgotten"""


class Recorder:
    """One camera's recordings, one after the other. In the live pace nothing is recorded while the disk fails.

    Times are of time.monotonic().
    """

    def __init__(self, camera: str, folder: Path, config: Config) -> None:
        self._camera, self._folder, self._config = camera, folder, config
        self._recording: Recording | None = None
        self._outage = Outage(camera, folder)
        self._is_live = config.pipeline.pace == "live"
        self._newest_s = 0.0
        self._last = None if self._is_live else last_event(folder, camera)  # live, no frame is announced twice

    def add(self, tracked: Tracked, rings: FrameReader, now_s: float) -> str | None:
        """Write a frame. Returns why it or its picture was lost, "disk" or "lapped"; None if neither was.

        Raises SourceError in the every-frame pace, where no frame may be missing.
        """
        self._newest_s = now_s
        last, self._last, frame = self._last, None, tracked.frame
        if last is not None and (last.frame_id, last.captured_ns) == (frame.frame_id, frame.captured_ns):
            return None  # written by this process before it was restarted, which died before it said Finished
        if self._outage.is_on(now_s):
            return "disk"
        try:
            is_whole = self._current(tracked).add(tracked, rings)
        except (SourceError, UserError, OSError) as error:
            self._give_up()
            if not self._is_live:
                raise SourceError(f"{self._folder}: {error}; make room, since no frame may be missing") from None
            self._outage.begin(error, now_s)
            return "disk"
        self._outage.end(now_s)
        return None if is_whole else "lapped"

    def end_if_silent(self, now_s: float) -> None:
        """Close the recording when no frame has arrived for SILENT_S; the next frame begins another one.

        In the live pace only: in the every-frame pace a slow machine must not change what is recorded.
        """
        if not self._is_live or self._recording is None or now_s - self._newest_s <= SILENT_S:
            return
        try:
            self.close()
        except (SourceError, OSError) as error:
            self._give_up()
            self._outage.begin(error, now_s)

    def close(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def _current(self, tracked: Tracked) -> "Recording":
        if self._recording is not None and self._recording.is_long(tracked):
            self.close()
        if self._recording is None:
            stem = f"{self._camera}-{time.strftime('%Y%m%dT%H%M%S')}"
            self._recording = Recording(unused(self._folder, stem), self._config)
        return self._recording

    def _give_up(self) -> None:
        """Close the recording and cut its files after the last complete event and the last complete video fragment.

        Without any event both files are deleted: retention doesn't recognise a video without events, and would never
        delete it.
        """
        if self._recording is None:
            return
        recording, self._recording = self._recording, None
        with contextlib.suppress(SourceError, OSError):
            recording.close()
        video = recording.events.with_suffix(".mp4")
        with contextlib.suppress(OSError):
            cut_to_last_line(recording.events)
            if recording.events.stat().st_size == 0:
                video.unlink(missing_ok=True)
                recording.events.unlink()
        with contextlib.suppress(OSError):
            cut_to_last_fragment(video)


class Recording:
    """One camera's video and events. `stem` is their path without a suffix."""

    def __init__(self, stem: Path, config: Config) -> None:
        self._settings = config.record
        self._landmarks, self._blur = config.render.landmarks, config.render.blur
        self._switches = CameraSwitches(config)
        self._stem, self.events = stem, stem.with_suffix(".jsonl")
        self._events = open_events(self.events)
        self._video: VideoSink | None = None
        self._synced_s = 0.0
        self._first_s: float | None = None

    def is_long(self, tracked: Tracked) -> bool:
        """Whether the recording is as long as `record.file_hours` allows."""
        limit_s = self._settings.file_hours * 3600
        return limit_s > 0 and self._first_s is not None and tracked.frame.time_s - self._first_s >= limit_s

    def add(self, tracked: Tracked, rings: FrameReader) -> bool:
        """Write a frame's picture, then its event, which marks the frame as done. False if the picture was overwritten
        in the ring; its event is written nevertheless."""
        self._first_s = tracked.frame.time_s if self._first_s is None else self._first_s
        image = None
        if self._settings.video != "none":
            image = rings.read(tracked.frame.camera, tracked.frame.frame_id)
        if image is not None:
            self._write(image, tracked)
        write_event(self._events, tracked, "recorded", time.monotonic_ns())
        if time.monotonic() - self._synced_s > SYNC_EVERY_S:
            os.fdatasync(self._events.fileno())
            self._synced_s = time.monotonic()
        return image is not None or self._settings.video == "none"

    def _write(self, image: NDArray[np.uint8], tracked: Tracked) -> None:
        boxes = self._settings.video == "annotated"
        blur = self._switches.blur(tracked.frame.camera, self._blur)
        annotate(image, tracked.faces, tracked.others, blur=blur, landmarks=self._landmarks, boxes=boxes)
        if self._video is None:
            height, width = image.shape[:2]
            path = self._stem.with_suffix(".mp4")
            codec = self._settings.codec
            self._video = VideoSink(path, fps=FPS, width=width, height=height, codec=codec, durable=True)
            log.info("recording %s (%s)", path, self._video.codec_name)
        self._video.write(image, tracked.frame.time_s)

    def close(self) -> None:
        try:
            if self._video is not None:
                self._video.close()
        finally:
            self._events.close()
