import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetstream.vision.recognition.embedding_space import DLIB_SPACE
from jetstream.vision.tracking.id_switches import FAR, FAR_UNNAMED, LEAST_QUALITY, NEAR, IdSwitchDetector


def face(x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """An embedding; two of them lie as far apart as their (x, y)."""
    return np.array([x, y, *[0.1] * 126], np.float32)


ADA, GRACE, EMMY = face(), face(FAR_UNNAMED + 0.1), face(0.0, FAR_UNNAMED + 0.1)
TURNED = face(0.0, (FAR + FAR_UNNAMED) / 2)  # as far as Ada's own profile, or a friend who samples like her


def told(*samples: np.ndarray, quality: float = 1.0, every_s: float = 0.15) -> list[bool]:
    switches = IdSwitchDetector(DLIB_SPACE)
    return [switches.moved(1, sample, quality, step * every_s) for step, sample in enumerate(samples)]


def test_two_samples_at_another_face_are_a_switch() -> None:
    assert told(ADA, ADA, ADA, GRACE, GRACE, GRACE) == [False, False, False, False, True, False]


def test_one_odd_sample_is_not_a_switch() -> None:
    assert not any(told(ADA, ADA, GRACE, ADA, GRACE, ADA))


def test_two_odd_samples_that_differ_are_not_a_switch() -> None:
    assert np.linalg.norm(GRACE - EMMY) > NEAR
    assert not any(told(ADA, ADA, GRACE, EMMY, GRACE, EMMY))


def test_turned_head_is_not_a_switch_unless_it_got_a_name() -> None:
    unnamed, named = IdSwitchDetector(DLIB_SPACE), IdSwitchDetector(DLIB_SPACE)
    samples = [ADA, ADA, TURNED, TURNED, TURNED, TURNED]

    assert not any(unnamed.moved(1, sample, 1.0, step) for step, sample in enumerate(samples))
    said = [named.moved(1, sample, 1.0, step, named=True) for step, sample in enumerate(samples)]
    assert said == [False, False, False, True, False, False]


def test_mean_follows_a_head_that_stays_turned() -> None:
    assert not any(told(ADA, ADA, *[TURNED] * 8, *[face(0.0, 1.1)] * 2))


def test_switch_back_is_a_switch_too() -> None:
    assert told(ADA, GRACE, GRACE, ADA, ADA) == [False, False, True, False, True]


def test_face_that_turns_slowly_is_not_a_switch() -> None:
    assert not any(told(*[face(step * 0.1) for step in range(30)]))


def test_poor_samples_are_passed_over() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    switches.moved(1, ADA, 1.0, 0.0)
    poor = [switches.moved(1, GRACE, LEAST_QUALITY * 0.9, 0.1 * step) for step in range(1, 9)]

    assert not any(poor)
    assert [switches.moved(1, GRACE, 1.0, 1.0 + step) for step in range(2)] == [False, True]


def test_sample_told_of_again_counts_once_and_gets_the_same_answer() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    switches.moved(1, ADA, 1.0, 0.0)

    assert [switches.moved(1, GRACE, 1.0, 0.1) for _ in range(3)] == [False] * 3
    assert [switches.moved(1, GRACE, 1.0, 0.2) for _ in range(3)] == [True] * 3


def test_tracks_do_not_share_samples() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    said = [
        switches.moved(track_id, sample, 1.0, step) for step in range(3) for track_id, sample in ((1, ADA), (2, GRACE))
    ]

    assert not any(said)


def test_track_is_forgotten_after_a_while() -> None:
    switches = IdSwitchDetector(DLIB_SPACE, forget_s=10.0)
    switches.moved(1, ADA, 1.0, 0.0)
    switches.moved(2, EMMY, 1.0, 10.5)

    assert len(switches) == 1
    assert [switches.moved(1, GRACE, 1.0, 11.0 + step) for step in range(3)] == [False] * 3


def test_clock_that_begins_anew_forgets_all() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    switches.moved(1, ADA, 1.0, 100.0)

    assert [switches.moved(1, GRACE, 1.0, step) for step in range(3)] == [False] * 3
    assert [switches.moved(1, ADA, 1.0, 3.0 + step) for step in range(2)] == [False, True]


def test_oldest_of_too_many_tracks_is_forgotten() -> None:
    switches = IdSwitchDetector(DLIB_SPACE, most=8)
    for track_id in range(20):
        switches.moved(track_id, ADA, 1.0, 0.001 * track_id)

    assert len(switches) == 8


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.floats(width=32), st.floats(), st.floats() | st.sampled_from([0.0, 1.0, 2.0, 3.0])
        ),
        max_size=40,
    )
)
def test_no_number_breaks_it_and_memory_is_bounded(samples: list[tuple[int, float, float, float]]) -> None:
    switches = IdSwitchDetector(DLIB_SPACE, most=3)
    for track_id, x, quality, time_s in samples:
        assert switches.moved(track_id, face(x), quality, time_s) in (True, False)
        assert len(switches) <= 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_embedding_that_is_not_finite_changes_nothing(bad: float) -> None:
    assert told(ADA, face(bad), GRACE, face(bad), GRACE) == [False, False, False, False, True]


def test_samples_of_a_slow_camera_are_kept_for_longer() -> None:
    def kept(slowness: float) -> int:
        switches = IdSwitchDetector(DLIB_SPACE, forget_s=10.0)
        switches.moved(1, ADA, 1.0, 0.0, slowness=slowness)
        switches.moved(2, ADA, 1.0, 60.0, slowness=slowness)
        return len(switches)

    assert (kept(1.0), kept(240.0)) == (1, 2)


def test_drift_is_how_far_the_newest_sample_lies_from_those_before() -> None:
    switches, drifts = IdSwitchDetector(DLIB_SPACE), []
    for step, sample in enumerate([face(0.0), face(0.2), face(0.1)]):
        switches.moved(1, sample, 1.0, step * 1.0)
        drifts.append(switches.drift(1))
    assert drifts[0] is None
    assert drifts[1:] == pytest.approx([0.2, 0.0], abs=1e-6)
    assert switches.drift(7) is None


def test_suspect_face_needs_no_name_to_be_a_switch() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    samples = [ADA, ADA, TURNED, TURNED]

    assert [switches.moved(1, sample, 1.0, step, suspect=True) for step, sample in enumerate(samples)][-1]


def test_newest_sample_is_like_those_before_or_not() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    assert switches.is_same(1) is None

    said = []
    for step, sample in enumerate([ADA, ADA, GRACE, GRACE, GRACE]):
        switches.moved(1, sample, 1.0, step)
        said.append(switches.is_same(1))
    assert said == [None, True, False, False, True]


def test_poor_sample_may_be_like_those_before_but_says_nothing_where_it_is_not() -> None:
    switches = IdSwitchDetector(DLIB_SPACE)
    switches.moved(1, ADA, 1.0, 0.0)

    switches.moved(1, face(NEAR - 0.01), LEAST_QUALITY / 2, 1.0)
    assert switches.is_same(1) is True
    switches.moved(1, GRACE, LEAST_QUALITY / 2, 2.0)
    assert switches.is_same(1) is None
