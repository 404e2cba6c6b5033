"""Tracked frames to disk: a video a camera, and its events beside it as JSON Lines.

Both can be read after the machine lost its power in mid-frame, up to about the last second. Shows nothing on a screen.
"""

import contextlib
import fcntl
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.config.schema import Config
from jetstream.config.schema import Record as RecordSettings
from jetstream.errors import SourceError, UserError
from jetstream.ipc.ring import FrameReader
from jetstream.messages import GARBLED, Dropped, Event, Finished, Tick, Tracked, event_of
from jetstream.recording import retention
from jetstream.recording.outage import Outage
from jetstream.video.mp4_repair import cut_to_last_fragment
from jetstream.video.sink import VideoSink
from jetstream.vision.drawing import blur, draw

FPS = 25.0
"""Nominal rate of a recording; frames carry their own times."""
SWEEP_EVERY_S = 60.0
"""how often old recordings are looked for"""
SYNC_EVERY_S = 1.0
"""how often events are on disk for sure, like the video"""
SILENT_S = 60.0
"""a live camera's recording is over after so long without a frame: while it is open it can't be deleted or forgotten"""

log = logging.getLogger("jetstream")


def record(messages: Iterator[Tracked | Tick], rings: FrameReader, config: Config) -> Iterator[Finished | Dropped]:
    """Every frame's event, and its picture unless it has left the ring, which is Dropped (`lapped`).

    Live, a disk that is full or gone stops recordings alone: their frames are Dropped (`disk`) until it is back. In the
    every-frame pace nothing may be missing, so that raises SourceError. Old recordings go, and those of cameras that
    have fallen silent are closed, at a Tick too.
    """
    folder = Path(config.record.dir)
    recorders: dict[str, Recorder] = {}
    swept_s = -math.inf
    try:
        for message in messages:
            now_s = time.monotonic()
            if now_s - swept_s > SWEEP_EVERY_S:
                swept_s = now_s
                _sweep(folder, config.record)
            if isinstance(message, Tick):
                for recorder in recorders.values():
                    recorder.end_if_silent(now_s)
                continue
            camera = message.frame.camera
            if camera not in recorders:
                recorders[camera] = Recorder(camera, folder, config)
            lost = recorders[camera].add(message, rings, now_s)
            if lost is not None:
                yield Dropped(camera=camera, reason=lost)
            yield Finished(frame=message.frame)
    finally:
        with ExitStack() as stack:  # whichever fails, all are closed
            for recorder in recorders.values():
                stack.callback(recorder.close)


def _sweep(folder: Path, settings: RecordSettings) -> None:
    if not (settings.keep_days or settings.keep_gb):
        return
    gone = retention.sweep(
        folder, keep_days=settings.keep_days, keep_gb=settings.keep_gb, now_s=time.time(), in_use=is_open
    )
    if gone:
        log.info("%s: %d old recordings deleted (record.keep_days, record.keep_gb)", folder, len(gone))


class Recorder:
    """One camera's recordings, one after the other, and none while the disk can't be written.

    Times are of time.monotonic().
    """

    def __init__(self, camera: str, folder: Path, config: Config) -> None:
        self._camera, self._folder, self._config = camera, folder, config
        self._recording: Recording | None = None
        self._outage = Outage(camera, folder)
        self._is_live = config.pipeline.pace == "live"
        self._newest_s = 0.0
        self._last = None if self._is_live else last_event(folder, camera)  # live, nothing is told of again

    def add(self, tracked: Tracked, rings: FrameReader, now_s: float) -> str | None:
        """Why the frame, or its picture, was lost; None where it wasn't."""
        self._newest_s = now_s
        last, self._last, frame = self._last, None, tracked.frame
        if last is not None and (last.frame_id, last.captured_ns) == (frame.frame_id, frame.captured_ns):
            return None  # this process's last life wrote it, and died before it could say so
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
        """Close the recording when no frame has come for SILENT_S; the next one begins another.

        Only live: in the every-frame pace a slow machine must not change what is recorded.
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
        """What is on the disk stays, up to its last whole line and the last second of video that is whole.

        Without a line all of it goes: nothing would tell whose the video is, so nobody would ever delete it.
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
        self._stem, self.events = stem, stem.with_suffix(".jsonl")
        self._events = open_events(self.events)
        self._video: VideoSink | None = None
        self._synced_s = 0.0
        self._first_s: float | None = None

    def is_long(self, tracked: Tracked) -> bool:
        """Whether it is time for a new one."""
        limit_s = self._settings.file_hours * 3600
        return limit_s > 0 and self._first_s is not None and tracked.frame.time_s - self._first_s >= limit_s

    def add(self, tracked: Tracked, rings: FrameReader) -> bool:
        """False when the picture was gone; its event is written all the same, and last: then the frame is done."""
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
        blur.hide(image, tracked.faces, self._blur, tracked.others)
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
        try:
            if self._video is not None:
                self._video.close()
        finally:
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


def write_event(events: TextIO, tracked: Tracked, hop: str = "", at_ns: int = 0) -> None:
    events.write(msgspec.json.encode(event_of(tracked, hop, at_ns)).decode() + "\n")


def last_event(folder: Path, camera: str) -> Event | None:
    """In the last whole line of the camera's newest events; None without any that can be read."""
    try:
        found = [path for path in folder.glob(f"{camera}-*.jsonl") if path.is_file()]
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
            with path.open("rb") as events, contextlib.suppress(*GARBLED):
                _, whole = _whole_lines_at_the_end(events)
                event = msgspec.json.decode(whole[whole.rfind(b"\n", 0, -1) + 1 :], type=Event)
                if event.camera == camera:  # and not `a-b` for `a`
                    return event
    except OSError:
        pass  # what can't be read here can't be written: `open_events` says so
    return None


def cut_to_last_line(events: Path) -> None:
    """Take away a line that a full disk left unfinished. Raises OSError."""
    with events.open("rb+") as file:
        begin, whole = _whole_lines_at_the_end(file)
        file.truncate(begin + len(whole))


def _whole_lines_at_the_end(events: BinaryIO) -> tuple[int, bytes]:
    """Where they begin, and they."""
    begin = events.seek(max(0, events.seek(0, os.SEEK_END) - retention.LONGEST_LINE))
    tail = events.read()
    return begin, tail[: tail.rfind(b"\n") + 1]


def unused(folder: Path, stem: str) -> Path:
    """`folder/stem`, or with a number behind it, so that nothing recorded before is overwritten."""
    candidate, number = folder / stem, 1
    while any(candidate.with_suffix(suffix).exists() for suffix in (".mp4", ".jsonl")):
        number += 1
        candidate = folder / f"{stem}_{number}"  # sorts behind `stem.jsonl`, which `-` does not
    return candidate
