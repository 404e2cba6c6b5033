"""Doorways over real ZeroMQ sockets."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from jetstream.errors import UserError
from jetstream.ipc.bus import HIGH_WATER, LONG_ABSENCE, Inbox, Outbox, Reader, endpoint
from jetstream.messages import Captured, Demuxed, Ended, InUse, Named, Tick, Wanted
from tests.support.stage_messages import capture_of
from tests.support.waiting import wait_until


def outbox(run_dir: Path, *, lossless: bool = False, ends: bool = True) -> Outbox:
    return Outbox(run_dir, {Captured: [Reader("detect", lossless=lossless, ends=ends)]})


def inbox(run_dir: Path, limit: int | None, *, senders: tuple[str, ...] = ("capture.a",), **options: object) -> Inbox:
    return Inbox(run_dir, "detect", {Captured: limit}, senders=frozenset(senders), **options)  # type: ignore[arg-type]


@contextmanager
def later(after_s: float, what: Callable[[], None]) -> Iterator[None]:
    """Does it in a thread while the block runs."""
    timer = threading.Timer(after_s, what)
    timer.start()
    yield
    timer.join()


def take_in(reader: Inbox, messages: int) -> None:
    """As the reader does between two messages, until so many wait in it or fell."""

    def all_are_there() -> bool:
        reader._receive(timeout_s=0)
        return sum(waiting + fell for _, waiting, fell in reader.queues()) >= messages

    wait_until(all_are_there)


def ids(messages: list[Captured]) -> list[int]:
    return [message.frame.frame_id for message in messages]


def test_messages_arrive_in_order_and_the_end_ends_the_inbox(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, None), outbox(tmp_path, lossless=True)
    for i in range(200):
        sender.send(capture_of(i))
    sender.end("capture.a")

    assert ids(list(reader)) == list(range(200))
    reader.close()


def test_reader_that_opens_later_misses_nothing(tmp_path: Path) -> None:
    sender = outbox(tmp_path, lossless=True)
    sender.send(capture_of(0))
    reader = inbox(tmp_path, None)
    sender.end("capture.a")

    assert ids(list(reader)) == [0]
    reader.close()


def test_reader_of_some_cameras_gets_their_frames_alone(tmp_path: Path) -> None:
    parts = {"track.1": frozenset("ac"), "track.2": frozenset("b")}
    readers = {name: Inbox(tmp_path, name, {Captured: None}, senders=frozenset({"detect"})) for name in parts}
    sender = Outbox(tmp_path, {Captured: [Reader(name, True, True, cameras=own) for name, own in parts.items()]})
    for i, camera in enumerate("abcba"):
        sender.send(capture_of(i, camera))
    sender.end("detect")

    assert {name: ids(list(reader)) for name, reader in readers.items()} == {"track.1": [0, 2, 4], "track.2": [1, 3]}
    for reader in readers.values():
        reader.close()


def test_packets_wake_the_decoder_that_has_their_camera(tmp_path: Path) -> None:
    parts = {"decode.1": frozenset("a"), "decode.2": frozenset("b")}
    readers = {name: Inbox(tmp_path, name, {Demuxed: None}, senders=frozenset({"capture.b"})) for name in parts}
    sender = Outbox(tmp_path, {Demuxed: [Reader(name, False, True, cameras=own) for name, own in parts.items()]})
    packets = Demuxed(camera="b", count=7, arrived_ns=0)
    sender.send(packets)
    sender.end("capture.b")

    assert {name: list(reader) for name, reader in readers.items()} == {"decode.1": [], "decode.2": [packets]}
    for reader in readers.values():
        reader.close()


def test_of_several_senders_one_speaks_about_what_belongs_to_no_camera(tmp_path: Path) -> None:
    names = ("recognize.1", "recognize.2")
    reader = Inbox(tmp_path, "web", {InUse: None, Named: None}, senders=frozenset(names))
    readers = {kind: [Reader("web", lossless=True, ends=True)] for kind in (InUse, Named)}
    gallery = InUse(sha256="ab", people=1, photos=2)
    answers = [Named(frame=capture_of(0, camera).frame, faces=()) for camera in "ab"]
    for name, answer in zip(names, answers, strict=True):
        sender = Outbox(tmp_path, readers, speaks_for_all=name == names[0])
        sender.send(gallery)
        sender.send(answer)
        sender.end(name)
    take_in(reader, 3)  # of two sockets

    got = list(reader)

    assert got.count(gallery) == 1
    assert [one for one in got if one != gallery] == answers
    reader.close()


def test_message_of_no_frame_passes_beside_the_frames(tmp_path: Path) -> None:
    reader = Inbox(tmp_path, "publish", {Captured: 3, InUse: 3}, senders=frozenset({"track"}))
    frames = Outbox(tmp_path, {Captured: [Reader("publish", lossless=False, ends=True)]})
    galleries = Outbox(tmp_path, {InUse: [Reader("publish", lossless=False, ends=False)]})
    galleries.send(InUse(sha256="ab", people=1, photos=2))
    frames.send(capture_of(0))
    take_in(reader, 2)
    galleries.close()  # not its end
    frames.end("track")

    got = list(reader)

    assert len(got) == 2
    assert InUse(sha256="ab", people=1, photos=2) in got
    assert capture_of(0) in got
    reader.close()


def test_late_reader_gets_the_newest_and_the_oldest_are_counted(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, 3), outbox(tmp_path)
    for i in range(20):
        sender.send(capture_of(i))
    sender.end("capture.a")
    take_in(reader, 20)

    assert ids(list(reader)) == [17, 18, 19]
    assert list(reader.queues()) == [("captured.detect", 0, 17)]
    reader.close()


def test_full_queue_drops_at_the_sender_and_is_counted(tmp_path: Path) -> None:
    sender = outbox(tmp_path)
    for i in range(HIGH_WATER + 10):
        sender.send(capture_of(i))

    assert sender.full_at == {"captured.detect": 10}
    sender.end("capture.a", timeout_s=0.01)


def gathering(run_dir: Path, *, lossless: bool = True) -> Outbox:
    return Outbox(run_dir, {Captured: [Reader("detect", lossless=lossless, ends=True)]}, gathers=True)


def test_what_is_gathered_waits_for_the_flush_and_arrives_in_order(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, None), gathering(tmp_path)
    for i in range(3):
        sender.send(capture_of(i))
    time.sleep(0.1)
    reader._receive(timeout_s=0)
    assert list(reader.queues()) == [("captured.detect", 0, 0)]

    sender.flush()
    assert ids([next(reader) for _ in range(3)]) == [0, 1, 2]  # type: ignore[arg-type]
    sender.send(capture_of(3))
    sender.end("capture.a")
    assert ids(list(reader)) == [3], "the end takes along what waits"
    reader.close()


def test_gathered_messages_are_one_of_the_queue_and_fall_together_but_each_is_counted(tmp_path: Path) -> None:
    sender = gathering(tmp_path, lossless=False)
    for i in range(HIGH_WATER + 2):
        for camera in "abc":
            sender.send(capture_of(i, camera))
        sender.flush()

    assert sender.full_at == {"captured.detect": 6}
    sender.end("capture.a", timeout_s=0.01)


def test_garbled_part_takes_none_of_the_others_along(tmp_path: Path) -> None:
    reader, encode = inbox(tmp_path, None), msgspec.msgpack.encode
    with zmq.Context.instance().socket(zmq.PUSH) as socket:
        socket.connect(endpoint(tmp_path, Captured, "detect"))
        socket.send_multipart(
            [encode(capture_of(0)), b"\xc1", encode(capture_of(1)), encode(Ended(sender="capture.a"))]
        )

        assert ids(list(reader)) == [0, 1]
    assert reader.garbled == {"captured.detect": 1}
    reader.close()


def test_inbox_ends_only_when_all_senders_have(tmp_path: Path) -> None:
    reader = inbox(tmp_path, None, senders=("capture.a", "capture.b"))
    first, second = outbox(tmp_path, lossless=True), outbox(tmp_path, lossless=True)
    first.end("capture.a")
    second.send(capture_of(5, "b"))
    second.end("capture.b")

    assert ids(list(reader)) == [5]
    reader.close()


def test_reader_that_starts_again_is_found_by_its_sender(tmp_path: Path) -> None:
    sender = outbox(tmp_path, lossless=True)
    reader = inbox(tmp_path, None)
    sender.send(capture_of(0))
    assert ids([next(reader)]) == [0]
    reader.close()
    time.sleep(0.5)  # the sender sees it go; nothing tells when

    again = inbox(tmp_path, None)
    sender.send(capture_of(1))
    sender.end("capture.a")

    assert ids(list(again)) == [1]
    again.close()


def test_batch_takes_one_message_of_each_camera(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, 4), outbox(tmp_path)
    for i in range(2):
        for camera in "abc":
            sender.send(capture_of(i, camera))
    take_in(reader, 6)

    first = reader.batch(8)

    assert [(m.frame.camera, m.frame.frame_id) for m in first] == [("a", 0), ("b", 0), ("c", 0)]  # type: ignore[attr-defined]
    assert len(reader.batch(2)) == 2
    reader.close()


def test_batch_waits_for_the_other_cameras_until_it_is_full(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, 4), outbox(tmp_path)
    for i in range(3):
        sender.send(capture_of(i, "a"))

    def first(most: int) -> list[tuple[str, int]]:
        return [(m.frame.camera, m.frame.frame_id) for m in reader.batch(most, wait_s=60)]  # type: ignore[attr-defined]

    with later(0.3, lambda: sender.send(capture_of(7, "b"))):
        assert first(2) == [("a", 0), ("b", 7)]
    assert first(1) == [("a", 1)], "full with its first"
    reader.close()


def test_batch_that_is_not_filled_comes_after_the_wait_and_beats_go_on(tmp_path: Path) -> None:
    beats: list[float] = []
    reader, sender = inbox(tmp_path, 4, beat=lambda: beats.append(time.monotonic())), outbox(tmp_path)
    sender.send(capture_of(0))
    take_in(reader, 1)

    began_s = time.monotonic()
    assert ids(reader.batch(8, wait_s=0.5)) == [0]  # type: ignore[arg-type]

    assert time.monotonic() - began_s >= 0.5
    assert len([beat_s for beat_s in beats if beat_s - began_s > 0.05]) >= 4
    reader.close()


@pytest.mark.parametrize("word", ["end", "stop"])
def test_nobody_waits_for_cameras_at_the_end(tmp_path: Path, word: str) -> None:
    told = threading.Event()
    reader, sender = inbox(tmp_path, 4, stop=told.is_set), outbox(tmp_path)
    sender.send(capture_of(0))

    with later(0.3, told.set if word == "stop" else lambda: sender.end("capture.a")):
        assert ids(reader.batch(8, wait_s=60)) == [0]  # type: ignore[arg-type]
    reader.close()


def test_idle_tick_comes_once_as_soon_as_nothing_waits(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, None, idle_ticks=True), outbox(tmp_path, lossless=True)
    for i in range(2):
        sender.send(capture_of(i))
    take_in(reader, 2)
    assert [next(reader) for _ in range(3)] == [capture_of(0), capture_of(1), Tick()]

    with later(0.3, lambda: sender.send(capture_of(2))):
        assert reader.batch(8) == [capture_of(2)], "it waits without a second tick"
    assert reader.batch(8) == [Tick()]
    sender.end("capture.a")
    assert list(reader) == [], "nothing was given since"
    reader.close()


def test_idle_tick_comes_before_the_end(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, None, idle_ticks=True), outbox(tmp_path, lossless=True)
    sender.send(capture_of(0))
    sender.end("capture.a")

    assert list(reader) == [capture_of(0), Tick()]
    reader.close()


def test_busy_camera_does_not_starve_the_others(tmp_path: Path) -> None:
    reader, sender = inbox(tmp_path, 10), outbox(tmp_path)
    for i in range(8):
        sender.send(capture_of(i, "busy"))
    sender.send(capture_of(0, "quiet"))
    take_in(reader, 9)

    assert [next(reader).frame.camera for _ in range(2)] == ["busy", "quiet"]  # type: ignore[attr-defined]
    reader.close()


def test_beat_is_called_while_nothing_comes_and_stop_ends_the_inbox(tmp_path: Path) -> None:
    beats: list[float] = []
    reader = inbox(tmp_path, 3, beat=lambda: beats.append(time.monotonic()), stop=lambda: len(beats) > 3)

    assert list(reader) == []
    assert len(beats) == 4
    reader.close()


def test_queue_for_a_reader_that_stays_away_has_an_end_and_what_falls_is_counted(tmp_path: Path) -> None:
    sender = Outbox(tmp_path, {Captured: [Reader("publish", lossless=True, ends=True, vital=False)]})
    for i in range(LONG_ABSENCE + 10):
        sender.send(capture_of(i))

    assert sender.full_at == {"captured.publish": 10}
    sender.end("capture.a", timeout_s=0.01)


def test_reader_with_answers_to_wait_for_sees_ticks_and_the_end(tmp_path: Path) -> None:
    kinds = {Captured: None, Named: None}
    reader = Inbox(tmp_path, "track", kinds, senders=frozenset({"detect"}), pass_ended=True, tick_s=0.05)
    assert isinstance(next(reader), Tick)

    sender = Outbox(tmp_path, {Captured: [Reader("track", lossless=True, ends=True)]})
    sender.end("detect")
    seen = next(message for message in reader if not isinstance(message, Tick))
    assert isinstance(seen, Ended)

    answers = Outbox(tmp_path, {Named: [Reader("track", lossless=True, ends=False)]})
    answers.send(Named(frame=capture_of(3).frame, faces=()))
    assert next(message for message in reader if not isinstance(message, Tick)) == Named(
        frame=capture_of(3).frame, faces=()
    )
    reader.close()
    answers.end("recognize")


def test_path_too_long_for_a_socket_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pipeline\.run_dir: .* choose a shorter folder"):
        endpoint(tmp_path / ("x" * 100), Wanted, "recognize")
