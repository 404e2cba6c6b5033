"""Frames on a GPU: readers there use them in place, others get them in shared memory when they ask. The GPU's memory is
a file here; the protocol is the ring's own. tests/support/ring_torture.py has these frames among its own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.errors import RingError
from jetstream.ipc import gpu_slots
from jetstream.ipc.frames import FrameView, GpuFrameView
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.picture_format import Nv12Picture, PictureFormat
from tests.support.file_slots import DEVICE, FileSlots, on_gpu, planes
from tests.support.rings import NAME, served

SLOTS = 4


@pytest.fixture
def shared() -> Iterator[Callable[[Ring], FileSlots]]:
    made: list[FileSlots] = []

    def share(ring: Ring) -> FileSlots:
        made.append(FileSlots(ring.slots, ring.layout.gpu_slot_bytes))
        ring.share(made[-1])
        return made[-1]

    yield share
    for slots in made:
        slots.close()


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    with Ring.create(NAME, slots=SLOTS, max_width=65, max_height=49, directory=tmp_path) as ring:
        yield ring


def nv12(seed: int, height: int = 49, width: int = 65) -> Nv12Picture:
    chance = np.random.default_rng(seed)
    planes = [
        chance.integers(0, 256, n, np.uint8) for n in (height * width, (height + 1) // 2 * ((width + 1) // 2) * 2)
    ]
    luma, chroma = planes[0].reshape(height, width), planes[1].reshape((height + 1) // 2, (width + 1) // 2, 2)
    return Nv12Picture(luma, chroma, PictureFormat.NV12_709_FULL)


def assert_same(picture: object, expected: Nv12Picture) -> None:
    assert isinstance(picture, Nv12Picture)
    np.testing.assert_array_equal(picture.luma, expected.luma)
    np.testing.assert_array_equal(picture.chroma, expected.chroma)
    assert picture.format is expected.format


@pytest.mark.parametrize("size", [(49, 65), (48, 64), (1, 1), (2, 65), (49, 1)])
def test_reader_on_the_gpu_finds_the_frame_there(ring: Ring, tmp_path: Path, shared, size) -> None:
    slots = shared(ring)
    for number in range(2 * SLOTS + 1):
        frame_id = ring.write(on_gpu(nv12(number, *size)))
        with Ring.attach(NAME, directory=tmp_path) as reader:
            view = reader.view_on(frame_id, DEVICE)
            assert isinstance(view, GpuFrameView)
            assert view.picture.shape == size
            assert_same(planes(view.picture), nv12(number, *size))
            assert view.still_valid()
    assert slots.fetched == 0, "nothing is copied that nobody asked for"


@pytest.mark.parametrize("asks", ["view", "read", "another GPU", "no GPU"])
def test_other_readers_get_it_in_shared_memory(ring: Ring, tmp_path: Path, shared, asks) -> None:
    shared(ring)
    frame_id = ring.write(on_gpu(nv12(1)))
    with served(ring), Ring.attach(NAME, directory=tmp_path) as reader:
        if asks == "read":
            np.testing.assert_array_equal(reader.read(frame_id), nv12(1).bgr())
            return
        gpu = {"another GPU": DEVICE + 1, "no GPU": None}
        view = reader.view(frame_id) if asks == "view" else reader.view_on(frame_id, gpu[asks])
        assert isinstance(view, FrameView)
        assert_same(view.picture, nv12(1))


def test_frame_is_copied_once_however_many_ask(ring: Ring, tmp_path: Path, shared) -> None:
    slots = shared(ring)
    frame_id = ring.write(on_gpu(nv12(1)))
    with served(ring), Ring.attach(NAME, directory=tmp_path) as reader:
        for _ in range(5):
            assert reader.read(frame_id) is not None
    assert slots.fetched == 1


def test_frames_after_one_that_was_asked_for_are_there_at_once(ring: Ring, tmp_path: Path, shared) -> None:
    slots = shared(ring)
    frame_id = ring.write(on_gpu(nv12(0)))
    with Ring.attach(NAME, directory=tmp_path) as reader:
        with served(ring):
            assert reader.read(frame_id) is not None
        for number in (1, 2, 3):  # nobody serves any more
            frame_id = ring.write(on_gpu(nv12(number)))
            np.testing.assert_array_equal(reader.read(frame_id), nv12(number).bgr())
    assert slots.fetched == 4


def test_copying_ends_when_nobody_asks_any_more(ring: Ring, shared, monkeypatch) -> None:
    monkeypatch.setattr(gpu_slots, "KEEP_S", 0.01)
    slots = shared(ring)
    frame_id = ring.write(on_gpu(nv12(0)))
    with served(ring):
        assert ring.read(frame_id) is not None
    time.sleep(0.02)
    ring.write(on_gpu(nv12(1)))
    assert slots.fetched == 1


def test_reader_gives_up_when_nobody_copies(ring: Ring, shared) -> None:
    shared(ring)
    frame_id = ring.write(on_gpu(nv12(0)))
    begun_s = time.monotonic()
    assert ring.read(frame_id) is None
    assert time.monotonic() - begun_s >= gpu_slots.WAIT_S


def test_overwritten_frame_is_not_waited_for(ring: Ring, shared) -> None:
    shared(ring)
    for number in range(SLOTS + 1):
        ring.write(on_gpu(nv12(number)))
    assert ring.read(0) is None
    assert ring.view_on(0, DEVICE) is None


def test_frames_here_and_there_take_turns(ring: Ring, shared) -> None:
    shared(ring)
    with served(ring):
        for number in range(3 * SLOTS):
            picture = nv12(number)
            frame_id = ring.write(on_gpu(picture) if number % 3 else picture)
            assert isinstance(ring.view_on(frame_id, DEVICE), GpuFrameView if number % 3 else FrameView)
            np.testing.assert_array_equal(ring.read(frame_id), picture.bgr())


def test_frames_of_a_writer_that_died_are_gone_with_its_memory(ring: Ring, tmp_path: Path, shared) -> None:
    with Ring.attach(NAME, directory=tmp_path) as first:
        shared(first)
        old = first.write(on_gpu(nv12(0)))
        kept = first.write(nv12(1))
        before = ring.view_on(old, DEVICE)
    with Ring.attach(NAME, directory=tmp_path) as second:
        shared(second)
        new = second.write(on_gpu(nv12(2)))
        begun_s = time.monotonic()
        assert ring.view_on(old, DEVICE) is None
        assert ring.read(old) is None
        assert time.monotonic() - begun_s < gpu_slots.WAIT_S, "it can't come any more"
        np.testing.assert_array_equal(ring.read(kept), nv12(1).bgr())
        after = ring.view_on(new, DEVICE)
        assert isinstance(before, GpuFrameView)
        assert isinstance(after, GpuFrameView)
        assert_same(planes(after.picture), nv12(2))
        assert before.picture.memory != after.picture.memory
        assert before.picture.memory.owner == after.picture.memory.owner  # type: ignore[union-attr]


def test_memory_that_is_being_changed_is_no_memory(ring: Ring, shared) -> None:
    shared(ring)
    frame_id = ring.write(on_gpu(nv12(0)))
    ring._gpu._lines[0] |= 1  # a writer was killed in step G1
    assert ring.view_on(frame_id, DEVICE) is None
    shared(ring)
    assert ring.view_on(frame_id, DEVICE) is None, "the number of the memory is a new one"
    assert isinstance(ring.view_on(ring.write(on_gpu(nv12(1))), DEVICE), GpuFrameView)


def test_picture_on_a_gpu_needs_memory_there(ring: Ring, tmp_path: Path) -> None:
    for one in (ring, LocalRing()):
        with pytest.raises(ValueError, match="has no memory there"):
            one.write(on_gpu(nv12(0)))
    with Ring.attach(NAME, directory=tmp_path) as second, pytest.raises(RingError, match="another process writes"):
        second.write(nv12(0))


def test_picture_that_is_too_large_is_refused(ring: Ring, shared) -> None:
    shared(ring)
    with pytest.raises(ValueError, match="the ring holds at most 65 x 49"):
        ring.write(on_gpu(nv12(0, 50, 66)))
    with pytest.raises(ValueError, match="the ring holds at most 65 x 49"):
        ring.write(on_gpu(nv12(0, 1, 3000)))  # not more pixels, but more bytes of Cb and Cr
    assert ring.cursor == 0
