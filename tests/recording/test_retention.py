"""Old recordings go as a whole; nothing else does."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jetstream.recording import retention
from jetstream.recording.events_file import is_open, unused
from jetstream.recording.wall_clock import WallClock
from tests.support.other_user import give_away, without_rights

NOW_S = 2_000_000_000.0
DAY_S = 86400.0
EVENT = '{"schema":1,"camera":"%s","frame_id":0,"pts_s":0,"captured_ns":1,"wall":"x","tracks":[]}\n'


def recording(folder: Path, stem: str, *, days_ago: float, mb: float = 1.0, line: str | None = None) -> Path:
    """A recording that ended then. `stem` is `<camera>-<time>`."""
    events = folder / f"{stem}.jsonl"
    events.write_text(line if line is not None else EVENT % stem.rpartition("-2026")[0])
    events.with_suffix(".mp4").write_bytes(bytes(int(mb * 1e6)))
    for path in (events, events.with_suffix(".mp4")):
        os.utime(path, (NOW_S - days_ago * DAY_S,) * 2)
    return events


def sweep(folder: Path, *, days: float = 0, gb: float = 0) -> set[str]:
    gone = retention.sweep(folder, keep_days=days, keep_gb=gb, now_s=NOW_S, in_use=is_open)
    return {path.stem for path in gone}


def sweep_at(folder: Path, now_s: float, clock: WallClock, *, steady_s: float = 0.0, gb: float = 0) -> set[str]:
    """With `keep_days` of 7."""
    gone = retention.sweep(folder, keep_days=7, keep_gb=gb, now_s=now_s, in_use=is_open, steady_s=steady_s, clock=clock)
    return {path.stem for path in gone}


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_older_ones_go_with_video_and_events(tmp_path: Path) -> None:
    recording(tmp_path, "door-20260101T000000", days_ago=8)
    second = unused(tmp_path, "door-20260101T000000").name
    recording(tmp_path, second, days_ago=8)
    recording(tmp_path, "door-20260105T000000", days_ago=6)
    assert sweep(tmp_path, days=7) == {"door-20260101T000000", second}
    assert left(tmp_path) == {"door-20260105T000000.jsonl", "door-20260105T000000.mp4"}


def test_recordings_of_one_second_sort_in_their_order(tmp_path: Path) -> None:
    recording(tmp_path, "door-20260101T000000", days_ago=8)
    recording(tmp_path, unused(tmp_path, "door-20260101T000000").name, days_ago=8)
    names = [path.name for path in sorted(tmp_path.glob("*.jsonl"))]
    assert names == ["door-20260101T000000.jsonl", "door-20260101T000000_2.jsonl"]


def test_oldest_go_until_the_rest_fits(tmp_path: Path) -> None:
    for day in range(1, 6):
        recording(tmp_path, f"my-door-2026010{day}T000000", days_ago=10 - day, mb=2)
    assert sweep(tmp_path, gb=0.0050) == {f"my-door-2026010{day}T000000" for day in (1, 2, 3)}


def test_no_limit_keeps_all(tmp_path: Path) -> None:
    recording(tmp_path, "door-20260101T000000", days_ago=9999)
    assert sweep(tmp_path) == set()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    old = {"days_ago": 900.0}
    recording(tmp_path, "holiday", **old)
    recording(tmp_path, "door-20260101T000000", line="my notes\n", **old)
    recording(tmp_path, "gate-20260101T000000", line=EVENT % "door", **old)
    recording(tmp_path, "wall-20260101T000000", line="", **old)
    recording(tmp_path, "roof-20260101T000000", **old).unlink()  # a video alone
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = recording(elsewhere, "yard-20260101T000000", **old)
    (tmp_path / target.name).symlink_to(target)
    (tmp_path / "door-20260102T000000.jsonl").mkdir()
    recording(tmp_path, "lane-20260101T000000", **old).with_suffix(".txt").write_text("my notes")
    before = left(tmp_path)

    assert sweep(tmp_path, days=1, gb=1e-9) == {"lane-20260101T000000"}
    assert before - left(tmp_path) == {"lane-20260101T000000.jsonl", "lane-20260101T000000.mp4"}
    assert left(elsewhere) == {"yard-20260101T000000.jsonl", "yard-20260101T000000.mp4"}


def test_one_that_is_written_stays_however_old_it_looks(tmp_path: Path) -> None:
    recording(tmp_path, "door-20260130T000000", days_ago=0.5)
    events = recording(tmp_path, "door-20260101T000000", days_ago=30)
    code = (
        "import sys\nfrom pathlib import Path\nfrom jetstream.recording.events_file import open_events\n"
        f"file = open_events(Path({str(events)!r}))\nfile.write({EVENT % 'door'!r})\n"
        "print('open', flush=True)\nsys.stdin.read()"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"open\n"
    os.utime(events, (NOW_S - 30 * DAY_S,) * 2)
    assert sweep(tmp_path, days=1) == set()
    writer.communicate()
    assert sweep(tmp_path, days=1) == {"door-20260101T000000"}


def test_one_that_changed_a_moment_ago_stays(tmp_path: Path) -> None:
    recording(tmp_path, "door-20260101T000000", days_ago=30 / DAY_S)
    assert sweep(tmp_path, gb=1e-9) == set()


def test_what_cannot_be_deleted_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as name:  # which nobody may enter, unlike tmp_path
        folder = Path(name)
        recording(folder, "door-20260101T000000", days_ago=30)
        recording(folder, "door-20260130T000000", days_ago=0.5)
        give_away(folder)
        folder.chmod(0o500)
        with without_rights():
            assert sweep(folder, days=1) == sweep(folder, gb=1e-9) == set()
        folder.chmod(0o700)
    old, *much = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert old == "older than record.keep_days, but can't be deleted (Permission denied)"
    assert much == ["more than record.keep_gb, but can't be deleted (Permission denied)"] * 2


def test_folder_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", days=1) == set()


@pytest.mark.parametrize("ahead_days", [8, 365, 21 * 365, 9e6])
def test_clock_that_is_far_ahead_deletes_nothing_for_its_age_and_is_said_once(
    tmp_path: Path, ahead_days: float, caplog: pytest.LogCaptureFixture
) -> None:
    for day in range(1, 7):
        recording(tmp_path, f"door-2026010{day}T000000", days_ago=7 - day)
    before, clock = left(tmp_path), WallClock()

    for _ in range(3):
        assert sweep_at(tmp_path, NOW_S + ahead_days * DAY_S, clock) == set()

    assert left(tmp_path) == before
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{tmp_path}: the clock says ")
    assert "days after the newest recordings, so nothing is deleted for its age until both agree again" in line


def test_recordings_made_under_a_wrong_clock_are_no_evidence_for_it(tmp_path: Path) -> None:
    recording(tmp_path, "door-20260101T000000", days_ago=1)
    clock, wrong_s = WallClock(), NOW_S + 300 * DAY_S
    assert sweep_at(tmp_path, wrong_s, clock) == set()

    recording(tmp_path, "door-20270101T000000", days_ago=-300, line=EVENT % "door")

    assert sweep_at(tmp_path, wrong_s + 100, clock, steady_s=100) == set()
    assert sweep_at(tmp_path, wrong_s + DAY_S, clock, steady_s=DAY_S) == set()


def test_clock_that_was_set_right_deletes_what_is_old(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording(tmp_path, "door-20260101T000000", days_ago=6.9)
    recording(tmp_path, "door-20260107T000000", days_ago=1)
    clock = WallClock()
    assert sweep_at(tmp_path, NOW_S + 300 * DAY_S, clock) == set()

    assert sweep_at(tmp_path, NOW_S + DAY_S, clock, steady_s=DAY_S) == {"door-20260101T000000"}
    assert len(caplog.records) == 1, "the doubt was said once"


def test_doubt_ends_when_jetstream_has_run_for_the_whole_window(tmp_path: Path) -> None:
    """A site was off for two months, and nothing tells that from a clock that is wrong by two months."""
    recording(tmp_path, "door-20260101T000000", days_ago=60)
    clock = WallClock()
    gone = {day: sweep_at(tmp_path, NOW_S + day * DAY_S, clock, steady_s=day * DAY_S) for day in range(9)}

    assert [day for day, stems in gone.items() if stems] == [7]


def test_clock_behind_makes_room_by_the_recordings_that_are_really_old(tmp_path: Path) -> None:
    """After a restart without a real-time clock it is 1970, and what is recorded now looks oldest."""
    for day in range(1, 5):
        recording(tmp_path, f"door-2026010{day}T000000", days_ago=5 - day, mb=2)
    now_s = 3600.0
    new = recording(tmp_path, "door-19700101T000000", days_ago=0, mb=2, line=EVENT % "door")
    for path in (new, new.with_suffix(".mp4")):
        os.utime(path, (now_s - 600,) * 2)

    gone = sweep_at(tmp_path, now_s, WallClock(), gb=0.005)

    assert gone == {f"door-2026010{day}T000000" for day in (1, 2, 3)}


def test_recording_from_the_future_is_neither_old_nor_evidence(tmp_path: Path) -> None:
    """It was made while the clock was wrong."""
    recording(tmp_path, "door-20470101T000000", days_ago=-21 * 365, line=EVENT % "door")
    recording(tmp_path, "door-20260101T000000", days_ago=8)
    recording(tmp_path, "door-20260107T000000", days_ago=1)

    assert sweep(tmp_path, days=7) == {"door-20260101T000000"}


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_what_a_link_leads_to_stays(tmp_path: Path, link: str) -> None:
    folder, own = tmp_path / "rec", tmp_path / "own.mp4"
    folder.mkdir()
    own.write_bytes(b"own")
    recording(folder, "door-20260107T000000", days_ago=1)
    video = recording(folder, "door-20260101T000000", days_ago=8).with_suffix(".mp4")
    video.unlink()
    video.symlink_to(own) if link == "symbolic" else video.hardlink_to(own)
    os.utime(own, (NOW_S - 8 * DAY_S,) * 2)

    assert sweep(folder, days=7) == {"door-20260101T000000"}
    assert own.read_bytes() == b"own"
