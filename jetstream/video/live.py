"""For sources that don't wait: only the newest frame counts, a read may hang, a lost source is tried again.

Knows no process and no camera: it drains any `Source`, and whoever holds it decides when to give up.
"""

import random
import threading
import time

from jetstream.video.frames import Frame, Source


class Newest:
    """A thread that drains `source` and keeps its newest frame. It owns the source and closes it.

    `unread`: frames that were replaced before anybody took them. `ended`: the source gave its last frame.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._stopping = False
        self._reading_since_s: float | None = None
        self.unread = 0
        self.ended = False
        self._thread = threading.Thread(target=self._drain, name="newest", daemon=True)
        self._thread.start()

    def get(self, timeout_s: float) -> Frame | None:
        """The newest frame, once; waits for one up to `timeout_s`. None: none came, or the source has `ended`.

        Raises what stopped the reader (SourceError) after the last frame before it was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self.ended, timeout_s)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def stuck_s(self) -> float:
        """How long the read that is going on has taken; 0 between reads and after the end.

        Past any time-out the thread is lost in a native call: only ending the process frees the device.
        """
        since_s = self._reading_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def close(self, timeout_s: float = 1.0) -> bool:
        """Stop and close the source. False if the read didn't return in time: the source then can't be closed."""
        with self._changed:
            self._stopping = True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _drain(self) -> None:
        error: BaseException | None = None
        try:
            with self._source:
                while not self._stopping and (frame := self._next()) is not None:
                    self._offer(frame)
        except BaseException as raised:  # handed over by `get` to the thread that can act
            error = raised
        with self._changed:
            self._error, self.ended = error, True
            self._changed.notify_all()

    def _next(self) -> Frame | None:
        self._reading_since_s = time.monotonic()
        try:
            frame = next(self._source, None)
        finally:
            self._reading_since_s = None
        return frame and frame._replace(captured_ns=time.monotonic_ns())

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            self.unread += self._frame is not None
            self._frame = frame
            self._changed.notify_all()


class Backoff:
    """Waits between attempts to open a lost source: growing, bounded, and a little different for each camera."""

    def __init__(
        self,
        first_s: float = 0.5,
        factor: float = 2.0,
        longest_s: float = 30.0,
        jitter: float = 0.2,
        rng: random.Random | None = None,
    ) -> None:
        self._first_s, self._factor, self._longest_s, self._jitter = first_s, factor, longest_s, jitter
        self._rng = rng or random.Random()
        self._wait_s = first_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt, varied by up to `jitter` of itself either way."""
        wait_s = self._wait_s
        self._wait_s = min(wait_s * self._factor, self._longest_s)
        return min(wait_s, self._longest_s) * self._rng.uniform(1 - self._jitter, 1 + self._jitter)

    def reset(self) -> None:
        """After a success: the next failure waits `first_s` again."""
        self._wait_s = self._first_s
