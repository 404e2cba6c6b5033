"""Each frame once and in order, when frames are told of again."""

from pathlib import Path

from jetstream.ipc.bus import Inbox, Outbox, Reader
from jetstream.ipc.memory import AnswerCache
from jetstream.messages import Captured, Detected, Named
from tests.support.stage_messages import capture_of


def answered(message: Captured) -> Detected:
    return Detected(frame=message.frame, faces=())


def passed(memory: AnswerCache, outbox: Outbox, *frame_ids: int) -> list[int]:
    found = []
    for message in memory.new_ones((capture_of(i) for i in frame_ids), outbox):
        assert isinstance(message, Captured)
        memory.add(answered(message))
        found.append(message.frame.frame_id)
    return found


def test_frame_passes_once_and_one_before_its_turn_not_at_all(tmp_path: Path) -> None:
    memory = AnswerCache(Captured, {"a": 0}, 8, lambda camera: 0)

    assert passed(memory, Outbox(tmp_path, {Detected: []}), 0, 1, 1, 3, 0, 2, 3) == [0, 1, 2, 3]


def test_frame_told_of_again_is_answered_from_memory(tmp_path: Path) -> None:
    memory = AnswerCache(Captured, {"a": 0}, 8, lambda camera: 0)
    outbox = Outbox(tmp_path, {Detected: [Reader("track", lossless=True, ends=True)]})
    passed(memory, outbox, 0, 1, 2)
    inbox = Inbox(tmp_path, "track", {Detected: None}, senders=frozenset({"detect"}))

    passed(memory, outbox, 1)
    outbox.end("detect")

    assert list(inbox) == [answered(capture_of(1))]
    inbox.close()


def test_frames_that_all_readers_are_done_with_are_not_waited_for(tmp_path: Path) -> None:
    """A process that was started again while the slowest reader was behind."""
    slowest = {"a": 5}
    memory = AnswerCache(Captured, {"a": 5}, 8, slowest.__getitem__)
    slowest["a"] = 9

    assert passed(memory, Outbox(tmp_path, {Detected: []}), 9, 10, 11) == [9, 10, 11]


def test_other_messages_pass(tmp_path: Path) -> None:
    memory = AnswerCache(Detected, {"a": 7}, 8, lambda camera: 0)
    named = Named(frame=capture_of(3).frame, faces=())

    assert list(memory.new_ones(iter([named]), Outbox(tmp_path, {}))) == [named]
