"""Fragments of one camera in a folder: one writer, which may be killed, and readers, which see whole files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jetstream.video.gop.fragment_folder import FragmentFolder, fragments_in
from jetstream.video.gop.fragment_muxer import MuxedFragment
from tests.support.fulldisk import files_of_at_most
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S

S = 10**9


def fragment(second: int, *, is_key: bool = True, size: int = 100) -> MuxedFragment:
    """A second of video."""
    data = bytes([second % 251]) * size
    return MuxedFragment(data, second * S, (second + 1) * S, second * S, (second + 1) * S - 1, is_key)


def folder_of(path: Path, *, keep_s: float = 3, most_bytes: int = 10**6) -> FragmentFolder:
    return FragmentFolder(path / "hall", keep_ns=round(keep_s * S), most_bytes=most_bytes)


def seconds(path: Path) -> list[int]:
    return [one.first_ns // S for one in fragments_in(path / "hall")]


def test_there_is_always_a_key_frame_as_old_as_asked_for(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, keep_s=3)
    for second in range(30):
        folder.write(b"header", fragment(second, is_key=second % 4 == 0), base_ns=0)
        found = fragments_in(tmp_path / "hall")
        assert found[0].is_key
        assert second < 4 or found[0].first_ns <= (second + 1) * S - 3 * S
    assert seconds(tmp_path) == [24, 25, 26, 27, 28, 29]


def test_the_oldest_go_where_there_are_too_many_bytes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, keep_s=100, most_bytes=450)
    for second in range(10):
        folder.write(b"header", fragment(second), base_ns=0)

    assert seconds(tmp_path) == [6, 7, 8, 9]


def test_header_goes_with_its_last_fragment(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, keep_s=1)
    folder.write(b"one", fragment(0), base_ns=0)
    folder.write(b"two", fragment(1), base_ns=0)
    first, second = fragments_in(tmp_path / "hall")
    assert first.read(tmp_path / "hall") == (b"one", fragment(0).data)
    for later in range(2, 6):
        folder.write(b"two", fragment(later), base_ns=0)

    assert first.read(tmp_path / "hall") is None
    assert second.header == fragments_in(tmp_path / "hall")[-1].header
    assert len(list((tmp_path / "hall").glob("*.init.mp4"))) == 1


def test_another_writer_counts_on(tmp_path: Path) -> None:
    folder_of(tmp_path).write(b"header", fragment(0), base_ns=0)
    (tmp_path / "hall" / ".half").write_bytes(b"of a killed writer")

    again = folder_of(tmp_path)
    again.write(b"header", fragment(1), base_ns=again.end_ns)

    assert [one.number for one in fragments_in(tmp_path / "hall")] == [0, 1]
    assert not list((tmp_path / "hall").glob(".*"))
    assert fragments_in(tmp_path / "hall")[1].begin_ns == 2 * S, "its time goes on"


def test_full_disk_adds_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.write(b"header", fragment(0), base_ns=0)
    with files_of_at_most(50), pytest.raises(OSError, match="too large"):
        folder.write(b"header", fragment(1), base_ns=0)
    folder.write(b"header", fragment(2), base_ns=0)

    assert seconds(tmp_path) == [0, 2]
    assert [one.number for one in fragments_in(tmp_path / "hall")] == [0, 1]


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder_of(tmp_path).write(b"header", fragment(0), base_ns=0)

    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "hall").iterdir()}
    assert (modes, (tmp_path / "hall").stat().st_mode & 0o777) == ({0o600}, 0o700)


WRITER = """
import sys
from pathlib import Path
from jetstream.video.gop.fragment_folder import FragmentFolder
from jetstream.video.gop.fragment_muxer import MuxedFragment
folder = FragmentFolder(Path(sys.argv[1]), keep_ns=5 * 10**9, most_bytes=10**9)
second = folder.end_ns // 10**9
while True:
    data = second.to_bytes(8, "big") * 5000
    folder.write(b"header", MuxedFragment(data, second * 10**9, (second + 1) * 10**9, second * 10**9,
                                          (second + 1) * 10**9, True), base_ns=0)
    second += 1
"""


def test_no_reader_sees_a_torn_fragment_over_kills(tmp_path: Path) -> None:
    folder, newest, whole = tmp_path / "hall", -1, 0
    command = [sys.executable, "-c", WRITER, str(folder)]
    for _ in range(5):
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as writer:
            deadline_s, before = time.monotonic() + PATIENCE_S, newest
            while newest < before + 50:
                assert time.monotonic() < deadline_s
                for one in fragments_in(folder):
                    newest = max(newest, one.number)
                    if (content := one.read(folder)) is not None:
                        assert content == (b"header", (one.first_ns // S).to_bytes(8, "big") * 5000)
                        whole += 1
            writer.kill()

    assert whole > 200
    numbers = [one.number for one in fragments_in(folder)]
    assert numbers == list(range(numbers[0], newest + 1)) or numbers[-1] > newest
