"""When a process sends what its stage yields: at once where nothing else is to do, together under load."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jetstream.config.schema import Config
from jetstream.ipc.bus import Inbox, Outbox, Reader
from jetstream.messages import Captured, Wanted
from jetstream.pipeline import stage_named
from jetstream.runtime import worker
from jetstream.runtime.heartbeat import HeartbeatSender
from jetstream.runtime.worker import Received
from tests.support.stage_messages import capture_of
from tests.support.waiting import wait_until


class Desk:
    """A stage between two endpoints: `track`, which takes single messages, or `recognize`, which takes lists."""

    def __init__(self, folder: Path, name: str) -> None:
        self._sender = Outbox(folder, {Captured: [Reader("stage", lossless=True, ends=True)]})
        self._inbox = Inbox(folder, "stage", {Captured: None}, senders=frozenset({"capture.a"}))
        self._reader = Inbox(folder, "reader", {Wanted: None}, senders=frozenset({"stage"}))
        self._outbox = Outbox(folder, {Wanted: [Reader("reader", lossless=True, ends=True)]}, gathers=True)
        stage = stage_named(name).under(Config())  # type: ignore[arg-type]
        self.received = Received(self._inbox, stage, HeartbeatSender(name, folder), self._outbox, cameras=8)

    def give(self, count: int) -> None:
        for i in range(count):
            self._sender.send(capture_of(i))
        wait_until(lambda: self._inbox._receive(0) or sum(n for _, n, _ in self._inbox.queues()) >= count)

    def answer(self, frame_id: int) -> None:
        self._outbox.send(Wanted(frame=capture_of(frame_id).frame, faces=()))

    def sent(self) -> int:
        time.sleep(0.1)
        self._reader._receive(0)
        return sum(waiting for _, waiting, _ in self._reader.queues())

    def close(self) -> None:
        for one in (self._inbox, self._reader, self._outbox, self._sender):
            one.close()


@pytest.fixture
def desk(tmp_path: Path) -> Callable[[str], Desk]:
    return lambda name: Desk(tmp_path, name)


@pytest.mark.parametrize(("name", "waits"), [("track", True), ("recognize", False)])
def test_answer_waits_for_those_to_what_is_waiting_unless_they_came_as_a_list(
    desk: Callable[[str], Desk], monkeypatch: pytest.MonkeyPatch, name: str, waits: bool
) -> None:
    monkeypatch.setattr(worker, "GATHERED_NS", 10**12)
    at = desk(name)
    at.give(3)
    next(at.received)
    at.received._sent_ns = time.monotonic_ns()
    at.answer(0)
    next(at.received)
    assert at.sent() == (0 if waits else 1)

    at.answer(1)
    next(at.received)
    at.answer(2)
    at._sender.end("capture.a")
    with pytest.raises(StopIteration):
        next(at.received)
    assert at.sent() == 3
    at.close()


def test_answer_waits_no_longer_than_the_limit(desk: Callable[[str], Desk]) -> None:
    at = desk("track")
    at.give(3)
    next(at.received)
    at.answer(0)
    time.sleep(2 * worker.GATHERED_NS * 1e-9)
    next(at.received)

    assert at.sent() == 1
    at.close()
