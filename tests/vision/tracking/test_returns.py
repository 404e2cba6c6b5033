"""Embeddings of tracks, one after another: which track continues which."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetstream.vision.recognition.embedding_space import DLIB_SPACE, SFACE_SPACE
from jetstream.vision.tracking.returns import LEAST_QUALITY, MARGIN, SAME, ReturnFinder


def face(x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """An embedding; two of them lie as far apart as their (x, y)."""
    return np.array([x, y, *[0.1] * 126], np.float32)


ADA, GRACE = face(), face(0.8)


def saw(returns: ReturnFinder, track_id: int, sample: np.ndarray, *times_s: float, quality: float = 1.0) -> int | None:
    answer = None
    for time_s in times_s:
        answer = returns.saw(track_id, sample, quality, time_s)
    return answer


def test_who_comes_back_continues_the_earlier_track() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    assert saw(returns, 1, ADA, 0.0, 0.3, 0.6) is None
    assert saw(returns, 2, GRACE, 0.7, 1.0) is None
    assert saw(returns, 3, ADA, 5.0) is None, "one sample says little"
    assert saw(returns, 3, ADA, 5.3) == 1
    assert saw(returns, 3, GRACE, 5.6) == 1, "it is said once, and again if asked again"


def test_who_comes_back_on_the_track_of_somebody_else_continues_the_earlier_one() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0, 0.3, 0.6)
    assert saw(returns, 2, GRACE, 2.0, 2.3, 2.6) is None
    assert returns.saw(2, ADA, 1.0, 5.0, moved=True) is None
    assert saw(returns, 2, ADA, 5.3) == 1


@pytest.mark.parametrize(("away", "returned"), [(SAME - 0.01, 1), (SAME + 0.01, None)])
@pytest.mark.parametrize("space", [DLIB_SPACE, SFACE_SPACE])
def test_distance_decides_in_any_space(space: object, away: float, returned: int | None) -> None:
    returns = ReturnFinder(space)  # type: ignore[arg-type]
    saw(returns, 1, ADA, 0.0, 0.3)
    assert saw(returns, 2, face(space.at(away)), 5.0, 5.3) == returned  # type: ignore[attr-defined]


def test_two_tracks_that_are_seen_at_once_are_two_people() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0, 0.3)
    saw(returns, 2, ADA, 0.6)
    saw(returns, 1, ADA, 0.9)
    assert saw(returns, 2, ADA, 1.2) is None


def test_nobody_is_said_where_two_people_are_as_near() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, face(0.30), 0.0, 0.3)
    saw(returns, 2, face(-0.30 - MARGIN / 2), 0.6, 0.9)
    assert saw(returns, 3, ADA, 5.0, 5.3) is None


def test_of_two_earlier_tracks_of_one_person_the_newer_is_continued() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    for step in range(2):
        saw(returns, 1, face(0.12), step * 1.0)
        saw(returns, 2, face(0.1), step * 1.0)
    saw(returns, 1, face(0.12), 2.0)
    assert saw(returns, 3, ADA, 5.0, 5.3) == 1


def test_poor_samples_are_passed_over() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0, 0.3)
    assert saw(returns, 2, GRACE, 5.0, 5.3, 5.6, quality=LEAST_QUALITY * 0.9) is None
    assert saw(returns, 2, ADA, 5.9, 6.2) == 1


def test_earlier_track_is_forgotten_after_a_while_and_later_with_a_slow_camera() -> None:
    def returned(slowness: float) -> int | None:
        returns = ReturnFinder(DLIB_SPACE, forget_s=10.0)
        saw(returns, 1, ADA, 0.0, 0.3)
        returns.saw(2, ADA, 1.0, 15.0, slowness=slowness)
        return returns.saw(2, ADA, 1.0, 15.3, slowness=slowness)

    assert returned(1.0) is None
    assert returned(10.0) == 1


def test_clock_that_begins_anew_forgets_all() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 100.0, 100.3)
    assert saw(returns, 2, ADA, 0.0, 0.3) is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.floats(width=32), st.floats(), st.floats() | st.sampled_from([0.0, 1.0, 2.0, 3.0])
        ),
        max_size=40,
    )
)
def test_no_number_breaks_it_and_memory_is_bounded(samples: list[tuple[int, float, float, float]]) -> None:
    returns = ReturnFinder(DLIB_SPACE, most=3)
    for track_id, x, quality, time_s in samples:
        assert returns.saw(track_id, face(x), quality, time_s) != track_id
        assert len(returns) <= 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_embedding_that_is_not_finite_changes_nothing(bad: float) -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0, 0.3)
    saw(returns, 1, face(bad), 0.6)
    assert saw(returns, 2, ADA, 5.0, 5.3) == 1


def test_what_a_track_showed_before_an_exchange_counts_as_an_earlier_track() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0, 0.3, 0.6)
    assert returns.before(1) is None
    assert returns.saw(1, GRACE, 1.0, 2.0, moved=True) is None
    assert returns.before(1) == -1

    assert saw(returns, 2, ADA, 5.0, 5.3) == -1
    assert saw(returns, 1, ADA, 6.0) is None


def test_face_that_only_turned_continues_what_its_track_showed_before() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0, 0.3, 0.6)
    assert returns.saw(1, ADA, 1.0, 2.0, moved=True) is None

    assert saw(returns, 1, ADA, 2.3) == -1


def test_single_look_before_an_exchange_is_forgotten() -> None:
    returns = ReturnFinder(DLIB_SPACE)
    saw(returns, 1, ADA, 0.0)
    returns.saw(1, GRACE, 1.0, 2.0, moved=True)

    assert returns.before(1) is None
