"""What was done with people's data is written down; whose it was is told only to who asks by name."""

import getpass
import multiprocessing
from pathlib import Path

import pytest

from jetstream.errors import UserError
from jetstream.gallery import audit
from tests.support.inside import Inside
from tests.support.photos import write_photo


def add_many(folder: Path, count: int) -> None:
    for _ in range(count):
        audit.add(folder, "enroll", "Ada Lovelace", 3)


def test_line_says_who_when_and_what_and_names_nobody(tmp_path: Path) -> None:
    audit.add(tmp_path, "forget", "Ada Lovelace", 4)
    (line,) = audit.lines(tmp_path)
    assert (line.who.split()[0], line.what, line.count) == (getpass.getuser(), "forget", 4)
    assert line.wall.endswith("Z")
    assert line.is_about("Ada Lovelace")
    assert not line.is_about("Grace Hopper")
    assert b"Ada" not in (tmp_path / audit.FILE).read_bytes()
    assert (tmp_path / audit.FILE).stat().st_mode & 0o777 == 0o600


def test_two_lines_of_one_person_look_unlike(tmp_path: Path) -> None:
    add_many(tmp_path, 2)
    first, second = audit.lines(tmp_path)
    assert first.person != second.person


def test_many_add_at_once_and_no_line_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_many, args=(tmp_path, 25)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(audit.lines(tmp_path))) == 75


def test_line_after_a_torn_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / audit.FILE).write_bytes(b'{"wall":"2026')
    audit.add(tmp_path, "export")
    assert [line.what for line in audit.lines(tmp_path)] == ["export"]
    assert (tmp_path / audit.FILE).read_bytes().startswith(b'{"wall":"2026\n')


def test_file_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / audit.FILE).symlink_to(tmp_path / "elsewhere")
    audit.add(tmp_path, "forget", "Ada")
    assert "the audit line of this forget can't be written" in caplog.text
    assert not (tmp_path / "elsewhere").exists()


def test_file_that_cannot_be_read_is_not_taken_for_nothing_done(tmp_path: Path) -> None:
    assert list(audit.lines(tmp_path)) == []
    (tmp_path / audit.FILE).mkdir()
    with pytest.raises(UserError, match=r"audit\.jsonl: Is a directory; "):
        list(audit.lines(tmp_path))


def test_commands_leave_their_lines(tmp_path: Path, own_models: Path, portraits: dict) -> None:
    jetstream = Inside(tmp_path, own_models)
    (tmp_path / "faces").mkdir()
    for name, picture in portraits.items():
        write_photo(tmp_path / f"{name}.png", picture)
        assert jetstream("enroll", name, "--from", f"{name}.png", sets=True).returncode == 0
    assert jetstream("rename", "Grace Hopper", "Amazing Grace", sets=True).returncode == 0
    assert jetstream("evaluate", sets=True).returncode == 0
    assert jetstream("forget", "Amazing Grace", "--yes", sets=True).returncode == 0

    lines = list(audit.lines(own_models))
    of_grace = [line.what for line in lines if line.is_about("Amazing Grace")]
    assert of_grace == ["rename", "learn", "forget", "unlearn"]
    assert [line.what for line in lines if line.is_about("Grace Hopper")] == ["enroll", "learn", "rename", "unlearn"]
    assert [line.what for line in lines if not line.person] == ["export"]
    shown = jetstream.outside("audit", "Grace Hopper", sets=True).stdout.splitlines()
    assert [line.split()[2] for line in shown] == ["enroll", "learn", "rename", "unlearn"]
    assert b"Grace" not in (own_models / audit.FILE).read_bytes()
