"""Healthy and ready, from what was said and how long ago."""

from jetstream.monitoring.health import SILENT_S, ailments, unready
from tests.support.statuses import beat, status

S = 1_000_000_000


def test_supervisor_that_has_said_nothing_is_not_healthy() -> None:
    assert list(ailments(None, 0)) == ["the supervisor has not reported yet"]


def test_supervisor_that_fell_silent_is_told_with_its_age_however_well_it_was_before() -> None:
    well = status(beat("track", levels={"newest door": 0}))

    assert list(ailments(well, round(SILENT_S * S))) == []
    assert list(ailments(well, 7 * S)) == ["the supervisor's loop last turned 7.0 s ago"]


def test_each_camera_without_fresh_frames_is_a_reason() -> None:
    said = status(
        beat("capture.door", levels={"newest door": 90 * S}),
        beat("capture.yard", levels={"newest yard": 90 * S}),
        beat("track", levels={"newest door": 88 * S, "newest yard": 80 * S}),
        turn_ns=90 * S,
    )

    assert list(unready(said, ["door", "yard", "new"], 5.0, 90 * S)) == [
        "camera yard: its newest frame is 10.0 s old",
        "camera new: no frame yet",
    ]


def test_file_that_ended_is_no_reason() -> None:
    said = status(
        beat("capture.clip"), beat("track", levels={"newest clip": 0}), turn_ns=90 * S, done=("capture.clip",)
    )

    assert list(unready(said, ["clip"], 5.0, 90 * S)) == []


def test_track_that_is_run_by_hand_leaves_the_captures_to_judge_by() -> None:
    said = status(beat("capture.door", levels={"newest door": 89 * S}), turn_ns=90 * S)

    assert list(unready(said, ["door"], 5.0, 90 * S)) == []
