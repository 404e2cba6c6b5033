"""The newest log lines of a run: of all its processes, bounded, private, masked."""

import logging
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream import logs, newest_lines
from jetstream.newest_lines import FULL_BYTES, OLD, LogLine, NewestLines
from jetstream.runtime.run_dir import claim

ADD = """
import sys
from pathlib import Path
from jetstream.newest_lines import LogLine, NewestLines
lines = NewestLines(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    lines.add(LogLine(float(number), "info", sys.argv[2], "x" * 200))
"""


def line(number: int, level: newest_lines.Level = "info", text: str = "x") -> LogLine:
    return LogLine(float(number), level, "detect", text)


@pytest.fixture
def lines(tmp_path: Path) -> NewestLines:
    return NewestLines(tmp_path / "log.jsonl")


def test_newest_lines_of_a_level_and_above_come_first(lines: NewestLines) -> None:
    for number, level in enumerate(newest_lines.LEVELS):
        lines.add(line(number, level))

    assert [one.level for one in lines.read("warning", 10)] == ["critical", "error", "warning"]
    assert [one.wall_s for one in lines.read("debug", 2)] == [4.0, 3.0]


def test_files_stay_small_and_private_and_hold_the_newest(lines: NewestLines) -> None:
    for number in range(2000):
        lines.add(line(number, text="x" * 400))
    files = list(lines.path.parent.iterdir())

    assert sorted(path.name for path in files) in ([lines.path.name + OLD], [lines.path.name, lines.path.name + OLD])
    assert sum(path.stat().st_size for path in files) < 2 * FULL_BYTES + 1000
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert [one.wall_s for one in lines.read("info", 3)] == [1999.0, 1998.0, 1997.0]


def test_processes_that_fill_the_file_at_once_lose_no_new_line(lines: NewestLines) -> None:
    each = 150  # all of them together fill the file once
    writers = [
        subprocess.Popen([sys.executable, "-c", ADD, str(lines.path), name, str(each)]) for name in ("a", "b", "c", "d")
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4

    found = lines.read("info", 10_000)
    assert lines.path.with_name(lines.path.name + OLD).exists()
    assert {name: sum(one.process == name for one in found) for name in "abcd"} == dict.fromkeys("abcd", each)


def test_damaged_lines_are_left_out(lines: NewestLines) -> None:
    lines.add(line(1))
    with lines.path.open("ab") as file:
        file.write(b'{"wall_s": 2.0, "level": "info", "proc\n\xff\xfe\n[]\n{"wall_s": 3, "level": "loud"}\n')
    lines.add(line(4))

    assert [one.wall_s for one in lines.read("debug", 10)] == [4.0, 1.0]


def test_a_folder_that_is_gone_fails_nothing(tmp_path: Path) -> None:
    lines = NewestLines(tmp_path / "gone" / "log.jsonl")
    lines.add(line(1))

    assert lines.read("debug", 10) == []


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger as it was before, afterwards."""
    logger = logging.getLogger()
    before, level = list(logger.handlers), logger.level
    yield logger
    for handler in [one for one in logger.handlers if one not in before]:
        logger.removeHandler(handler)
    logger.setLevel(level)


def test_lines_of_before_the_run_has_its_folder_are_kept_too_and_passwords_in_none(
    tmp_path: Path, root: logging.Logger
) -> None:
    logs.set_up_logging("run", "info")
    logging.getLogger("jetstream").warning("rtsp://ada:secret@192.0.2.1/1: no answer")
    with claim(tmp_path / "run") as folder, logs.kept_in(folder.lines):
        logging.getLogger("jetstream").info("running")
        logging.getLogger("jetstream").debug("too low")
        found = folder.lines.read("debug", 10)

    assert [(one.level, one.process, one.text) for one in found] == [
        ("info", "run", "running"),
        ("warning", "run", "rtsp://***@192.0.2.1/1: no answer"),
    ]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"], "nothing is left after the run"


def test_an_exception_that_nobody_handles_is_kept(
    lines: NewestLines, root: logging.Logger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs.set_up_logging("detect", "info", lines=lines)
    logs.mask_tracebacks()
    error = ValueError("rtsp://ada:secret@192.0.2.1/1")
    sys.excepthook(ValueError, error, None)

    (kept,) = lines.read("error", 10)
    assert (kept.process, kept.text.strip()) == ("detect", "ValueError: rtsp://***@192.0.2.1/1")
    assert "ValueError" in capsys.readouterr().err
