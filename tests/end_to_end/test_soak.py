"""What `make soak` measures, for seconds; and that its verdict sees what grows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import soak
from benchmarks.growth import Look, slope, verdicts


def looks(minutes: int, **grown: Callable[[float], float]) -> list[Look]:
    """One process, looked at every ten seconds; `grown` says what a value is after so many minutes."""
    flat = Look("detect", 7, 0.0, 100.0, 80.0, 20, 4, 3)
    times = [tenth / 6 for tenth in range(minutes * 6)]
    return [flat._replace(at_s=at * 60, **{name: value(at) for name, value in grown.items()}) for at in times]


def test_what_stays_is_flat() -> None:
    (told,) = verdicts(looks(30))

    assert told.is_good
    assert told.row() == "| detect | 100.0 | +0.0 | 80.0 | +0.0 | 20 | 4 | 3 | flat |"


def test_memory_that_is_taken_while_warming_up_is_no_growth() -> None:
    assert all(told.is_good for told in verdicts(looks(30, rss_mb=lambda at: 100 + min(at, 5) * 40)))


def test_one_peak_is_no_growth() -> None:
    assert all(told.is_good for told in verdicts(looks(30, rss_mb=lambda at: 400 if 20 < at < 22 else 100)))


@pytest.mark.parametrize(
    ("what", "value", "fault"),
    [
        ("rss_mb", lambda at: 100 + at, "memory grows"),
        ("descriptors", lambda at: 20 + int(at / 5), "descriptors grow"),
        ("threads", lambda at: 4 + int(at > 18), "threads grow"),
        ("segments", lambda at: 3 + int(at > 15), "segments grow"),
        ("pid", lambda at: 7 + int(at > 2), "was started again"),
    ],
)
def test_what_grows_is_seen(what: str, value: Callable[[float], float], fault: str) -> None:
    (told,) = verdicts(looks(30, **{what: value}))

    assert told.faults == (fault,)


def test_descriptor_that_comes_and_goes_is_no_growth() -> None:
    assert all(told.is_good for told in verdicts(looks(30, descriptors=lambda at: 20 + int(at * 6) % 2)))


def test_slope_is_of_most_pairs() -> None:
    assert slope([0, 1, 2, 3], [0, 2, 4, 600]) == pytest.approx(2, abs=300)
    assert slope(range(9), [2 * x if x != 4 else 90 for x in range(9)]) == 2
    assert slope([1], [5]) == 0


@pytest.mark.pipeline
def test_soak_of_seconds_is_flat_and_drawn(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = soak.main(["--minutes", "0.15", "--cameras", "2", "--out", str(tmp_path / "soak")])

    printed = capsys.readouterr().out
    assert code == 0, printed
    for process in ("supervisor", "capture.c0", "capture.c1", "detect", "track", "recognize", "record", "publish"):
        assert f"| {process} | " in printed
    assert "restarts 0" in printed
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    rows = (tmp_path / "soak.csv").read_text().splitlines()
    assert rows[0] == "process,pid,at_s,rss_mb,private_mb,descriptors,threads,segments"
    assert {row.split(",")[-1] for row in rows[1:]} == {"2"}
