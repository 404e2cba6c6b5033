"""Rectangles: overlap, suppression, shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jetstream.vision.boxes import area, clip, intersection, iou, nms, nms_min, square, widen


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@st.composite
def many_boxes(draw: st.DrawFn) -> np.ndarray:
    corners = hnp.arrays(np.float32, (draw(st.integers(0, 12)), 4), elements=st.integers(-20, 60).map(float))
    rows = draw(corners)
    rows[:, 2:] = rows[:, :2] + np.abs(rows[:, 2:]) + 1
    return rows


def test_half_covered_box_has_iou_of_a_third():
    assert iou(boxes((0, 0, 10, 10)), boxes((5, 0, 15, 10))) == pytest.approx(1 / 3)


def test_boxes_that_touch_share_nothing():
    assert iou(boxes((0, 0, 10, 10)), boxes((10, 0, 20, 10)))[0, 0] == 0


def test_iou_of_every_pair():
    overlaps = iou(boxes((0, 0, 4, 4), (10, 10, 14, 14)), boxes((0, 0, 4, 4), (0, 0, 4, 8), (50, 50, 60, 60)))
    assert overlaps.dtype == np.float32
    np.testing.assert_allclose(overlaps, [[1, 0.5, 0], [0, 0, 0]])


def test_empty_boxes_overlap_nothing_and_divide_by_nothing():
    assert iou(boxes((3, 3, 3, 3)), boxes((3, 3, 3, 3)))[0, 0] == 0


def test_no_boxes_give_an_empty_table():
    assert iou(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)


def test_box_turned_inside_out_has_no_area():
    assert area(boxes((10, 10, 0, 20)))[0] == 0


@given(many_boxes(), many_boxes())
def test_iou_is_symmetric_and_a_share(a: np.ndarray, b: np.ndarray):
    overlaps = iou(a, b)
    np.testing.assert_array_equal(overlaps, iou(b, a).T)
    assert np.all((overlaps >= 0) & (overlaps <= 1))


def test_nms_keeps_the_best_of_a_heap_and_the_box_apart():
    heap = boxes((0, 0, 10, 10), (1, 0, 11, 10), (40, 40, 50, 50))
    assert nms(heap, np.array([0.7, 0.9, 0.8], np.float32), 0.5).tolist() == [1, 2]


def test_nms_keeps_boxes_that_overlap_by_exactly_the_limit():
    assert nms(boxes((0, 0, 10, 10), (0, 0, 10, 5)), np.array([0.9, 0.8], np.float32), 0.5).tolist() == [0, 1]


def test_nms_takes_scores_of_any_sign():
    apart = boxes((0, 0, 1, 1), (5, 5, 6, 6), (9, 9, 10, 10))
    assert nms(apart, np.array([-3, 0, -1], np.float32), 0.5).tolist() == [1, 2, 0]


def test_nms_keeps_the_first_of_equals():
    assert nms(boxes((0, 0, 9, 9), (0, 0, 9, 9)), np.zeros(2, np.float32), 0.5).tolist() == [0]


@pytest.mark.parametrize("suppress", [nms, nms_min])
def test_nms_of_nothing_is_nothing(suppress):
    assert suppress(boxes(), np.empty(0, np.float32), 0.5).tolist() == []


@given(many_boxes(), st.sampled_from([0.301, 0.501, 0.701]))
def test_nms_drops_exactly_what_a_better_kept_box_covers(rows: np.ndarray, limit: float):
    scores = np.arange(len(rows), 0, -1, dtype=np.float32)
    kept: list[int] = []
    for index in range(len(rows)):
        if not np.any(iou(rows[[index]], rows[kept]) > limit):
            kept.append(index)
    assert nms(rows, scores, limit).tolist() == kept


def test_nms_min_drops_a_small_box_inside_a_better_large_one():
    inside = boxes((0, 0, 20, 20), (5, 5, 10, 10))
    scores = np.array([0.9, 0.8], np.float32)
    assert nms_min(inside, scores, 0.7).tolist() == [0]
    assert nms(inside, scores, 0.7).tolist() == [0, 1]


def test_intersection_counts_shared_pixels():
    assert intersection(boxes((0, 0, 4, 4)), boxes((2, 1, 9, 9)))[0, 0] == 6


def test_square_keeps_the_centre_and_the_longer_side():
    np.testing.assert_array_equal(square(boxes((10, 0, 20, 40))), boxes((-5, 0, 35, 40)))


def test_widen_grows_about_the_centre():
    np.testing.assert_allclose(widen(boxes((0, 0, 10, 20)), 0.2), boxes((-1, -2, 11, 22)))


def test_clip_cuts_at_the_picture():
    np.testing.assert_array_equal(
        clip(boxes((-5, -5, 5, 5), (90, 40, 300, 60), (500, 500, 600, 600)), 100, 50),
        boxes((0, 0, 5, 5), (90, 40, 100, 50), (100, 50, 100, 50)),
    )
