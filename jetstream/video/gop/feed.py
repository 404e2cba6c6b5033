"""The packets of a stream into its camera's ring, without decoding them.

Knows no stage and no config. A live stream is read by a thread, since reads may hang; a file by its caller.
"""

import time
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import msgspec

from jetstream.video.ffmpeg import OpenVideo
from jetstream.video.frames import Source
from jetstream.video.geometry import Orientation
from jetstream.video.gop.description import StreamDescription, describe
from jetstream.video.gop.ring import DESCRIPTION, END, KEY, NO_TIME, PacketRing
from jetstream.video.live import SourceThread
from jetstream.video.pixels import orientation_of, rotation_of
from jetstream.video.stream import StreamSource

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

NEW_EXTRADATA: Final = "new_extradata"
"""FFmpeg's side data of a packet: another header of the codec holds from here on"""


class PacketWriter:
    """Writes packets to a ring, with a description before each key frame and at the start.

    `too_large`: packets that the ring can't hold. The packets up to the next key frame are left out with them.
    """

    def __init__(self, ring: PacketRing) -> None:
        self.ring = ring
        self.too_large = 0
        self._description: StreamDescription | None = None
        self._encoded = b""
        self._described = -1
        self._until_key = False

    def begin(self, description: StreamDescription) -> None:
        """What comes is of this stream."""
        self._description, self._encoded = description, description.encoded()
        self._described, self._until_key = -1, False

    def write(self, packet: "Packet[VideoStream]", *, pts_ns: int, dts_ns: int, arrived_ns: int) -> None:
        """Write one packet. The times are as of `GopPacket`."""
        is_key = bool(packet.is_keyframe)
        if self._until_key and not is_key:
            self.too_large += 1
            return
        self._until_key = packet.size > self.ring.largest_bytes
        if self._until_key:
            self.too_large += 1
            return
        self._see_new_header(packet)
        if is_key or self._described < 0 or self._is_nearly_gone():
            self._described = self.ring.write(self._encoded, flags=DESCRIPTION, arrived_ns=arrived_ns)
        flags = KEY if is_key else 0
        self.ring.write(memoryview(packet), flags=flags, pts_ns=pts_ns, dts_ns=dts_ns, arrived_ns=arrived_ns)

    def end(self, arrived_ns: int) -> None:
        """The stream ends here, or begins anew at its first key frame."""
        self.ring.write(b"", flags=END, arrived_ns=arrived_ns)

    def _is_nearly_gone(self) -> bool:
        """Whether the newest description is about to be overwritten, with no key frame since: some streams refresh a
        part of each picture instead. A reader begins at a key frame as long as one is there."""
        return self.ring.bytes_since(self._described) > self.ring.layout.data_bytes * 3 // 4

    def _see_new_header(self, packet: "Packet[VideoStream]") -> None:
        has = getattr(packet, "has_sidedata", None)  # PyAV 14 has none
        if has is None or self._description is None or not has(NEW_EXTRADATA):
            return
        header = bytes(packet.get_sidedata(NEW_EXTRADATA))
        if header != self._description.extradata:
            self.begin(msgspec.structs.replace(self._description, extradata=header))


class PacketFeed(SourceThread):
    """Writes a live stream's packets to the ring while the thread reads them. A source that is none (a film, single
    pictures) is kept."""

    def __init__(self, opener: Callable[[], Source], ring: PacketRing, read_timeout_s: float) -> None:
        self.writer = PacketWriter(ring)
        self._pictures = PictureWatch(ring, read_timeout_s)
        super().__init__(opener)

    def takes(self, source: Source) -> bool:
        return isinstance(source, StreamSource) and source.live

    def newest(self, known: int, timeout_s: float) -> int:
        """The ring's cursor once it is above `known`, or after `timeout_s`.

        After the last packet it raises what stopped the thread: SourceError, also if the source just ended.
        """
        ring = self.writer.ring
        with self._changed:
            self._changed.wait_for(lambda: ring.cursor > known or self.ended, timeout_s)
            if ring.cursor <= known and self._error is not None:
                raise self._error
        return ring.cursor

    def _read(self, source: Source) -> None:
        assert isinstance(source, StreamSource)
        packets, begun = source.packets(), False
        while not self._stopping and (given := self._timed(lambda: next(packets, None))) is not None:
            opened, packet = given
            now_ns = time.monotonic_ns()
            if not begun:
                self.writer.begin(
                    describe(
                        opened.stream,
                        crop=opened.crop,
                        upright=Orientation(),
                        live=True,
                        shown=source.shown,
                        begun_ns=now_ns,
                    )
                )
                begun = True
            self.writer.write(
                packet, pts_ns=ns_of(packet, packet.pts), dts_ns=ns_of(packet, packet.dts), arrived_ns=now_ns
            )
            with self._changed:
                self._changed.notify_all()
            if self._pictures.fail(now_ns * 1e-9):
                raise source.without_picture(opened)


class PictureWatch:
    """Whether the decoder makes pictures of what is written to the ring."""

    def __init__(self, ring: PacketRing, limit_s: float) -> None:
        self._ring, self._limit_s = ring, limit_s
        self._pictured = ring.unpictured[1]
        self._since_s: float | None = None
        self._half: int | None = None  # the ring's cursor at half of the time

    def fail(self, now_s: float) -> bool:
        """Whether the decoder has taken packets for longer than the limit and made no picture. One that is not there,
        or behind, says nothing of the stream."""
        taken, pictured = self._ring.unpictured
        if self._since_s is None or pictured != self._pictured:
            self._since_s, self._pictured, self._half = now_s, pictured, None
        waited_s = now_s - self._since_s
        if waited_s > self._limit_s / 2 and self._half is None:
            self._half = self._ring.cursor
        if waited_s <= self._limit_s:
            return False
        self._since_s = None
        return self._half is not None and taken >= self._half


class FirstPicture:
    """Finds how the pictures of a file are turned by its container, which PyAV says of decoded pictures alone: decodes
    its first packets on the CPU until there is one. `upright` is valid once `found`."""

    MOST_PACKETS = 64

    def __init__(self) -> None:
        self.found, self.upright = False, Orientation()
        self._seen = 0

    def see(self, opened: OpenVideo, packet: "Packet[VideoStream]") -> None:
        """One packet more."""
        context = opened.stream.codec_context
        if self._seen == 0:
            context.thread_count = 1
        self._seen += 1
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            frames = []
        if frames:
            self.upright = orientation_of(frames[0], rotation_of(frames[0]))
        self.found = bool(frames) or self._seen >= self.MOST_PACKETS


def ns_of(packet: "Packet[VideoStream]", time: int | None) -> int:
    """A pts or dts of the packet, in ns; NO_TIME for None."""
    if time is None or packet.time_base is None:
        return NO_TIME
    return int(time * Fraction(packet.time_base) * 10**9)
