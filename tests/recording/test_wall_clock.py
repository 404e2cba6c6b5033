"""The wall clock is believed while it moves like the steady one, over restarts of the process and the machine too."""

from pathlib import Path

import pytest

from jetstream.recording import wall_clock
from jetstream.recording.wall_clock import WallClock

HOUR_S, DAY_S = 3600.0, 86400.0
WALL_S, STEADY_S, WINDOW_S = 1.8e9, 5000.0, 7 * DAY_S


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Of a clock that is right."""
    assert WallClock(tmp_path / "clock.json").doubt(WALL_S, STEADY_S, WALL_S, WINDOW_S) == ""
    return tmp_path / "clock.json"


def restarted(note: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WallClock:
    """After a restart of the machine."""
    (tmp_path / "boot_id").write_text("another boot")
    monkeypatch.setattr(wall_clock, "BOOT_ID", tmp_path / "boot_id")
    return WallClock(note)


@pytest.mark.parametrize("leap_s", [3 * HOUR_S, 5 * DAY_S, 400 * DAY_S, -3 * HOUR_S, -400 * DAY_S])
@pytest.mark.parametrize("same_process", [True, False])
def test_clock_that_leapt_during_a_run_is_doubted(note: Path, leap_s: float, same_process: bool) -> None:
    clock = WallClock(note)
    if same_process:
        assert clock.doubt(WALL_S + 60, STEADY_S + 60, WALL_S, WINDOW_S) == ""

    why = clock.doubt(WALL_S + 120 + leap_s, STEADY_S + 120, WALL_S + leap_s, WINDOW_S)

    assert why.startswith("the clock leapt ")
    assert ("ahead" in why) is (leap_s > 0)


@pytest.mark.parametrize("leap_s", [HOUR_S, -HOUR_S, 1.0, 0.0])
def test_small_leap_is_none(note: Path, leap_s: float) -> None:
    assert WallClock(note).doubt(WALL_S + leap_s + 60, STEADY_S + 60, None, WINDOW_S) == ""


def test_leap_of_an_hour_is_one_where_an_hour_is_kept(note: Path) -> None:
    assert "leapt" in WallClock(note).doubt(WALL_S + HOUR_S, STEADY_S, None, HOUR_S)


def test_suspended_machine_is_no_leap(note: Path) -> None:
    assert WallClock(note).doubt(WALL_S + 30 * DAY_S, STEADY_S + 30 * DAY_S, WALL_S, WINDOW_S) == ""


@pytest.mark.parametrize("off_s", [60.0, DAY_S, 6.9 * DAY_S])
def test_machine_that_was_off_for_less_than_the_window_is_believed(
    note: Path, off_s: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert restarted(note, monkeypatch, tmp_path).doubt(WALL_S + off_s, 10.0, None, WINDOW_S) == ""


@pytest.mark.parametrize("wall_s", [0.0, 946_684_800.0, WALL_S - DAY_S, WALL_S + 8 * DAY_S, WALL_S + 21 * 365 * DAY_S])
def test_wrong_clock_after_a_restart_of_the_machine_is_doubted_until_it_is_right(
    note: Path, wall_s: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine without a real-time clock starts in 1970, 2000, or when it was stopped; then the network tells it."""
    clock = restarted(note, monkeypatch, tmp_path)

    assert "the newest recordings" in clock.doubt(wall_s, 10.0, wall_s, WINDOW_S)
    assert clock.doubt(WALL_S + 3600, 70.0, wall_s, WINDOW_S) == ""
    assert clock.doubt(WALL_S + 3660, 130.0, wall_s, WINDOW_S) == ""


def test_doubt_outlives_restarts_of_the_process_and_of_the_machine(
    note: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = restarted(note, monkeypatch, tmp_path)
    assert clock.doubt(WALL_S + 99 * DAY_S, 10.0, None, WINDOW_S)
    assert clock.doubt(WALL_S + 104 * DAY_S, 10.0 + 5 * DAY_S, None, WINDOW_S)

    again = WallClock(note)
    newest_s = WALL_S + 104 * DAY_S  # made under that clock
    assert again.doubt(WALL_S + 105 * DAY_S, 5.0, newest_s, WINDOW_S)
    assert again.doubt(WALL_S + 107.5 * DAY_S, 5.0 + 2.5 * DAY_S, newest_s, WINDOW_S) == "", "it ran for 7.5 days"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"wall_s": "x"}'])
def test_damaged_note_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock.json").write_bytes(content)

    assert WallClock(tmp_path / "clock.json").doubt(WALL_S, STEADY_S, WALL_S - DAY_S, WINDOW_S) == ""
    assert WallClock(tmp_path / "clock.json").doubt(WALL_S + 9 * DAY_S, STEADY_S, WALL_S, WINDOW_S)


def test_note_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    clock = WallClock(tmp_path / "none" / "clock.json")

    assert clock.doubt(WALL_S, STEADY_S, None, WINDOW_S) == ""
    assert clock.doubt(WALL_S + DAY_S, STEADY_S, None, WINDOW_S)
