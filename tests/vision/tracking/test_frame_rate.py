import math
from collections.abc import Sequence

import pytest

from jetstream.vision.tracking.frame_rate import NORMAL_S, FrameRate


def slowness(times_s: Sequence[float]) -> float:
    rate = FrameRate()
    for time_s in times_s:
        rate.saw(time_s)
    return rate.slowness


def at(interval_s: float, frames: int = 6) -> list[float]:
    return [frame * interval_s for frame in range(frames)]


@pytest.mark.parametrize("fps", [4, 5, 7, 15, 24, 30, 120])
def test_video_is_not_slow(fps: float) -> None:
    assert slowness(at(1 / fps)) == 1.0


@pytest.mark.parametrize("interval_s", [0.5, 2.5, 5.02])
def test_slow_camera_is_slow_from_its_second_frame(interval_s: float) -> None:
    assert slowness([0.0]) == 1.0
    assert slowness(at(interval_s, 2)) == pytest.approx(interval_s / NORMAL_S)


def test_snapshot_a_minute_is_slow_from_its_third_frame() -> None:
    assert slowness(at(60.0, 2)) == 1.0
    assert slowness(at(60.0, 3)) == pytest.approx(60.0 / NORMAL_S)


@pytest.mark.parametrize("stall_s", [1.0, 10.0, 600.0])
def test_stall_of_video_is_no_slow_camera(stall_s: float) -> None:
    before = at(0.04)
    assert slowness([*before, before[-1] + stall_s]) == 1.0
    assert slowness([*before, before[-1] + stall_s, before[-1] + stall_s + 0.04]) == 1.0


def test_camera_that_slows_at_night_and_back_is_known_from_its_second_interval() -> None:
    rate, time_s, told = FrameRate(), 0.0, []
    for interval_s in [0.04] * 5 + [0.5] * 5 + [0.04] * 5:
        time_s += interval_s
        rate.saw(time_s)
        told.append(round(rate.slowness, 3))
    assert told == [1.0] * 6 + [2.0] * 5 + [1.0] * 4


def test_uneven_slow_camera_has_its_median_pace() -> None:
    assert slowness([0.0, 2.0, 5.0, 7.5]) == pytest.approx(2.5 / NORMAL_S)


def test_two_intervals_that_differ_say_nothing() -> None:
    assert slowness([0.0, 1.0, 3.5]) == 1.0


def test_frames_that_were_not_seen_are_no_slow_camera() -> None:
    rate = FrameRate()
    for frame_id in range(0, 250, 25):
        rate.saw(frame_id / 25, frame_id)
    assert rate.slowness == 1.0


@pytest.mark.parametrize("odd_s", [math.nan, math.inf, -5.0, 10.0])
def test_odd_times_are_no_interval(odd_s: float) -> None:
    assert slowness([9.96, 10.0, odd_s]) == 1.0
