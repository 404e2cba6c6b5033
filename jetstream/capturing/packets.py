"""A camera's packets into its packet ring, for the stage `decode`, which looks for them there.

Decodes nothing, but for the first picture of a file. Live pace only.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from jetstream.capturing.pacing import FileClock
from jetstream.capturing.retrying import STUCK_GRACE_S, TURN_S, opens, retried
from jetstream.config.schema import CameraConfig
from jetstream.errors import StuckError
from jetstream.messages import Demuxed, Dropped, Tick
from jetstream.video.address import is_live
from jetstream.video.ffmpeg import OpenVideo
from jetstream.video.frames import LONGEST_STEP_BACK_S, USUAL_FPS, Source
from jetstream.video.gop.description import describe
from jetstream.video.gop.feed import FirstPicture, PacketFeed, PacketWriter, ns_of
from jetstream.video.gop.ring import NO_TIME, PacketRing
from jetstream.video.stream import StreamSource

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

TELL_S = 0.25
"""time between two `Demuxed`"""

log = logging.getLogger(__name__)


def demuxed(
    ticks: Iterator[Tick], ring: PacketRing, camera: CameraConfig, opener: Callable[[], Source], patience_s: float
) -> Generator[Demuxed | Dropped, None, bool]:
    """The packets of a camera or a file, until it or the ticks end. True: what it sends is no video but pictures, which
    capture has to read itself.

    Raises SourceError: a file can't be read; StuckError: a camera hangs.
    """
    if not is_live(camera.source):
        yield from _of_file(ticks, ring, camera, opener, patience_s)
        return False
    start = partial(PacketFeed, opener, ring, camera.read_timeout_s)
    kept = yield from retried(ticks, camera.name, start, lambda feed: _fed(ticks, feed, camera), patience_s)
    if isinstance(kept, StreamSource):
        yield from _of_file(ticks, ring, camera, lambda: kept, patience_s)
    elif kept is not None:
        kept.close()
        if ring.cursor > 0:  # `decode` writes this camera's frames, and their ring has one writer
            raise StuckError(f"{camera.name}: it sends pictures now, and sent video before; start jetstream again")
        return True
    return False


def _fed(ticks: Iterator[Tick], feed: PacketFeed, camera: CameraConfig) -> Iterator[Demuxed | Dropped]:
    limit_s = max(camera.open_timeout_s, camera.read_timeout_s) + STUCK_GRACE_S
    teller, too_large = PacketTeller(feed.writer.ring, camera.name), 0
    for _ in ticks:
        feed.newest(teller.told, TURN_S)
        if feed.kept is not None:
            return
        yield from teller.news()
        if feed.writer.too_large > too_large:
            yield Dropped(camera=camera.name, reason="too_large", count=feed.writer.too_large - too_large)
            too_large = feed.writer.too_large
        if feed.stuck_s() > limit_s:
            raise StuckError(f"{camera.name}: no answer for {feed.stuck_s():.0f} s, not even to give up")


class PacketTeller:
    """Says every TELL_S how many packets have come. `told`: the number of the last one and one more."""

    def __init__(self, ring: PacketRing, camera: str) -> None:
        self._ring, self._camera = ring, camera
        self.told, self._told_ns = ring.cursor, 0

    def news(self, *, is_last: bool = False) -> Iterator[Demuxed]:
        """What there is to tell now, if anything."""
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns < TELL_S * 1e9 and not is_last:
            return
        newest = self._ring.cursor
        if newest > self.told:
            yield Demuxed(camera=self._camera, count=newest - self.told, arrived_ns=now_ns)
            self.told, self._told_ns = newest, now_ns


class PlacedPacket(NamedTuple):
    """A packet of a file, on the camera's time, which goes on over loops and restarts."""

    opened: OpenVideo
    packet: "Packet[VideoStream]"
    pts_ns: int  # NO_TIME: not stated
    due_ns: int  # its dts, or where it would be


def _of_file(
    ticks: Iterator[Tick], ring: PacketRing, camera: CameraConfig, opener: Callable[[], Source], patience_s: float
) -> Iterator[Demuxed | Dropped]:
    """A file at its own rate, by its packets' dts. After a restart it goes on where it was; a loop begins again."""
    with opener() as source:
        assert isinstance(source, StreamSource)
        source.opens = partial(opens, ticks, patience_s)
        frame_ns = round(1e9 / (source.fps or USUAL_FPS))
        done_ns = ring.newest_ns
        is_new = done_ns == NO_TIME
        shift_ns = 0 if is_new or not camera.loop else done_ns + frame_ns
        player = _FilePlayer(PacketWriter(ring), source, camera.name)
        while True:
            packets = _placed(source, shift_ns, frame_ns)
            for packet in packets if is_new or camera.loop else _beyond(packets, done_ns):
                if packet is None:
                    if next(ticks, None) is None:
                        return
                    continue
                for ready in player.ready(packet):
                    if not player.wait(ticks, ready):
                        return
                    yield from player.play(ready)
            player.writer.end(time.monotonic_ns())
            if source.warning:
                log.warning("%s", source.warning)
            if not camera.loop:
                yield from player.teller.news(is_last=True)
                return
            source.opens()
            shift_ns = ring.newest_ns + frame_ns


class _FilePlayer:
    """Writes a file's packets when they are due; the first ones once it is known how the pictures are turned."""

    def __init__(self, writer: PacketWriter, source: StreamSource, camera: str) -> None:
        self.writer, self._source, self._camera = writer, source, camera
        self.teller = PacketTeller(writer.ring, camera)
        self._clock = FileClock()
        self._first = FirstPicture()
        self._held: list[PlacedPacket] = []
        self._too_large = 0

    def ready(self, packet: PlacedPacket) -> list[PlacedPacket]:
        """The packets that can be written: this one, or all that were held."""
        if self._first.found:
            return [packet]
        self._first.see(packet.opened, packet.packet)
        self._held.append(packet)
        if not self._first.found:
            return []
        opened = packet.opened
        self.writer.begin(
            describe(
                opened.stream,
                crop=opened.crop,
                upright=self._first.upright,
                live=False,
                shown=self._source.shown,
                begun_ns=time.monotonic_ns(),
            )
        )
        ready, self._held = self._held, []
        return ready

    def wait(self, ticks: Iterator[Tick], packet: PlacedPacket) -> bool:
        """Wait until the packet is due. False: the ticks ended first."""
        return any(self._clock.is_due(packet.due_ns * 1e-9, TURN_S) for _ in ticks)

    def play(self, packet: PlacedPacket) -> Iterator[Demuxed | Dropped]:
        """Write it."""
        now_ns = time.monotonic_ns()
        self.writer.write(packet.packet, pts_ns=packet.pts_ns, dts_ns=packet.due_ns, arrived_ns=now_ns)
        if self.writer.too_large > self._too_large:
            yield Dropped(camera=self._camera, reason="too_large", count=self.writer.too_large - self._too_large)
            self._too_large = self.writer.too_large
        yield from self.teller.news()


def _placed(source: StreamSource, shift_ns: int, frame_ns: int) -> Iterator[PlacedPacket]:
    """The packets of one pass, which begins at `shift_ns`. A step back of more than LONGEST_STEP_BACK_S means that the
    file's clock was reset."""
    base_ns: int | None = None
    due_ns = shift_ns - frame_ns
    for opened, packet in source.packets():
        pts_ns, stated_ns = ns_of(packet, packet.pts), ns_of(packet, packet.dts)
        stated_ns = pts_ns if stated_ns == NO_TIME else stated_ns
        if stated_ns == NO_TIME:
            due_ns += frame_ns
            yield PlacedPacket(opened, packet, NO_TIME, due_ns)
            continue
        if base_ns is None:
            start = opened.stream.start_time
            base_ns = (stated_ns if start is None else ns_of(packet, start)) - shift_ns
        if stated_ns - base_ns < due_ns - LONGEST_STEP_BACK_S * 1e9:
            base_ns = stated_ns - due_ns - frame_ns
        due_ns = stated_ns - base_ns
        yield PlacedPacket(opened, packet, NO_TIME if pts_ns == NO_TIME else pts_ns - base_ns, due_ns)


def _beyond(packets: Iterator[PlacedPacket], done_ns: int) -> Iterator[PlacedPacket | None]:
    """The packets from the key frame on that those after `done_ns` need; None for each before."""
    group: list[PlacedPacket] | None = []
    for packet in packets:
        if group is None:
            yield packet
            continue
        if packet.packet.is_keyframe:
            group = []
        group.append(packet)
        yield None
        if packet.due_ns > done_ns:
            yield from group
            group = None
