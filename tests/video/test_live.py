"""Only the newest frame, counted drops, and errors handed over."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from jetstream.errors import SourceError
from jetstream.video.frames import Image, LazyFrame, Source
from jetstream.video.live import NewestFrame
from tests.support.defaults import open_source
from tests.support.waiting import PATIENCE_S


class Scripted(Source):
    """Gives `count` frames, then does what `then` says; waits before frame `gate_at` until the test opens the gate."""

    live = True

    def __init__(
        self, count: int, *, gate_at: int | None = None, then: Exception | None = None, fps_limit: float = 0
    ) -> None:
        super().__init__(fps_limit=fps_limit, loop=False)
        self.gate, self.reached, self.closed = threading.Event(), threading.Event(), threading.Event()
        self._count, self._gate_at, self._then = count, gate_at, then

    def describe(self) -> str:
        return "scripted"

    def close(self) -> None:
        self.closed.set()

    def _shots(self) -> Iterator[LazyFrame]:
        for index in range(self._count):
            if index == self._gate_at:
                self.reached.set()
                self.gate.wait(PATIENCE_S)
            yield LazyFrame(index * 0.04, lambda: picture())
        if self._then is not None:
            raise self._then

    def _pass_ended(self, yielded: int) -> None:
        pass


def picture() -> Image:
    return np.zeros((2, 2, 3), np.uint8)


def test_only_the_newest_frame_is_given_and_the_others_are_counted() -> None:
    source = Scripted(6, gate_at=5)
    newest = NewestFrame(lambda: source)
    assert source.reached.wait(PATIENCE_S)
    frame = newest.get(PATIENCE_S)
    assert frame is not None
    assert frame.pts_s == pytest.approx(0.16)
    assert newest.unread == 4
    source.gate.set()
    assert newest.close()


def test_frame_is_given_once() -> None:
    source = Scripted(2, gate_at=1)
    newest = NewestFrame(lambda: source)
    assert newest.get(PATIENCE_S) is not None
    assert newest.get(0.02) is None
    assert not newest.ended
    source.gate.set()
    newest.close()


def test_frame_carries_the_time_it_was_in_hand() -> None:
    with NewestFrame(lambda: Scripted(1)) as newest:
        frame = newest.get(PATIENCE_S)
    assert frame is not None
    assert frame.captured_ns > 0


def test_end_of_the_source_is_an_error_after_its_last_frame() -> None:
    source = Scripted(1)
    with NewestFrame(lambda: source) as newest:
        assert newest.get(PATIENCE_S) is not None
        with pytest.raises(SourceError, match="scripted: the stream has ended"):
            newest.get(PATIENCE_S)
        assert newest.ended
    assert source.closed.is_set()


def test_source_that_cannot_be_opened_is_told() -> None:
    with NewestFrame(lambda: open_source("99")) as newest, pytest.raises(SourceError, match="no /dev/video99 here"):
        newest.get(PATIENCE_S)


def test_hanging_opener_is_told() -> None:
    released = threading.Event()
    source = Scripted(0)

    def opener() -> Source:
        released.wait(PATIENCE_S)
        return source

    newest = NewestFrame(opener)
    assert newest.get(0.02) is None
    assert newest.stuck_s() > 0.01
    released.set()
    assert newest.close(5)
    assert source.closed.is_set()


def test_error_follows_the_last_frame() -> None:
    source = Scripted(1, then=SourceError("camera 0: gone"))
    newest = NewestFrame(lambda: source)
    assert source.closed.wait(PATIENCE_S)
    assert newest.get(PATIENCE_S) is not None
    with pytest.raises(SourceError, match="camera 0: gone"):
        newest.get(PATIENCE_S)


def test_hanging_read_is_told_and_survived() -> None:
    source = Scripted(1, gate_at=0)
    newest = NewestFrame(lambda: source)
    assert source.reached.wait(PATIENCE_S)
    assert newest.get(0.02) is None
    assert newest.stuck_s() > 0.01
    assert not newest.close(0.05)
    assert not source.closed.is_set()
    source.gate.set()
    assert newest.close(5)
    assert source.closed.is_set()
    assert newest.stuck_s() == 0


def test_hanging_close_is_told() -> None:
    source = Unclosable(1)
    with NewestFrame(lambda: source) as newest:
        assert newest.get(PATIENCE_S) is not None
        assert source.reached.wait(PATIENCE_S)
        assert newest.get(0.02) is None
        assert newest.stuck_s() > 0.01
        source.gate.set()


class Unclosable(Scripted):
    def close(self) -> None:
        self.reached.set()
        self.gate.wait(PATIENCE_S)


def test_source_that_gives_what_is_not_wanted_is_not_stuck() -> None:
    begun_s = time.monotonic()
    source = Unwanted(2, gate_at=1, fps_limit=0.125)
    with NewestFrame(lambda: source) as newest:
        assert source.reached.wait(PATIENCE_S)
        assert newest.stuck_s() <= time.monotonic() - begun_s - Unwanted.pause_s
        source.gate.set()


class Unwanted(Scripted):
    """After the first frame a pause, and one that comes too soon to be wanted."""

    pause_s = 0.3

    def _shots(self) -> Iterator[LazyFrame]:
        yield LazyFrame(0.0, picture)
        time.sleep(self.pause_s)
        yield LazyFrame(0.04, picture)
        self.reached.set()
        self.gate.wait(PATIENCE_S)
