"""A thread that decodes one camera's packets and writes its frames, so that a decoder that hangs or fails holds up no
other camera.

Knows no socket. Where frames are written and dropped is as in `capture`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

from jetstream.capturing.frame_writer import POLL_S, FrameWriter
from jetstream.config.schema import CameraConfig
from jetstream.messages import Captured, Dropped
from jetstream.video.frames import USUAL_FPS, Frame, RateLimiter, Timeline
from jetstream.video.gop.decoder import DecodedPicture, GopDecoder
from jetstream.video.gop.description import StreamDescription, described
from jetstream.video.gop.reader import GopReader
from jetstream.video.gop.ring import DESCRIPTION, END, GopPacket, PacketRing

TURN_S = 0.1
"""how often a thread looks for packets although nobody woke it"""
BEHIND_S = 2.0
"""packets that are older are skipped, if a key frame stands after them"""
STALE_S = 0.5
"""frames that are older are left out while newer packets wait, but for one in so long"""

OpenDecoder: TypeAlias = Callable[[StreamDescription], GopDecoder]
"""raises SourceError"""

T = TypeVar("T")


class DecodeOutcome:
    """What outlives a thread: the writer, the messages, and the time of the last frame."""

    def __init__(self, writer: FrameWriter, messages: "deque[Captured | Dropped]") -> None:
        self.writer, self.messages = writer, messages
        self.lock = threading.Lock()  # a thread that was given up must not write any more
        ring = writer.ring
        self.captured_ns = ring.captured_ns(ring.cursor - 1) if ring.cursor > 0 else 0
        self.pts_s = -1.0  # of a file's last frame
        self.left_out = self.written = 0


class WaitingPicture(NamedTuple):
    """A picture that waits for its place."""

    picture: DecodedPicture
    pts_s: float
    arrived_ns: int


class DecoderThread(threading.Thread):
    """Decodes one camera's packets from the newest description on. `failure`: what ended it."""

    def __init__(
        self,
        camera: CameraConfig,
        reader: GopReader,
        packets: PacketRing,
        outcome: DecodeOutcome,
        opener: OpenDecoder,
    ) -> None:
        super().__init__(name=f"decode {camera.name}", daemon=True)
        self._camera, self._reader, self._packets, self._outcome = camera, reader, packets, outcome
        self._opener = opener
        self.wake = threading.Event()
        self.failure: BaseException | None = None
        self.opens = self._idle = self._stopping = False
        self.writes = False  # what it writes is lost if it hangs now, and so is the ring
        self._busy_since_s: float | None = None
        self._description: StreamDescription | None = None
        self._encoded = b""
        self._decoder: GopDecoder | None = None
        self._damaged = self._missed = self._jumps = 0
        self._timeline, self._pace = Timeline(1 / USUAL_FPS), RateLimiter(0, 1 / USUAL_FPS)
        self._waiting: WaitingPicture | None = None
        self._written_s, self._before_ns = 0.0, outcome.captured_ns
        self.start()

    def is_done(self) -> bool:
        """Whether it has taken all packets that are there, and no frame waits."""
        return self._idle and self._reader.waiting == 0

    def busy_s(self) -> float:
        """Seconds since the running call of the decoder began; 0 between calls."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def stop(self) -> None:
        """It writes nothing any more, and ends when its call returns."""
        with self._outcome.lock:
            self._stopping = True
        self.wake.set()

    def run(self) -> None:
        """The thread."""
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:  # raised, or told, by the thread of the stage
            self.failure = error
        finally:
            self._close()

    def _turn(self) -> None:
        self.wake.clear()
        ring = self._outcome.writer.ring
        if ring.is_asked:
            self._with_ring(ring.bring)
        packet = self._reader.read()
        if packet is None:
            self._write()
            self._idle = self._waiting is None
            self.wake.wait(POLL_S if self._waiting else TURN_S)
            return
        self._idle = False
        if self._skips(packet):
            return
        if self._reader.jumps > self._jumps and self._decoder is not None:
            self._decoder.finish()  # what it holds is of before the gap
        self._jumps = self._reader.jumps
        if packet.flags & DESCRIPTION:
            self._see(packet)
        elif self._decoder is not None:
            self._take(packet)

    def _skips(self, packet: GopPacket) -> bool:
        """Whether this packet is too old, and a newer key frame is there to go on at. Counts what is missed."""
        is_old = time.monotonic_ns() - packet.arrived_ns > BEHIND_S * 1e9
        skips = is_old and self._reader.jump()
        if self._reader.missed > self._missed:
            self._drop("lapped", self._reader.missed - self._missed)
            self._missed = self._reader.missed
        return skips

    def _see(self, packet: GopPacket) -> None:
        """A description: another one than before needs another decoder."""
        if packet.data == self._encoded:
            return
        self._finish(packet.arrived_ns)
        self._close()
        description = described(packet.data)
        self._decoder = self._called(lambda: self._opener(description), opens=True)
        self._damaged = 0
        self._description, self._encoded = description, packet.data
        frame_s = 1 / (description.fps or USUAL_FPS)
        self._timeline, self._pace = Timeline(frame_s), RateLimiter(self._camera.fps, frame_s)

    def _take(self, packet: GopPacket) -> None:
        decoder = self._decoder
        assert decoder is not None
        if packet.flags & END:
            self._finish(packet.arrived_ns)
            return
        pictures = self._called(lambda: decoder.decode(packet))
        self._packets.tell(packet.number, pictured=bool(pictures))
        if decoder.damaged > self._damaged:
            self._drop("damaged", decoder.damaged - self._damaged)
            self._damaged = decoder.damaged
        self._offer(pictures, packet.arrived_ns)

    def _finish(self, arrived_ns: int) -> None:
        """The pictures that the decoder holds back."""
        if self._decoder is not None:
            self._offer(self._called(self._decoder.finish), arrived_ns)

    def _offer(self, pictures: list[DecodedPicture], arrived_ns: int) -> None:
        for picture in pictures:
            pts_s = self._placed(picture, arrived_ns)
            if not self._pace.wants(pts_s) or self._was_written(pts_s, arrived_ns):
                continue
            if self._waiting is not None:
                self._drop("unread" if self._outcome.writer.has_room() else "busy")
                self._outcome.left_out += 1
            self._waiting = WaitingPicture(picture, pts_s, arrived_ns)
            self._write()

    def _placed(self, picture: DecodedPicture, arrived_ns: int) -> float:
        """The picture's time since the start of the source: a live one's is that of its arrival."""
        assert self._description is not None
        if self._description.live:
            return self._timeline.place((arrived_ns - self._description.begun_ns) * 1e-9)
        return self._timeline.place(None if picture.pts_ns is None else picture.pts_ns * 1e-9)

    def _was_written(self, pts_s: float, arrived_ns: int) -> bool:
        """Whether another thread or process has written it, since decoding began at an earlier key frame."""
        assert self._description is not None
        is_past = not self._description.live and pts_s <= self._outcome.pts_s
        return is_past or arrived_ns <= self._before_ns

    def _write(self) -> None:
        """Write the frame that waits, if the pipeline has a place for it."""
        waiting, now_s = self._waiting, time.monotonic()
        if waiting is None:
            return
        is_stale = now_s - waiting.arrived_ns * 1e-9 > STALE_S and self._reader.waiting > 0
        if is_stale and now_s - self._written_s < STALE_S:
            return
        outcome = self._outcome
        with outcome.lock:
            if self._stopping or not outcome.writer.has_room():
                return
        picture = self._called(waiting.picture.picture)
        self._waiting = None
        if picture is None:
            self._drop("damaged")
            return
        captured_ns = max(waiting.arrived_ns, outcome.captured_ns + 1)  # one packet may give several
        frame = Frame(picture, waiting.pts_s, captured_ns)
        self._with_ring(lambda: self._write_frame(frame))
        self._written_s = now_s

    def _write_frame(self, frame: Frame) -> None:
        outcome = self._outcome
        live = self._description is not None and self._description.live
        outcome.messages.append(outcome.writer.write(frame, live=live, left_out=outcome.left_out))
        outcome.left_out, outcome.captured_ns, outcome.pts_s = 0, frame.captured_ns, frame.pts_s
        outcome.written += 1

    def _with_ring(self, call: Callable[[], None]) -> None:
        """Call what changes the ring, unless this thread was given up."""
        with self._outcome.lock:
            if self._stopping:
                return
            self.writes = True
            try:
                self._called(call)
            finally:
                self.writes = False

    def _drop(self, reason: str, count: int = 1) -> None:
        self._outcome.messages.append(Dropped(camera=self._camera.name, reason=reason, count=count))

    def _close(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            self._called(decoder.close, opens=True)

    def _called(self, call: Callable[[], T], *, opens: bool = False) -> T:
        self._busy_since_s, self.opens = time.monotonic(), opens
        try:
            return call()
        finally:
            self._busy_since_s, self.opens = None, False
