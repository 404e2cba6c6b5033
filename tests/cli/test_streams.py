"""Whatever the terminal, pipe or locale: a sentence or the output, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.inside import Inside
from tests.support.repository import REPOSITORY

NAMES = {"PYTHONPATH": str(REPOSITORY), "LANG": "C"}
SETTINGS = [
    {"LC_ALL": "C"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"TERM": "dumb", "COLUMNS": "10"},
    {"TERM": "", "COLUMNS": "0"},
    {"NO_COLOR": "1", "COLUMNS": "x"},
]


def printed(words: list[str], environment: dict[str, str], **streams: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "jetstream.cli", *words]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHON", "COLUMNS"))}
    return subprocess.run(command, env={**kept, **NAMES, **environment}, timeout=60, check=False, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text('[[cameras]]\nname = "door"\nsource = "demo"\n[recognize]\nfaces = "李雷 Zoë"\n')
    return path


@pytest.mark.parametrize(
    "environment", SETTINGS, ids=lambda settings: " ".join(f"{k}={v}" for k, v in settings.items())
)
def test_names_that_the_terminal_cannot_write_are_no_error(
    config: Path, jetstream: Inside, environment: dict[str, str]
) -> None:
    result = printed(["check", str(config), *jetstream.sets], environment, capture_output=True)
    assert b"Traceback" not in result.stderr
    assert result.returncode == 0, result.stderr
    assert b'name = "door"' in result.stdout


def test_locale_that_cannot_name_a_folder_is_one_sentence(config: Path, jetstream: Inside) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = printed(["check", str(config), *jetstream.sets], ascii_only, capture_output=True)
    assert b"Traceback" not in result.stderr
    assert result.returncode == 0 or b"can't be a file's name in this locale (ascii); set LANG=C.UTF-8" in result.stderr


def test_full_disk_under_standard_output_is_one_sentence(config: Path, jetstream: Inside) -> None:
    with open("/dev/full", "w") as full:
        result = printed(["check", str(config), *jetstream.sets], {}, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert b"jetstream: standard output: No space left on device; print to a terminal, or into a file" in result.stderr
    assert b"Traceback" not in result.stderr


def test_reader_that_ends_is_no_error_to_tell(config: Path, jetstream: Inside) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = printed(["check", str(config), *jetstream.sets], {}, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert b"Traceback" not in result.stderr
    assert b"Exception ignored" not in result.stderr


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_stream_is_no_error(config: Path, jetstream: Inside, closed: int) -> None:
    words = " ".join(
        f"'{word}'" for word in (sys.executable, "-m", "jetstream.cli", "check", str(config), *jetstream.sets)
    )
    result = subprocess.run(
        ["sh", "-c", f"{words} {closed}>&-"], env={**os.environ, **NAMES}, capture_output=True, timeout=60, check=False
    )
    assert result.returncode == 0
    assert b"Traceback" not in result.stderr


def test_question_without_an_input_is_not_answered(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "faces" / "Ada").mkdir(parents=True)
    words = ["forget", "Ada", "--faces", str(tmp_path / "faces"), *jetstream.sets]
    result = printed(words, {}, preexec_fn=lambda: os.close(0), capture_output=True)
    assert result.returncode == 2
    assert b"nothing was erased: nobody answered; add --yes" in result.stderr
    assert b"Traceback" not in result.stderr
    assert (tmp_path / "faces" / "Ada").is_dir()
