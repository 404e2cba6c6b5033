"""The frame ring between real processes: what is read is what was written, or nothing."""

import json
import mmap
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jetstream.errors import RingError
from jetstream.ipc.layout import SLOTS
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.ipc.rings import Rings
from jetstream.picture_format import Nv12Picture, PictureFormat
from tests.support.nv12 import FORMATS, apart, noise_nv12, reference_bgr
from tests.support.repository import REPOSITORY
from tests.support.rings import NAME, picture, small_ring
from tests.support.waiting import wait_until

Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(params=["shared", "local"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ring | LocalRing]:
    """Both kinds of ring keep one contract."""
    if request.param == "local":
        yield LocalRing(slots=4)
        return
    with small_ring(tmp_path) as ring:
        yield ring


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    """Starts a Python process in which `ring` is attached; whatever still runs at the end is killed."""
    processes = []

    def start(script: str) -> "subprocess.Popen[str]":
        attach = f"""
            import sys, time, numpy as np
            from pathlib import Path
            from jetstream.ipc.ring import Ring
            ring = Ring.attach({NAME!r}, directory=Path({str(tmp_path)!r}))
        """
        command = [sys.executable, "-c", textwrap.dedent(attach) + textwrap.dedent(script)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_frames_are_numbered_from_zero_and_read_back(either: Ring | LocalRing) -> None:
    assert [either.write(picture(seed)) for seed in (7, 8)] == [0, 1]
    assert either.cursor == 2
    for frame_id, seed in enumerate((7, 8)):
        np.testing.assert_array_equal(either.read(frame_id), picture(seed))


def test_frame_keeps_the_time_of_its_capture(either: Ring | LocalRing) -> None:
    for number in range(6):
        either.write(picture(number), captured_ns=10**15 + number)
    assert [either.captured_ns(number) for number in range(2, 6)] == [10**15 + number for number in range(2, 6)]


def test_numbers_that_are_left_out_belong_to_no_frame(either: Ring | LocalRing) -> None:
    first = either.write(picture(1))
    second = either.write(picture(2), left_out=2)

    assert (first, second, either.cursor) == (0, 3, 4)
    assert [either.read(number) is None for number in range(4)] == [False, True, True, False]
    assert either.write(picture(3), left_out=100) == 104
    assert either.read(3) is None
    assert either.read(104) is not None


def test_frame_not_written_yet_is_none(either: Ring | LocalRing) -> None:
    either.write(picture(0))
    assert either.read(1) is None
    assert either.view(1) is None
    assert either.read(-1) is None


def test_reader_lapped_by_writer_gets_none(either: Ring | LocalRing) -> None:
    for seed in range(5):
        either.write(picture(seed))
    assert either.read(0) is None
    assert either.view(0) is None
    np.testing.assert_array_equal(either.read(1), picture(1))


def test_view_says_when_its_frame_is_overwritten(either: Ring | LocalRing) -> None:
    either.write(picture(0))
    view = either.view(0)
    for seed in range(1, 4):
        either.write(picture(seed))
    assert view.still_valid()
    np.testing.assert_array_equal(view.image, picture(0))
    either.write(picture(4))
    assert not view.still_valid()


def test_view_is_read_only_and_copy_is_private(either: Ring | LocalRing) -> None:
    either.write(picture(0))
    assert not either.view(0).image.flags.writeable
    either.read(0)[:] = 0
    np.testing.assert_array_equal(either.read(0), picture(0))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("size", [(48, 64), (1, 1), (17, 31), (31, 18)])
def test_nv12_is_viewed_as_it_is_and_read_as_bgr(
    either: Ring | LocalRing, size: tuple[int, int], form: PictureFormat
) -> None:
    written = noise_nv12(*size, form)
    either.write(apart(written, 80))
    view = either.view(0)
    assert view.picture.format is form
    np.testing.assert_array_equal(view.picture.luma, written.luma)
    np.testing.assert_array_equal(view.picture.chroma, written.chroma)
    assert not view.picture.luma.flags.writeable
    assert not view.picture.chroma.flags.writeable
    for image in (view.image, either.read(0), either.read(0, out=np.zeros(64 * 48 * 3, np.uint8))):
        np.testing.assert_array_equal(image, reference_bgr(written))
    assert view.still_valid()


def test_formats_follow_each_other_in_one_slot(either: Ring | LocalRing) -> None:
    nv12 = noise_nv12(48, 64, PictureFormat.NV12_709)
    for number in range(12):
        either.write(nv12 if number % 3 else picture(number))
        expected = reference_bgr(nv12) if number % 3 else picture(number)
        np.testing.assert_array_equal(either.read(number), expected)


def test_planes_of_nv12_begin_on_a_page_and_follow_each_other(ring: Ring) -> None:
    ring.write(noise_nv12(17, 31, PictureFormat.NV12_601))
    planes = ring.view(0).picture
    first, second = (plane.__array_interface__["data"][0] for plane in (planes.luma, planes.chroma))
    assert first % mmap.PAGESIZE == 0
    assert second - first == 17 * 31


def test_frames_vary_in_size(either: Ring | LocalRing) -> None:
    sizes = [(48, 64), (1, 1), (64, 48), (17, 31)]  # the third is a portrait with as many pixels as a slot
    for height, width in sizes:
        either.write(picture(height, height, width))
    for frame_id, (height, width) in enumerate(sizes):
        np.testing.assert_array_equal(either.read(frame_id), picture(height, height, width))


def test_image_of_any_strides_is_written_right(either: Ring | LocalRing) -> None:
    image = picture(0, 48, 128)[::-1, ::2]
    either.write(image)
    np.testing.assert_array_equal(either.read(0), image)


def test_read_into_own_buffer(either: Ring | LocalRing) -> None:
    either.write(picture(0, 20, 30))
    out = np.zeros(64 * 48 * 3, np.uint8)
    image = either.read(0, out=out)
    assert np.shares_memory(image, out)
    np.testing.assert_array_equal(image, picture(0, 20, 30))


@pytest.mark.parametrize(
    "out", [np.zeros(10, np.uint8), np.zeros((48, 64, 3)), np.zeros((48, 64, 6), np.uint8)[..., ::2]]
)
def test_unfit_buffer_is_refused(either: Ring | LocalRing, out: NDArray[np.uint8]) -> None:
    either.write(picture(0))
    with pytest.raises(ValueError, match="contiguous uint8 of 9216 bytes"):
        either.read(0, out=out)


@pytest.mark.parametrize(
    "image",
    [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_frame_is_refused(either: Ring | LocalRing, image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8 BGR"):
        either.write(image)
    assert either.cursor == 0


@pytest.mark.parametrize(
    "planes", [((48, 64), (24, 32)), ((48, 64), (24, 31, 2)), ((0, 64), (0, 32, 2)), ((47, 63), (23, 31, 2))]
)
def test_planes_that_do_not_fit_each_other_are_refused(
    either: Ring | LocalRing, planes: tuple[tuple[int, ...]]
) -> None:
    luma, chroma = (np.zeros(shape, np.uint8) for shape in planes)
    with pytest.raises(ValueError, match="expected NV12"):
        either.write(Nv12Picture(luma, chroma, PictureFormat.NV12_601))
    assert either.cursor == 0


def test_nv12_of_more_pixels_than_a_slot_holds_as_bgr_is_refused(ring: Ring) -> None:
    with pytest.raises(ValueError, match="64 x 50 px: the ring holds at most 64 x 48"):
        ring.write(noise_nv12(50, 64, PictureFormat.NV12_601))


def test_format_that_is_none_is_damage(ring: Ring) -> None:
    ring.write(picture(0))
    ring._words[SLOTS + 4] = 99
    with pytest.raises(RingError, match="damaged: a frame of 64 x 48 px in format 99; start the run again"):
        ring.read(0)


def test_frame_larger_than_a_slot_is_refused(ring: Ring) -> None:
    with pytest.raises(ValueError, match="65 x 48 px: the ring holds at most 64 x 48"):
        ring.write(picture(0, 48, 65))
    assert ring.cursor == ring.begun == 0


def test_slots_begin_on_pages(ring: Ring) -> None:
    for seed in range(4):
        ring.write(picture(seed))
        address: int = ring.view(seed).image.__array_interface__["data"][0]
        assert address % mmap.PAGESIZE == 0
    assert ring.memory.__array_interface__["data"][0] % mmap.PAGESIZE == 0
    assert ring.memory.nbytes % mmap.PAGESIZE == 0


def test_another_process_reads_the_same_pixels(ring: Ring, child: Child) -> None:
    nv12 = noise_nv12(48, 64, PictureFormat.NV12_709_FULL)
    ring.write(picture(3))
    ring.write(nv12)
    reader = child("for number in (0, 1): print(ring.read(number).tobytes().hex(), flush=True)")
    assert bytes.fromhex(answer(reader)) == picture(3).tobytes()
    assert bytes.fromhex(answer(reader)) == reference_bgr(nv12).tobytes()


def test_no_torn_frame_gets_past_four_readers() -> None:
    seconds = os.environ.get("JETSTREAM_TORTURE_S", "2")
    torture = REPOSITORY / "tests" / "support" / "ring_torture.py"
    done = subprocess.run(
        [sys.executable, torture, "--seconds", seconds, "--kills", "0"], stdout=subprocess.PIPE, text=True
    )
    counts = json.loads(done.stdout)
    assert counts["torn"] == 0
    assert min(counts[what] for what in ("whole", "used_on_gpu", "lapped", "caught")) > 0  # it was tried


def test_writer_killed_in_mid_frame_is_followed_by_the_same_number(tmp_path: Path, child: Child) -> None:
    with Ring.create(NAME, slots=4, max_width=3840, max_height=2160, directory=tmp_path) as ring:
        writer = child("image = np.ones((2160, 3840, 3), np.uint8)\nwhile True: ring.write(image)")
        wait_until(lambda: ring.cursor >= 8)
        wait_until(lambda: stopped_in_mid_frame(writer, ring))
        writer.kill()
        writer.wait()
        cursor = ring.cursor
        assert ring.read(cursor) is None
        assert ring.read(cursor - 4) is None  # half overwritten
        assert [ring.read(cursor - age) is not None for age in (1, 2, 3)] == [True] * 3
        with Ring.attach(NAME, directory=tmp_path) as successor:
            assert successor.write(picture(1)) == cursor
        np.testing.assert_array_equal(ring.read(cursor), picture(1))


def stopped_in_mid_frame(writer: "subprocess.Popen[str]", ring: Ring) -> bool:
    """Stop the writer; if it happens to stand between two frames, let it go on."""
    writer.send_signal(signal.SIGSTOP)
    os.waitpid(writer.pid, os.WUNTRACED)
    if ring.begun > ring.cursor:
        return True
    writer.send_signal(signal.SIGCONT)
    return False


def test_second_writer_is_refused_until_the_first_is_dead(ring: Ring, child: Child) -> None:
    first = child("ring.write(np.zeros((4, 4, 3), np.uint8)); print('wrote', flush=True); time.sleep(60)")
    assert answer(first) == "wrote"
    with pytest.raises(RingError, match="another process writes"):
        ring.write(picture(0))
    first.kill()
    first.wait()
    assert ring.write(picture(0)) == 1


def test_process_that_attached_and_exited_leaves_the_ring_alone(ring: Ring, child: Child) -> None:
    ring.write(picture(0))
    assert child("ring.close()").wait() == 0
    assert child("sys.exit(ring.read(0) is None)").wait() == 0


def test_writer_has_room_without_readers(either: Ring | LocalRing) -> None:
    for seed in range(9):
        assert either.wait_for_room(0)
        either.write(picture(seed))


def test_every_frame_writer_waits_for_the_slowest_reader(either: Ring | LocalRing) -> None:
    slow, fast = either.register("slow"), either.register("fast")
    for seed in range(4):
        assert either.wait_for_room(0)
        fast.done(either.write(picture(seed)))
    assert not either.wait_for_room(0.01)
    slow.done(0)
    assert either.wait_for_room(0)
    either.write(picture(4))
    assert not either.wait_for_room(0.01)


def test_writer_wakes_when_a_reader_in_another_process_is_done(ring: Ring, child: Child) -> None:
    reader = child("""
        cell = ring.register("reader"); print("registered", flush=True)
        for frame_id in range(200):
            while (image := ring.read(frame_id)) is None: time.sleep(0.0005)
            assert (image == frame_id).all()
            cell.done(frame_id)
        print("all there", flush=True)
    """)
    assert answer(reader) == "registered"
    for frame_id in range(200):
        assert ring.wait_for_room(20)
        ring.write(np.full((48, 64, 3), frame_id, np.uint8))
    assert answer(reader) == "all there"


def test_going_back_does_not_hold_the_writer(either: Ring | LocalRing) -> None:
    cell = either.register("reader")
    cell.done(5)
    cell.done(2)
    assert cell.done_below == 6


def test_reader_that_left_does_not_hold_the_writer(either: Ring | LocalRing) -> None:
    cell = either.register("reader")
    for seed in range(4):
        either.write(picture(seed))
    assert not either.wait_for_room(0)
    cell.release()
    assert either.wait_for_room(0)


def test_late_reader_starts_at_the_newest_frame(either: Ring | LocalRing) -> None:
    for seed in range(7):
        either.write(picture(seed))
    assert either.register("late").done_below == 7


def test_dead_reader_registering_again_takes_its_cell_over(ring: Ring, child: Child) -> None:
    for seed in range(4):
        ring.write(picture(seed))
    other = ring.register("other")
    assert child("ring.register('reader').done(5)").wait() == 0
    again = ring.register("reader")
    assert again.done_below == 6
    other.done(9)
    again.done(7)
    assert other.done_below == 10
    assert ring.register("reader").done_below == 8


def test_supervisor_registers_before_the_reader_starts(ring: Ring, child: Child) -> None:
    ring.register("detect")
    for seed in range(4):
        ring.write(picture(seed))
    assert not ring.wait_for_room(0)
    assert child("ring.register('detect').done(3)").wait() == 0
    assert ring.wait_for_room(0)


def test_cells_run_out_with_a_sentence(either: Ring | LocalRing) -> None:
    cells = [either.register(f"reader {index}") for index in range(16)]
    with pytest.raises(ValueError, match="all 16 reader cells are taken, by reader 0, reader 1"):
        either.register("one more")
    cells[3].release()
    either.register("one more")


def test_long_reader_name_is_refused(either: Ring | LocalRing) -> None:
    with pytest.raises(ValueError, match="1 to 48 bytes"):
        either.register("é" * 25)


def test_rings_find_the_frame_by_camera(tmp_path: Path) -> None:
    names = {"door": "jetstream.1.1.door", "yard": "jetstream.1.1.yard"}
    made = [Ring.create(name, slots=2, max_width=64, max_height=48, directory=tmp_path) for name in names.values()]
    for seed, ring in enumerate(made):
        ring.write(picture(seed))
    with Rings.attach_all(names, directory=tmp_path) as rings:
        assert list(rings) == ["door", "yard"]
        np.testing.assert_array_equal(rings.read("yard", 0), picture(1))
        assert rings.view("door", 0).still_valid()
        assert rings.read("door", 1) is None
        with pytest.raises(KeyError, match="attic"):
            rings.read("attic", 0)
    for ring in made:
        ring.close()


def test_rings_close_what_they_opened_when_one_is_missing(ring: Ring, tmp_path: Path) -> None:
    with pytest.raises(RingError, match="missing"):
        Rings.attach_all({"door": NAME, "yard": "missing"}, directory=tmp_path)
    assert str(tmp_path / NAME) not in Path("/proc/self/maps").read_text().replace(f"{tmp_path / NAME}\n", "", 1)


def test_rings_serve_local_rings_too() -> None:
    local = LocalRing(slots=4)
    local.write(picture(0))
    with Rings({"file": local}) as rings:
        np.testing.assert_array_equal(rings.read("file", 0), picture(0))
