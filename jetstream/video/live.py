"""For live sources: a thread that reads them, since reads may hang; the newest frame alone.

Knows no process and no camera: it reads any `Source`, and its owner decides when to give up.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from jetstream.errors import SourceError
from jetstream.video.frames import Frame, Source, UnconvertedFrame

T = TypeVar("T")
A = TypeVar("A", bound="SourceThread")


class SourceThread(ABC):
    """A thread that opens a source and reads it all the time. A context manager.

    `opener` runs in the thread, too, since opening may hang; the thread also closes the source. `ended`: it reads no
    more. A source that `takes` refuses is not read but kept, opened, as `kept`, for the caller to read and close.
    """

    def __init__(self, opener: Callable[[], Source]) -> None:
        self._opener = opener
        self.kept: Source | None = None
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._stopping = False
        self.opening = True
        """until the source is open"""
        self._busy_since_s: float | None = None
        self.ended = False
        self._thread = threading.Thread(target=self._drain, name="source", daemon=True)
        self._thread.start()

    def takes(self, source: Source) -> bool:
        """Whether it reads this source."""
        return True

    @abstractmethod
    def _read(self, source: Source) -> None:
        """Read the source until it ends or `_stopping` is set; a call that may hang is made by `_timed`."""

    def stuck_s(self) -> float:
        """Seconds since the running call (open, read, close) began or last received data; 0 between calls.

        Beyond every time-out the thread hangs in a native call, and only the end of the process frees the device.
        """
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def close(self, timeout_s: float = 1.0) -> bool:
        """Stop the thread, which closes the source. False if its call didn't return in time: the source stays open."""
        with self._changed:
            self._stopping = True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def __enter__(self: A) -> A:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drain(self) -> None:
        error: BaseException | None = None
        try:
            source = self._timed(self._opener)
            self.opening = False
            if not self.takes(source) and not self._stopping:
                self.kept = source
                return
            source.heard = self._heard
            try:
                self._read(source)
            finally:
                self._timed(source.close)
            error = SourceError(f"{source.describe()}: the stream has ended; it can be opened again")
        except BaseException as raised:  # raised again in the caller's thread
            error = raised
        finally:
            self.opening = False
            with self._changed:
                self._error, self.ended = error, True
                self._changed.notify_all()

    def _timed(self, call: Callable[[], T]) -> T:
        self._busy_since_s = time.monotonic()
        try:
            return call()
        finally:
            self._busy_since_s = None

    def _heard(self) -> None:
        """The source received data, though maybe no whole frame."""
        self._busy_since_s = time.monotonic()


class NewestFrame(SourceThread):
    """Keeps a source's newest frame. `unread`: number of frames that were replaced before `get` took them. With
    `keep_films` a source that turns out not to be live is not read but kept."""

    def __init__(self, opener: Callable[[], Source], *, keep_films: bool = False) -> None:
        self._keep_films = keep_films
        self._frame: UnconvertedFrame | None = None
        self.unread = 0
        super().__init__(opener)

    def takes(self, source: Source) -> bool:
        return source.live or not self._keep_films

    def get(self, timeout_s: float) -> Frame | None:
        """The newest frame, once, converted in the calling thread; waits for one up to `timeout_s`. None: no frame, or
        a damaged one, arrived in time.

        After the last frame it raises what stopped the thread: SourceError, also if the source just ended.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self.ended, timeout_s)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
        return None if frame is None else frame.converted()

    def _read(self, source: Source) -> None:
        frames = source.unconverted()
        while not self._stopping and (frame := self._timed(lambda: next(frames, None))) is not None:
            self._offer(frame._replace(captured_ns=time.monotonic_ns()))

    def _offer(self, frame: UnconvertedFrame) -> None:
        with self._changed:
            self.unread += self._frame is not None
            self._frame = frame
            self._changed.notify_all()
