"""The program of an alert: what it gets, and that it ends."""

import os
import time
from pathlib import Path

import pytest

from jetstream.alerts.program import MOST_OUTPUT_BYTES, run
from tests.support.waiting import wait_until


def program(folder: Path, text: str) -> list[str]:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return [str(path)]


def test_content_is_on_standard_input_and_words_reach_no_shell(tmp_path: Path) -> None:
    command = [*program(tmp_path, 'printf "%s|" "$@"; cat; echo " $JETSTREAM_ALERT_ID"; exit 3'), "$(id)", "a b", ";"]

    end = run(command, "alert_1", b"x" * 200_000, 10.0)

    assert end.code == 3
    assert end.output.startswith("$(id)|a b|;|xxx")
    assert len(end.output) == MOST_OUTPUT_BYTES


def test_program_that_does_not_read_is_no_fault(tmp_path: Path) -> None:
    assert run(program(tmp_path, "exit 0"), "alert_1", b"x" * 1_000_000, 10.0).code == 0


def test_environment_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "secret")

    output = run(program(tmp_path, "env"), "alert_1", b"", 10.0).output

    assert "JETSTREAM_ALERT_ID=alert_1" in output
    assert "secret" not in output
    assert "HOME=" not in output


@pytest.mark.parametrize("text", ["sleep 60", "trap '' TERM INT; while :; do sleep 1; done", "yes"])
def test_program_beyond_its_limit_is_killed_with_what_it_started(tmp_path: Path, text: str) -> None:
    note = tmp_path / "pid"
    begun_s = time.monotonic()

    end = run(program(tmp_path, f"sleep 60 & echo $! > {note}; {text}"), "alert_1", b"", 0.7)

    assert end.code is None
    assert time.monotonic() - begun_s < 30
    wait_until(lambda: not is_running(int(note.read_text())))


def test_what_a_program_leaves_running_is_killed_when_it_has_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    assert run(program(tmp_path, f"sleep 60 & echo $! > {note}"), "alert_1", b"", 20.0).code == 0
    wait_until(lambda: not is_running(int(note.read_text())))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_program_that_is_not_there_or_not_executable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run([str(tmp_path / "none")], "alert_1", b"", 1.0)
    (tmp_path / "text").write_text("no program")
    with pytest.raises(PermissionError):
        run([str(tmp_path / "text")], "alert_1", b"", 1.0)


def test_program_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    command = program(tmp_path, f"echo $$ > {note}.new; mv {note}.new {note}; exec sleep 60")
    child = os.fork()
    if child == 0:
        run(command, "alert_1", b"", 60.0)
        os._exit(0)
    wait_until(note.exists)
    os.kill(child, 9)
    os.waitpid(child, 0)

    wait_until(lambda: not is_running(int(note.read_text())))
