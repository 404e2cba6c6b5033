"""One camera's frames into its ring. A camera that fails is opened again with back-off; a file ends.

In the live pace a file is read at its own frame rate; in the every-frame pace it waits for the slowest reader instead.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from jetstream.config import secrets
from jetstream.config.schema import CameraConfig, Config, cuda_device
from jetstream.errors import SourceError, StuckError, UserError
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.ipc.rings import Rings
from jetstream.ipc.window import FrameWindow
from jetstream.messages import Captured, Dropped, FrameRef, PatientTicks, Tick
from jetstream.networks.backends import takes_nv12
from jetstream.video.address import is_live, may_be_film
from jetstream.video.frames import USUAL_FPS, UnconvertedFrame
from jetstream.video.live import Backoff, NewestFrame
from jetstream.video.source import Frame, Source, open_source

TURN_S = 0.1
"""longest time between two ticks"""
POLL_S = 0.005
"""how often a frame that waits asks for its place"""
TELL_AGAIN_S = 2.0
"""every-frame pace: time without progress of the slowest reader after which frames are announced again"""
STUCK_GRACE_S = 2.0
"""time beyond its own time-out after which a native call counts as hanging"""

log = logging.getLogger(__name__)


def capture(ticks: Iterator[Tick], rings: Rings, config: Config) -> Iterator[Captured | Dropped]:
    """Frames of the one camera in `config`, each written to the ring before Captured announces it.

    Raises SourceError: a file can't be read; StuckError: a camera's driver hangs.
    """
    (camera,) = config.cameras
    patience_s = config.pipeline.start_timeout_s
    every_frame = config.pipeline.pace == "every-frame"
    writer = FrameWriter(rings[camera.name], camera, config.pipeline.queue_frames)
    opener = partial(
        _open,
        camera,
        loop=camera.loop and not every_frame,
        every_frame=every_frame,
        cuda_device=cuda_device(camera, config),
        nv12=takes_nv12(config),
    )
    if every_frame and (not is_live(camera.source, every_frame=True) or may_be_film(camera.source)):
        yield from _every_frame(ticks, writer, opener, patience_s)
    elif is_live(camera.source, every_frame=every_frame):
        yield from _camera(ticks, writer, opener, patience_s)
    else:
        yield from _played(ticks, writer, opener, patience_s)


class FrameWriter:
    """Writes a camera's frames to its ring, and says which it may write: see `ipc.window`."""

    def __init__(self, ring: Ring | LocalRing, camera: CameraConfig, most_under_way: int) -> None:
        self.ring, self.camera = ring, camera
        self._window = FrameWindow(most_under_way)

    def has_room(self) -> bool:
        """Whether the pipeline has a place for a frame of this camera now."""
        return self._window.has_room(self.ring.slowest, time.monotonic())

    def write(self, frame: Frame, *, live: bool, left_out: int = 0) -> Captured:
        """Write the frame and announce it. `left_out`: frames of the source before it that were not written."""
        captured_ns = frame.captured_ns or time.monotonic_ns()
        frame_id = self.ring.write(frame.picture, captured_ns=captured_ns, left_out=left_out)
        self._window.wrote(frame_id, time.monotonic())
        return self.announced(frame_id, captured_ns, frame.pts_s, live=live)

    def announced(self, frame_id: int, captured_ns: int, pts_s: float, *, live: bool) -> Captured:
        """The message for a frame that is in the ring."""
        return Captured(
            frame=FrameRef(
                camera=self.camera.name,
                frame_id=frame_id,
                captured_ns=captured_ns,
                wall_ns=time.time_ns() - (time.monotonic_ns() - captured_ns),
                pts_s=pts_s,
                live=live,
            )
        )


def _every_frame(
    ticks: Iterator[Tick], writer: FrameWriter, opener: Callable[[], Source], patience_s: float
) -> Iterator[Captured]:
    """Every frame of a file, as fast as the slowest reader. A frame's number is its index in the file, so that a
    restarted process continues where the last one died."""
    ring, told = writer.ring, AnnouncedFrames(writer.ring)
    first = ring.slowest or 0
    with opener() as source:
        source.opens = partial(_opens, ticks, patience_s)
        if source.live:
            raise SourceError(f"{writer.camera.name}: a camera can't wait for the pace every-frame; use --pace live")
        for index, frame in enumerate(source):
            if index < first:
                if next(ticks, None) is None:  # a tick for each skipped frame, so that heartbeats continue
                    return
                continue
            for _ in ticks:
                if index < ring.cursor or ring.wait_for_room(TURN_S):
                    break
                yield from told.again(time.monotonic())
            else:
                return
            if index < ring.cursor:  # it is in the ring, and not done
                message = writer.announced(index, ring.captured_ns(index), frame.pts_s, live=False)
            else:
                message = writer.write(frame, live=False)
            told.add(message)
            yield message
        if source.warning:
            log.warning("%s", source.warning)
    for _ in ticks:
        if told.all_done():
            break
        time.sleep(TURN_S / 10)
        yield from told.again(time.monotonic())


def _played(
    ticks: Iterator[Tick], writer: FrameWriter, opener: Callable[[], Source], patience_s: float
) -> Iterator[Captured | Dropped]:
    """A file at its own frame rate. A frame waits for its place until the next one is due, which then replaces it."""
    ring, camera = writer.ring, writer.camera
    first = 0 if camera.loop else ring.cursor
    with opener() as source:
        source.opens = partial(_opens, ticks, patience_s)
        # a looping file begins again where its capture does, but its times must go on
        shift_s = ring.cursor / rate_of(source, camera) if camera.loop else 0.0
        clock = _FileClock()
        waiting: UnconvertedFrame | None = None
        left_out = 0
        for index, given in enumerate(source.unconverted()):
            if index < first:
                if next(ticks, None) is None:
                    return
                continue
            frame = given._replace(pts_s=given.pts_s + shift_s)
            for _ in ticks:
                if waiting is not None and writer.has_room():
                    yield from _written(writer, waiting, left_out)
                    waiting, left_out = None, 0
                if clock.is_due(frame.pts_s, POLL_S if waiting else TURN_S):
                    break
            else:
                return
            if waiting is not None:
                left_out += 1
                yield Dropped(camera=camera.name, reason="busy")
            waiting = frame._replace(captured_ns=time.monotonic_ns())
        for _ in ticks:
            if waiting is None or writer.has_room():
                break
            time.sleep(POLL_S)
        if waiting is not None:
            yield from _written(writer, waiting, left_out)
        if source.warning:
            log.warning("%s", source.warning)


def _written(writer: FrameWriter, frame: UnconvertedFrame, left_out: int) -> Iterator[Captured]:
    """Write the frame, unless it is damaged."""
    if (converted := frame.converted()) is not None:
        yield writer.write(converted, live=False, left_out=left_out)


class _FileClock:
    """Says when the frames of a file are due; its first one is at once."""

    def __init__(self) -> None:
        self._started_s: float | None = None

    def is_due(self, pts_s: float, wait_s: float) -> bool:
        """Whether the frame of `pts_s` is due; waits for it at most `wait_s`."""
        if self._started_s is None:
            self._started_s = time.monotonic() - pts_s
        return _is_due(self._started_s + pts_s, wait_s)


def rate_of(source: Source, camera: CameraConfig) -> float:
    """Frames a second that the source delivers, about."""
    rate = source.fps or USUAL_FPS
    return min(rate, camera.fps) if camera.fps > 0 else rate


class AnnouncedFrames:
    """Frames that were announced. They are announced again when the slowest reader makes no progress, since they may be
    lost with a stage that died. Every stage recognises frames that it has handled before."""

    def __init__(self, ring: Ring | LocalRing) -> None:
        self._ring = ring
        self._messages: deque[Captured] = deque(maxlen=ring.slots)
        self._slowest = ring.slowest
        self._since_s = 0.0

    def add(self, message: Captured) -> None:
        self._messages.append(message)

    def all_done(self) -> bool:
        slowest = self._ring.slowest
        return slowest is None or slowest >= self._ring.cursor

    def again(self, now_s: float) -> list[Captured]:
        slowest = self._ring.slowest
        if slowest is None or slowest != self._slowest or self._since_s == 0.0:
            self._slowest, self._since_s = slowest, now_s
            return []
        if now_s - self._since_s < TELL_AGAIN_S:
            return []
        self._since_s = now_s
        return [message for message in self._messages if message.frame.frame_id >= slowest]


def _camera(
    ticks: Iterator[Tick], writer: FrameWriter, opener: Callable[[], Source], patience_s: float
) -> Iterator[Captured | Dropped]:
    """Frames of a camera, until the ticks end; of a film, which only its server tells from a camera, as of a file."""
    camera, backoff = writer.camera, Backoff()
    while True:
        try:
            _opens(ticks, patience_s)  # before the thread starts: a GPU's driver may hold up every thread
            with NewestFrame(opener, keep_films=True) as newest:
                for message in _newest(ticks, writer, newest, patience_s):
                    backoff.reset()
                    yield message
            if newest.film is not None:
                yield from _played(ticks, writer, partial(_same, newest.film), patience_s)
            return
        except StuckError:
            raise
        except SourceError as error:
            wait_s = backoff.next_s()
            log.warning("%s: %s; opened again in %.1f s", camera.name, error, wait_s)
            yield Dropped(camera=camera.name, reason="reconnect")
        until_s = time.monotonic() + wait_s
        for _ in ticks:
            if _is_due(until_s, TURN_S):
                break
        else:
            return


def _newest(
    ticks: Iterator[Tick], writer: FrameWriter, newest: NewestFrame, patience_s: float
) -> Iterator[Captured | Dropped]:
    """Frames until the ticks end. While the pipeline has no place for one, newer frames replace the one that waits.

    Raises SourceError: the camera failed; StuckError: it hangs.
    """
    camera = writer.camera
    limit_s = max(camera.open_timeout_s, camera.read_timeout_s) + STUCK_GRACE_S
    unread, left_out = 0, 0
    opening_limit_s = max(limit_s, patience_s) if camera.decoder == "cuda" else limit_s  # many may wait for the driver
    for _ in ticks:
        if newest.opening:
            _opens(ticks, patience_s)
        has_room = writer.has_room()
        frame = newest.get(TURN_S) if has_room or newest.opening or newest.ended else None
        if newest.film is not None:
            return
        if newest.unread > unread:
            left_out += newest.unread - unread
            yield Dropped(camera=camera.name, reason="unread" if has_room else "busy", count=newest.unread - unread)
            unread = newest.unread
        if frame is not None:
            yield writer.write(frame, live=True, left_out=left_out)
            left_out = 0
        elif not has_room:
            time.sleep(POLL_S)
        if newest.stuck_s() > (opening_limit_s if newest.opening else limit_s):
            raise StuckError(f"{camera.name}: no answer for {newest.stuck_s():.0f} s, not even to give up")


def _opens(ticks: Iterator[Tick], limit_s: float) -> None:
    """Tell who gives the ticks that the next one may be long in coming."""
    if isinstance(ticks, PatientTicks):
        ticks.opens(limit_s)


def _same(source: Source) -> Source:
    return source


def _open(camera: CameraConfig, *, every_frame: bool, cuda_device: int | None, loop: bool, nv12: bool) -> Source:
    """The opened source. Raises SourceError, also for a password that can't be read: opening is then retried."""
    try:
        address = secrets.address(camera)
    except UserError as error:
        raise SourceError(str(error)) from None
    source = open_source(
        address, camera, loop=loop, fps_limit=camera.fps, cuda_device=cuda_device, every_frame=every_frame
    )
    source.may_give_nv12 = nv12
    return source


def _is_due(time_s: float, wait_s: float) -> bool:
    """Whether `time_s` of time.monotonic() has come; waits for it at most `wait_s`."""
    left_s = time_s - time.monotonic()
    if left_s > 0:
        time.sleep(min(left_s, wait_s))
    return time.monotonic() >= time_s
