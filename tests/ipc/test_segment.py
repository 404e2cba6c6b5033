"""The file behind a ring: made whole or not at all, refused when it is something else, swept when its run is dead."""

import mmap
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from jetstream.errors import RingError
from jetstream.ipc.ring import Ring, segment_name, sweep
from jetstream.ipc.segment import Role, Segment
from tests.support.fulldisk import files_of_at_most
from tests.support.rings import NAME, picture


def test_too_small_shared_memory_says_what_to_do() -> None:
    name = segment_name("huge")
    with pytest.raises(
        RingError, match=r"1000000 slots of 3840 x 2160 px needs 248\d+ MB, but \d+ MB are free; use fewer"
    ):
        Ring.create(name, slots=1_000_000, max_width=3840, max_height=2160)
    assert not Path("/dev/shm", name).exists()


def test_failed_reservation_leaves_nothing_behind(tmp_path: Path) -> None:
    with files_of_at_most(1_000_000), pytest.raises(RingError, match="needs 9 MB, but it can't be reserved"):
        Ring.create(NAME, slots=1000, max_width=64, max_height=32, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_whole_ring_is_reserved_at_once_and_private(ring: Ring, tmp_path: Path) -> None:
    status = (tmp_path / NAME).stat()
    assert status.st_blocks * 512 >= status.st_size == ring.layout.total_bytes
    assert status.st_mode & 0o777 == 0o600


def test_taken_name_is_refused_and_left_alone(ring: Ring, tmp_path: Path) -> None:
    ring.write(picture(0))
    with pytest.raises(RingError, match="File exists"):
        Ring.create(NAME, slots=2, max_width=8, max_height=8, directory=tmp_path)
    assert ring.read(0) is not None
    assert (tmp_path / NAME).exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RingError, match="can't name a frame ring"):
        Ring.create(name, slots=2, max_width=8, max_height=8, directory=tmp_path)


@pytest.mark.parametrize("name", ["n" * 256, f"jetstream.{'9' * 300}.1.door", "é" * 128])
def test_name_longer_than_a_file_name_is_refused(name: str, tmp_path: Path) -> None:
    for open_ring in (Ring.attach, partial(Ring.create, slots=2, max_width=8, max_height=8)):
        with pytest.raises(RingError, match="up to 255 bytes; use a shorter"):
            open_ring(name, directory=tmp_path)


def test_absent_ring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="can't open the frame ring: No such file"):
        Ring.attach(NAME, directory=tmp_path)


@pytest.mark.parametrize("content", [b"\0" * 8192, b"short", b"PNG" * 5000])
def test_foreign_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(RingError, match="not a frame ring"):
        Ring.attach(NAME, directory=tmp_path)
    assert (tmp_path / NAME).read_bytes() == content


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    with pytest.raises(RingError, match="empty"):
        Ring.attach(NAME, directory=tmp_path)


def test_link_is_refused(ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / NAME)
    with pytest.raises(RingError, match="can't open"):
        Ring.attach("link", directory=tmp_path)


def test_ring_of_another_version_is_refused(ring: Ring, tmp_path: Path) -> None:
    overwrite_word(tmp_path / NAME, 1, 99)
    with pytest.raises(RingError, match="layout version 99, expected 3"):
        Ring.attach(NAME, directory=tmp_path)


@pytest.mark.parametrize("word", range(2, 8))
def test_ring_with_a_damaged_header_is_refused(ring: Ring, word: int, tmp_path: Path) -> None:
    overwrite_word(tmp_path / NAME, word, 2**40 + 1)
    with pytest.raises(RingError, match="damaged frame ring"):
        Ring.attach(NAME, directory=tmp_path)


def test_truncated_ring_is_refused(ring: Ring, tmp_path: Path) -> None:
    os.truncate(tmp_path / NAME, mmap.PAGESIZE)
    with pytest.raises(RingError, match="damaged frame ring"):
        Ring.attach(NAME, directory=tmp_path)


def overwrite_word(path: Path, word: int, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(word * 8)
        file.write(value.to_bytes(8, sys.byteorder))


def test_dead_runs_segment_is_swept_and_living_ones_left(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead, living = segment_name("door", process.pid), segment_name("door")
    for name in (dead, living):
        Ring.create(name, slots=2, max_width=8, max_height=8, directory=tmp_path).close()
    (tmp_path / "somebody.elses").touch()
    assert sweep(tmp_path) == []
    process.kill()
    process.wait()
    assert sweep(tmp_path) == [dead]
    assert {path.name for path in tmp_path.iterdir()} == {living, "somebody.elses"}


def test_run_that_is_dead_but_not_waited_for_is_swept(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = segment_name("door", process.pid)
    (tmp_path / name).touch()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert sweep(tmp_path) == [name]
    process.wait()


def test_segment_whose_pid_was_given_to_another_process_is_swept(tmp_path: Path) -> None:
    name = f"jetstream.{os.getpid()}.1.door"
    (tmp_path / name).touch()
    assert sweep(tmp_path) == [name]


def test_segment_of_a_run_in_another_pid_namespace_is_left(tmp_path: Path) -> None:
    name = "jetstream.4194304.1.door"  # above the largest pid
    with Ring.create(name, slots=2, max_width=8, max_height=8, directory=tmp_path):
        assert sweep(tmp_path) == []
    Ring.create(name, slots=2, max_width=8, max_height=8, directory=tmp_path).close()
    assert sweep(tmp_path) == [name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_dead_segment_of_another_user_is_left(tmp_path: Path) -> None:
    path = tmp_path / "jetstream.4194304.1.door"
    path.touch()
    os.chown(path, 12345, 12345)
    assert sweep(tmp_path) == []
    with pytest.raises(RingError, match="not a frame ring of this user"):
        Ring.attach(path.name, directory=tmp_path)


def test_view_that_outlives_its_ring_is_safe(ring: Ring, tmp_path: Path) -> None:
    ring.write(picture(0))
    attached = Ring.attach(NAME, directory=tmp_path)
    view, memory, cell = attached.view(0), attached.memory, attached.register("reader")
    attached.close()
    np.testing.assert_array_equal(view.image, picture(0))
    assert memory.nbytes == ring.layout.total_bytes
    cell.done(0)
    with pytest.raises(ValueError, match="released"):
        view.still_valid()


def test_closing_with_a_view_alive_still_gives_up_the_writers_role(ring: Ring, tmp_path: Path) -> None:
    attached = Ring.attach(NAME, directory=tmp_path)
    attached.write(picture(0))
    view = attached.view(0)
    attached.close()
    assert ring.write(picture(1)) == 1
    np.testing.assert_array_equal(view.image, picture(0))


def test_memory_is_unmapped_with_the_last_view(ring: Ring, tmp_path: Path) -> None:
    ring.write(picture(0))
    attached = Ring.attach(NAME, directory=tmp_path)
    view = attached.view(0)
    attached.close()
    assert times_mapped(tmp_path / NAME) == 2
    del view
    assert times_mapped(tmp_path / NAME) == 1


def times_mapped(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(f"{path}\n")


def test_closing_twice_is_safe_and_the_creator_unlinks(tmp_path: Path) -> None:
    with Ring.create(NAME, slots=2, max_width=8, max_height=8, directory=tmp_path) as ring:
        with Ring.attach(NAME, directory=tmp_path):
            pass
        assert (tmp_path / NAME).exists()
        ring.close()
    assert list(tmp_path.iterdir()) == []
    assert times_mapped(tmp_path / NAME) == 0


def test_role_is_free_once_its_holder_closed(tmp_path: Path) -> None:
    with_role = Segment.create(NAME, 4096, contents="a test", directory=tmp_path)
    other = Segment.attach(NAME, directory=tmp_path)
    assert not other.lock(Role.OWNER)
    with_role.close()
    assert other.lock(Role.OWNER)
    other.close()


def test_segment_whose_name_was_removed_is_opened_by_its_owners_descriptor(tmp_path: Path) -> None:
    """logind removes the names in /dev/shm when a user logs out (RemoveIPC)."""
    name = segment_name("door")
    owner = Segment.create(name, 4096, contents="a test", directory=tmp_path)
    owner.memory[:4] = b"seen"
    owner.unlink()
    late = Segment.attach(name, directory=tmp_path)
    assert bytes(late.memory[:4]) == b"seen"
    late.close()
    owner.close()
    with pytest.raises(RingError, match="No such file"):
        Segment.attach(name, directory=tmp_path)
