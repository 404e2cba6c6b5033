"""Times made rising, streams thinned, sizes fitted: numbers in, numbers out."""

import math

import pytest

from jetstream.video.frames import RateLimiter, Timeline, fitted


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((3840, 2160), (1920, 1080), (1920, 1080)),
        ((640, 480), (1920, 1080), (640, 480)),
        ((1080, 1920), (1920, 1080), (608, 1080)),
        ((4000, 2), (1000, 1000), (1000, 1)),
    ],
)
def test_size_fits_inside_the_limits(size: tuple[int, int], limits: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fitted(*size, *limits) == expected


def placed(times: list[float | None], longest_gap_s: float = math.inf) -> list[float]:
    timeline = Timeline(0.04, longest_gap_s)
    return [round(timeline.place(time_s), 3) for time_s in times]


def test_rising_times_are_kept() -> None:
    assert placed([0.0, 0.04, 0.5, 7.0]) == [0.0, 0.04, 0.5, 7.0]


def test_missing_times_follow_by_a_frame() -> None:
    assert placed([None, None, 0.3, None]) == [0.0, 0.04, 0.3, 0.34]


def test_two_frames_out_of_order_cost_no_more_than_a_frame() -> None:
    assert placed([0.0, 0.08, 0.04, 0.08, 0.2]) == [0.0, 0.08, 0.12, 0.16, 0.2]


def test_clock_set_back_goes_on_from_there() -> None:
    assert placed([100.0, 100.04, 5.0, 5.04, 6.0]) == [100.0, 100.04, 100.08, 100.12, 101.08]


def test_clock_of_a_live_stream_set_ahead_goes_on_from_there() -> None:
    assert placed([0.0, 0.04, 91_800.0, 91_800.04, 91_801.0], 60) == [0.0, 0.04, 0.08, 0.12, 1.08]


def test_silence_of_a_live_stream_is_kept() -> None:
    assert placed([0.0, 0.04, 50.0, 50.04], 60) == [0.0, 0.04, 50.0, 50.04]


def test_the_same_time_rounded_otherwise_is_no_step() -> None:
    assert placed([0.0, 0.3, 0.1 + 0.2]) == [0.0, 0.3, 0.34]


def test_next_pass_follows_the_last_frame() -> None:
    timeline = Timeline(0.04)
    first = [timeline.place(time_s) for time_s in (0.0, 0.04)]
    timeline.start_again()
    second = [timeline.place(time_s) for time_s in (0.0, 0.04)]
    assert [*first, *second] == pytest.approx([0.0, 0.04, 0.08, 0.12])


def kept(fps_limit: float, fps: float, count: int) -> list[int]:
    pace = RateLimiter(fps_limit, 1 / fps)
    return [index for index in range(count) if pace.wants(index / fps)]


def test_no_limit_keeps_everything() -> None:
    assert len(kept(0, 25, 100)) == 100


def test_limit_over_the_rate_keeps_everything() -> None:
    assert len(kept(60, 25, 100)) == 100


def test_limit_holds_on_average() -> None:
    assert len(kept(10, 25, 250)) == 100
    assert len(kept(1, 29.97, 300)) == 10


def test_limit_at_the_rate_survives_jitter() -> None:
    pace = RateLimiter(30, 1 / 30)
    jitter_s = (0.0, 0.006, -0.006)
    assert all(pace.wants(index / 30 + jitter_s[index % 3]) for index in range(90))


def test_gap_is_not_made_up_for() -> None:
    pace = RateLimiter(10, 0.04)
    assert pace.wants(0.0)
    assert [pace.wants(50 + index * 0.04) for index in range(4)] == [True, False, True, False]
