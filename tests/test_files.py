"""Files for their owner only, also on disks that take no modes; links are replaced, never written through."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetstream import files
from tests.support import no_modes

PROGRAMS = {
    "video": (
        "import numpy as np\n"
        "from jetstream.video.sink import VideoSink\n"
        "for name in ('a', 'b'):\n"
        "    with VideoSink(disk / f'{name}.mp4', fps=25, width=64, height=64, codec='mpeg4', durable=True) as sink:\n"
        "        sink.write(np.zeros((64, 64, 3), np.uint8), 0.0)\n"
    ),
    "events": (
        "from jetstream.recording.events_file import open_events\n"
        "for name in ('a', 'b'):\n"
        "    open_events(disk / f'{name}.jsonl').close()\n"
    ),
    "audit": (
        "from jetstream.gallery import audit\n"
        "audit.add(disk, 'forget', 'Ada')\n"
        "audit.add(disk, 'forget', 'Bob')\n"
        "assert len(list(audit.lines(disk))) == 2\n"
    ),
    "photos": (
        "from jetstream.enroll import photo_writer\n"
        "photo_writer.write('Ada', disk, ['a', 'b'], [b'1', b'2'])\n"
        "assert (disk / 'Ada' / 'b-1.jpg').read_bytes() == b'2'\n"
    ),
    "gallery": (
        "from jetstream import files\n"
        "for name in ('manifest.json', 'gallery-1.npz'):\n"
        "    files.replace(disk / name, b'{}', mode=0o600)\n"
    ),
}


def run(program: str, disk: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    code = f"import logging\nfrom pathlib import Path\nlogging.basicConfig(level='INFO')\ndisk = Path({str(disk)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", code + program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("quiet", [False, True], ids=["refused", "ignored"])
@pytest.mark.parametrize("what", PROGRAMS)
def test_disk_without_modes_is_written_and_said_once(tmp_path: Path, what: str, quiet: bool) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()

    done = run(PROGRAMS[what], disk, **no_modes.environment(tmp_path / "modes.so", disk, quiet=quiet))

    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert f"{disk / 'Ada' if what == 'photos' else disk}: this disk doesn't take file modes" in line
    assert "with mode 0755, which others on this machine may read; mount it with" in line
    assert all(path.stat().st_size for path in disk.rglob("*.mp4"))


def test_secret_key_is_not_written_where_others_could_read_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    program = (
        "from jetstream.errors import UserError\n"
        "from jetstream.topic import keys\n"
        "try:\n"
        "    keys.new(disk / 'publisher.key', 'publisher')\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )

    done = run(program, disk, **no_modes.environment(tmp_path / "modes.so", disk))

    assert "publisher.key: this disk takes no file modes (FAT, NTFS, CIFS), so others could read" in done.stdout
    assert list(disk.iterdir()) == []


def test_private_file_on_an_ordinary_disk_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "old").touch(mode=0o644)
    with (tmp_path / "old").open("rb") as file:
        files.keep_private(file.fileno(), tmp_path / "old")
    files.replace(tmp_path / "new", b"", mode=0o600)

    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "old", tmp_path / "new")] == [0o600, 0o600]
    assert caplog.text == ""


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link"])
def test_file_is_replaced_and_what_a_link_leads_to_stays(tmp_path: Path, kind: str) -> None:
    own, path = tmp_path / "own", tmp_path / "out"
    if kind != "dangling":
        own.write_text("own")
    path.hardlink_to(own) if kind == "hard link" else path.symlink_to(own)

    files.replace(path, b"new")

    assert path.read_text() == "new"
    assert not path.is_symlink()
    assert own.exists() == (kind != "dangling")
    assert not own.exists() or own.read_text() == "own"


def test_new_file_appears_whole_and_over_no_other(tmp_path: Path) -> None:
    files.create(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a", b"2")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "link", b"3")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "link"]


def test_new_file_is_made_where_a_disk_has_no_files_without_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)  # refused, as on NFS
    files.create(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"1"


def test_process_that_is_killed_leaves_no_part_of_a_new_file(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom jetstream import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.create(Path(sys.argv[1], 'a'), b'x' * 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=dict(os.environ))
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_content_in_memory_is_a_file_for_who_reads_one() -> None:
    with files.in_memory(b"abc") as path:
        assert (path.read_bytes(), path.stat().st_size) == (b"abc", 3)
