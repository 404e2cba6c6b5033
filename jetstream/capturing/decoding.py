"""One camera of the stage `decode`: a thread of its own decodes its packets, and is replaced when it fails or hangs.

Knows no socket and no packet.
"""

import logging
from collections import deque

from jetstream.backoff import Backoff
from jetstream.capturing.decoder_thread import DecodeOutcome, DecoderThread, OpenDecoder
from jetstream.capturing.frame_writer import FrameWriter
from jetstream.config.schema import CameraConfig
from jetstream.errors import JetstreamError, StuckError
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.messages import Captured, Dropped
from jetstream.video.gop.reader import GopReader
from jetstream.video.gop.ring import PacketRing

HUNG_S = 10.0
"""a call of the decoder that takes longer hangs"""
MOST_HUNG = 8
"""threads that hang, after which only the end of the process frees what they hold"""

log = logging.getLogger(__name__)


class DecodedCamera:
    """A camera's thread, which is replaced when it fails or hangs. All methods are for the thread of the stage.

    `open_patience_s`: how long opening a decoder may take, since many may wait for the driver. `messages`: where it
    tells what was written and dropped.
    """

    def __init__(
        self,
        camera: CameraConfig,
        ring: Ring | LocalRing,
        packets: PacketRing,
        most_under_way: int,
        opener: OpenDecoder,
        open_patience_s: float,
        messages: "deque[Captured | Dropped]",
    ) -> None:
        self.camera, self._packets, self._opener = camera, packets, opener
        self._open_patience_s = open_patience_s
        self._outcome = DecodeOutcome(FrameWriter(ring, camera, most_under_way), messages)
        self._written = 0
        self._seen: int | None = None  # of the packet ring's cursor
        self._backoff = Backoff()
        self._start_s = 0.0
        self._worker: DecoderThread | None = None
        self._left_behind: list[DecoderThread] = []

    @property
    def hung(self) -> int:
        """Threads that were left behind in a call that hasn't returned yet."""
        return sum(thread.is_alive() for thread in self._left_behind)

    @property
    def opens(self) -> bool:
        """Whether a decoder is being opened or closed, by a driver that may hold up every thread."""
        return self._worker is not None and self._worker.opens

    def wake(self) -> None:
        """Have the thread look for packets."""
        if self._worker is not None:
            self._worker.wake.set()

    def look(self) -> None:
        """Wake the thread if there are new packets, or a reader wants a frame in shared memory."""
        cursor = self._packets.cursor
        if cursor != self._seen or self._outcome.writer.ring.is_asked:
            self._seen = cursor
            self.wake()

    def watch(self, now_s: float) -> None:
        """Start the thread, or another one where it failed or hangs. Raises StuckError: only the end of the process
        frees the ring."""
        worker = self._worker
        if self._outcome.written > self._written:
            self._written = self._outcome.written
            self._backoff.reset()
        if worker is not None and worker.failure is not None:
            if not isinstance(worker.failure, JetstreamError):
                raise worker.failure
            self._again(str(worker.failure), now_s)
        elif worker is not None and worker.busy_s() > (self._open_patience_s if worker.opens else HUNG_S):
            if worker.writes:
                raise StuckError(f"{self.camera.name}: writing a frame takes {worker.busy_s():.0f} s")
            self._left_behind = [*(thread for thread in self._left_behind if thread.is_alive()), worker]
            self._again(f"its decoder doesn't answer for {worker.busy_s():.0f} s", now_s)
        elif worker is None and now_s >= self._start_s:
            self._worker = DecoderThread(
                self.camera, GopReader(self._packets), self._packets, self._outcome, self._opener
            )

    def is_done(self) -> bool:
        """Whether all packets that are in the ring were decoded, and their frames written."""
        return self._worker is None or self._worker.is_done() or self._worker.failure is not None

    def close(self) -> None:
        """Stop the thread; waits a moment for it."""
        if self._worker is not None:
            self._worker.stop()
            self._worker.join(1.0)

    def _again(self, why: str, now_s: float) -> None:
        assert self._worker is not None
        self._worker.stop()
        self._worker = None
        wait_s = self._backoff.next_s()
        self._start_s = now_s + wait_s
        log.warning("%s: %s; a decoder is opened again in %.1f s", self.camera.name, why, wait_s)
        self._outcome.messages.append(Dropped(camera=self.camera.name, reason="decoder"))
