"""One camera's frames into its ring. A camera that fails is opened again with back-off; a file ends.

In the live pace a file is read at its own frame rate; in the every-frame pace it waits for the slowest reader instead.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from jetstream.capturing.fragment_tap import FragmentTap, tap_of
from jetstream.capturing.frame_writer import POLL_S, FrameWriter
from jetstream.capturing.pacing import FileClock
from jetstream.capturing.packets import demuxed
from jetstream.capturing.retrying import STUCK_GRACE_S, TURN_S, opens, retried
from jetstream.config import secrets
from jetstream.config.schema import CameraConfig, Config, cuda_device, is_decoded_on_gpu
from jetstream.errors import SourceError, StuckError, UserError
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Demuxed, Dropped, Tick
from jetstream.networks.backends import takes_nv12
from jetstream.video.address import is_live, may_be_film
from jetstream.video.frames import USUAL_FPS, UnconvertedFrame
from jetstream.video.gop.ring import PacketRing
from jetstream.video.live import NewestFrame
from jetstream.video.source import Source, open_source
from jetstream.video.stream import StreamSource

TELL_AGAIN_S = 2.0
"""every-frame pace: time without progress of the slowest reader after which frames are announced again"""

log = logging.getLogger(__name__)


def capture(ticks: Iterator[Tick], rings: Rings, config: Config) -> Iterator[Captured | Demuxed | Dropped]:
    """Frames of the one camera in `config`, each written to the ring before Captured announces it; or its packets,
    where it has a packet ring.

    Raises SourceError: a file can't be read; StuckError: a camera's driver hangs.
    """
    tap = tap_of(config)
    lost = 0
    for message in _captured(ticks, rings, config, tap):
        yield message
        if tap is not None and tap.lost > lost:
            yield Dropped(camera=config.cameras[0].name, reason="clips", count=tap.lost - lost)
            lost = tap.lost


def _captured(
    ticks: Iterator[Tick], rings: Rings, config: Config, tap: FragmentTap | None
) -> Iterator[Captured | Demuxed | Dropped]:
    (camera,) = config.cameras
    patience_s = config.pipeline.start_timeout_s
    every_frame = config.pipeline.pace == "every-frame"
    if camera.name in rings.packets:
        opener = partial(_open, camera, loop=False, every_frame=False, cuda_device=None, nv12=False, tap=tap)
        with PacketRing.attach(rings.packets[camera.name]) as packets:
            if not (yield from demuxed(ticks, packets, camera, opener, patience_s)):
                return
    writer = FrameWriter(rings[camera.name], camera, config.pipeline.queue_frames)
    opener = partial(
        _open,
        camera,
        loop=camera.loop and not every_frame,
        every_frame=every_frame,
        cuda_device=cuda_device(camera, config),
        nv12=takes_nv12(config),
        tap=tap,
    )
    if every_frame and (not is_live(camera.source, every_frame=True) or may_be_film(camera.source)):
        yield from _every_frame(ticks, writer, opener, patience_s)
    elif is_live(camera.source, every_frame=every_frame):
        yield from _camera(ticks, writer, opener, patience_s)
    else:
        yield from _played(ticks, writer, opener, patience_s)


def _every_frame(
    ticks: Iterator[Tick], writer: FrameWriter, opener: Callable[[], Source], patience_s: float
) -> Iterator[Captured]:
    """Every frame of a file, as fast as the slowest reader. A frame's number is its index in the file, so that a
    restarted process continues where the last one died."""
    ring, told = writer.ring, AnnouncedFrames(writer.ring)
    first = ring.slowest or 0
    with opener() as source:
        source.opens = partial(opens, ticks, patience_s)
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
        source.opens = partial(opens, ticks, patience_s)
        # a looping file begins again where its capture does, but its times must go on
        shift_s = ring.cursor / rate_of(source, camera) if camera.loop else 0.0
        clock, waiting = FileClock(), WaitingFrame(writer)
        for index, given in enumerate(source.unconverted()):
            if index < first:
                if next(ticks, None) is None:
                    return
                continue
            frame = given._replace(pts_s=given.pts_s + shift_s)
            for _ in ticks:
                yield from waiting.written()
                if clock.is_due(frame.pts_s, POLL_S if waiting.is_there else TURN_S):
                    break
            else:
                return
            yield from waiting.replaced(frame._replace(captured_ns=time.monotonic_ns()))
            yield from waiting.written()  # before the next one is decoded
        for _ in ticks:
            yield from waiting.written()
            if not waiting.is_there:
                break
            time.sleep(POLL_S)
        if source.warning:
            log.warning("%s", source.warning)


class WaitingFrame:
    """The newest frame of a file that is due, until there is room for it."""

    def __init__(self, writer: FrameWriter) -> None:
        self._writer = writer
        self._frame: UnconvertedFrame | None = None
        self._left_out = 0  # frames since the one that was written last

    @property
    def is_there(self) -> bool:
        return self._frame is not None

    def written(self) -> Iterator[Captured]:
        """The frame, written, where one waits that isn't damaged and there is room."""
        if self._frame is None or not self._writer.has_room():
            return
        converted, self._frame = self._frame.converted(), None
        if converted is None:
            self._left_out += 1
            return
        yield self._writer.write(converted, live=False, left_out=self._left_out)
        self._left_out = 0

    def replaced(self, frame: UnconvertedFrame) -> Iterator[Dropped]:
        """`frame` waits from now on; the one that still waits is dropped."""
        if self._frame is not None:
            self._left_out += 1
            yield Dropped(camera=self._writer.camera.name, reason="busy")
        self._frame = frame


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
    start = partial(NewestFrame, opener, keep_films=True)
    film = yield from retried(
        ticks, writer.camera.name, start, lambda newest: _newest(ticks, writer, newest, patience_s), patience_s
    )
    if film is not None:
        yield from _played(ticks, writer, partial(_same, film), patience_s)


def _newest(
    ticks: Iterator[Tick], writer: FrameWriter, newest: NewestFrame, patience_s: float
) -> Iterator[Captured | Dropped]:
    """Frames until the ticks end. While the pipeline has no place for one, newer frames replace the one that waits.

    Raises SourceError: the camera failed; StuckError: it hangs.
    """
    camera = writer.camera
    limit_s = max(camera.open_timeout_s, camera.read_timeout_s) + STUCK_GRACE_S
    unread, left_out = 0, 0
    opening_limit_s = max(limit_s, patience_s) if is_decoded_on_gpu(camera) else limit_s  # many may wait for the driver
    for _ in ticks:
        if newest.opening:
            opens(ticks, patience_s)
        has_room = writer.has_room()
        frame = newest.get(TURN_S) if has_room or newest.opening or newest.ended else None
        if newest.kept is not None:
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


def _same(source: Source) -> Source:
    return source


def _open(
    camera: CameraConfig,
    *,
    every_frame: bool,
    cuda_device: int | None,
    loop: bool,
    nv12: bool,
    tap: FragmentTap | None,
) -> Source:
    """The opened source. Raises SourceError, also for a password that can't be read: opening is then retried."""
    try:
        address = secrets.address(camera)
    except UserError as error:
        raise SourceError(str(error)) from None
    source = open_source(
        address, camera, loop=loop, fps_limit=camera.fps, cuda_device=cuda_device, every_frame=every_frame
    )
    source.may_give_nv12 = nv12
    if isinstance(source, StreamSource):
        source.tap = tap
    elif tap is not None:
        tap.see_no_packets()
    return source
