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
from jetstream.messages import Captured, Dropped, FrameRef, PatientTicks, Tick
from jetstream.video.address import is_live, may_be_film
from jetstream.video.frames import USUAL_FPS
from jetstream.video.live import Backoff, NewestFrame
from jetstream.video.source import Frame, Source, open_source

TURN_S = 0.1
"""longest time between two ticks"""
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
    ring = rings[camera.name]
    patience_s = config.pipeline.start_timeout_s
    every_frame = config.pipeline.pace == "every-frame"
    opener = partial(
        _open,
        camera,
        loop=camera.loop and not every_frame,
        every_frame=every_frame,
        cuda_device=cuda_device(camera, config),
    )
    if is_live(camera.source, every_frame=every_frame) and not (every_frame and may_be_film(camera.source)):
        yield from _camera(ticks, ring, camera, opener, patience_s)
    else:
        yield from _file(ticks, ring, camera, opener, patience_s, every_frame=every_frame)


def _file(
    ticks: Iterator[Tick],
    ring: Ring | LocalRing,
    camera: CameraConfig,
    opener: Callable[[], Source],
    patience_s: float,
    *,
    every_frame: bool,
) -> Iterator[Captured]:
    """A frame's number is its index in the file, so that a restarted process continues where the last one died."""
    told = AnnouncedFrames(ring)
    first = (ring.slowest or 0) if every_frame else 0 if camera.loop else ring.cursor
    started_s = None
    with opener() as source:
        source.opens = partial(_opens, ticks, patience_s)
        if source.live and every_frame:
            raise SourceError(f"{camera.name}: a camera can't wait for the pace every-frame; use --pace live")
        # a looping file begins again where its capture does, but its times must go on
        shift_s = ring.cursor / rate_of(source, camera) if camera.loop and not every_frame else 0.0
        for index, given in enumerate(source):
            frame = given._replace(pts_s=given.pts_s + shift_s)
            if index < first:
                if next(ticks, None) is None:  # a tick for each skipped frame, so that heartbeats continue
                    return
                continue
            started_s = started_s or time.monotonic() - frame.pts_s
            for _ in ticks:
                if every_frame and (index < ring.cursor or ring.wait_for_room(TURN_S)):
                    break
                if not every_frame and _is_due(started_s + frame.pts_s):
                    break
                yield from told.again(time.monotonic())
            else:
                return
            is_there = every_frame and index < ring.cursor
            message = _captured(ring, camera, frame, live=False, frame_id=index if is_there else None)
            told.add(message)
            yield message
        if source.warning:
            log.warning("%s", source.warning)
    for _ in ticks:
        if not every_frame or told.all_done():
            break
        time.sleep(TURN_S / 10)
        yield from told.again(time.monotonic())


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
    ticks: Iterator[Tick],
    ring: Ring | LocalRing,
    camera: CameraConfig,
    opener: Callable[[], Source],
    patience_s: float,
) -> Iterator[Captured | Dropped]:
    """Frames of a camera, until the ticks end; of a film, which only its server tells from a camera, as of a file."""
    backoff = Backoff()
    while True:
        try:
            _opens(ticks, patience_s)  # before the thread starts: a GPU's driver may hold up every thread
            with NewestFrame(opener, keep_films=True) as newest:
                for message in _newest(ticks, ring, camera, newest, patience_s):
                    backoff.reset()
                    yield message
            if newest.film is not None:
                yield from _file(ticks, ring, camera, partial(_same, newest.film), patience_s, every_frame=False)
            return
        except StuckError:
            raise
        except SourceError as error:
            wait_s = backoff.next_s()
            log.warning("%s: %s; opened again in %.1f s", camera.name, error, wait_s)
            yield Dropped(camera=camera.name, reason="reconnect")
        until_s = time.monotonic() + wait_s
        for _ in ticks:
            if _is_due(until_s):
                break
        else:
            return


def _newest(
    ticks: Iterator[Tick], ring: Ring | LocalRing, camera: CameraConfig, newest: NewestFrame, patience_s: float
) -> Iterator[Captured | Dropped]:
    """Frames until the ticks end. Raises SourceError: the camera failed; StuckError: it hangs."""
    limit_s = max(camera.open_timeout_s, camera.read_timeout_s) + STUCK_GRACE_S
    unread = 0
    opening_limit_s = max(limit_s, patience_s) if camera.decoder == "cuda" else limit_s  # many may wait for the driver
    for _ in ticks:
        if newest.opening:
            _opens(ticks, patience_s)
        frame = newest.get(TURN_S)
        if newest.film is not None:
            return
        if frame is not None:
            yield _captured(ring, camera, frame, live=True)
        if newest.unread > unread:
            yield Dropped(camera=camera.name, reason="unread", count=newest.unread - unread)
            unread = newest.unread
        if newest.stuck_s() > (opening_limit_s if newest.opening else limit_s):
            raise StuckError(f"{camera.name}: no answer for {newest.stuck_s():.0f} s, not even to give up")


def _opens(ticks: Iterator[Tick], limit_s: float) -> None:
    """Tell who gives the ticks that the next one may be long in coming."""
    if isinstance(ticks, PatientTicks):
        ticks.opens(limit_s)


def _same(source: Source) -> Source:
    return source


def _open(camera: CameraConfig, *, every_frame: bool, cuda_device: int | None, loop: bool) -> Source:
    """The opened source. Raises SourceError, also for a password that can't be read: opening is then retried."""
    try:
        address = secrets.address(camera)
    except UserError as error:
        raise SourceError(str(error)) from None
    return open_source(
        address, camera, loop=loop, fps_limit=camera.fps, cuda_device=cuda_device, every_frame=every_frame
    )


def _is_due(time_s: float) -> bool:
    """Whether `time_s` of time.monotonic() has come; waits for it at most TURN_S."""
    left_s = time_s - time.monotonic()
    if left_s > 0:
        time.sleep(min(left_s, TURN_S))
    return time.monotonic() >= time_s


def _captured(
    ring: Ring | LocalRing, camera: CameraConfig, frame: Frame, *, live: bool, frame_id: int | None = None
) -> Captured:
    """Write the frame to the ring and announce it; with `frame_id` it is in the ring already, and is only announced."""
    if frame_id is None:
        captured_ns = frame.captured_ns or time.monotonic_ns()
        frame_id = ring.write(frame.image, captured_ns=captured_ns)
    else:
        captured_ns = ring.captured_ns(frame_id)
    wall_ns = time.time_ns() - (time.monotonic_ns() - captured_ns)
    return Captured(
        frame=FrameRef(
            camera=camera.name,
            frame_id=frame_id,
            captured_ns=captured_ns,
            wall_ns=wall_ns,
            pts_s=frame.pts_s,
            live=live,
        )
    )
