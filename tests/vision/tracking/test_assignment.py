import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from jetstream.vision import boxes
from jetstream.vision.tracking.assignment import assigned, iou, widened

place = st.integers(0, 12).map(float)
box = st.tuples(place, place, st.integers(1, 6), st.integers(1, 6)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
some = st.lists(box, max_size=8)


def array(some: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(some, np.float32).reshape(-1, 4)


@given(one=box, other=box)
def test_overlap_is_that_of_arrays(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    assert iou(one, other) == pytest.approx(boxes.iou(array([one]), array([other]))[0, 0], abs=1e-6)


@given(one=box, share=st.floats(0.0, 1.0))
def test_box_is_widened_as_arrays_are(one: tuple[float, ...], share: float) -> None:
    np.testing.assert_allclose(widened(one, share), boxes.widen(array([one]), share)[0], atol=1e-5)


@given(found=some, places=some, least=st.sampled_from([0.0, 0.15, 0.33, 1.0]))
def test_assignment_has_the_largest_sum_of_overlaps(found: list, places: list, least: float) -> None:
    overlaps = boxes.iou(array(found), array(places))
    overlaps[overlaps < least - 1e-6] = 0.0
    best = overlaps[linear_sum_assignment(overlaps, maximize=True)].sum()

    pairs = assigned(found, places, least)

    rows, columns = [row for row, _ in pairs], [column for _, column in pairs]
    assert rows == sorted(set(rows))
    assert len(set(columns)) == len(columns)
    assert all(overlaps[pair] > 0 for pair in pairs)
    assert sum(overlaps[pair] for pair in pairs) == pytest.approx(best, abs=1e-5)


def test_face_between_two_places_leaves_the_nearer_one_to_whom_has_no_other() -> None:
    left, middle, right = (0.0, 0.0, 10.0, 10.0), (4.0, 0.0, 14.0, 10.0), (8.0, 0.0, 18.0, 10.0)
    assert assigned([middle, left], [left, right], 0.1) == [(0, 1), (1, 0)]


def test_nothing_overlaps_nothing() -> None:
    assert assigned([], [(0.0, 0.0, 1.0, 1.0)], 0.0) == assigned([(0.0, 0.0, 1.0, 1.0)], [], 0.0) == []
    assert iou((0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 2.0, 1.0)) == 0.0, "a common edge is no overlap"
