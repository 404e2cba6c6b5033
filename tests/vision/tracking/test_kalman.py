import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetstream.vision.tracking.filterpy_filter import MatrixBoxFilter
from jetstream.vision.tracking.kalman import BoxFilter, FaceFilter, filter_class

FACE = np.array([100.0, 100.0, 180.0, 200.0])


def moved(box: np.ndarray, right_px: float, down_px: float = 0.0) -> np.ndarray:
    return box + np.array([right_px, down_px, right_px, down_px])


def centre_x(box: np.ndarray) -> float:
    return float(box[0] + box[2]) / 2


def test_new_filter_answers_the_box_it_was_given() -> None:
    box = BoxFilter(FACE).box
    assert box.dtype == np.float32
    np.testing.assert_allclose(box, FACE, atol=1e-4)


def test_new_face_is_at_rest() -> None:
    kalman = BoxFilter(FACE)
    kalman.predict(0.5)
    np.testing.assert_allclose(kalman.box, FACE, atol=1e-4)


def test_steady_motion_is_predicted_where_it_will_be() -> None:
    kalman = BoxFilter(FACE)
    for step in range(1, 26):
        kalman.predict(0.04)
        kalman.update(moved(FACE, 4.0 * step))
    kalman.predict(0.4)
    assert centre_x(kalman.box) == pytest.approx(centre_x(moved(FACE, 4.0 * 35)), abs=2.0)


@given(
    steps=st.lists(st.floats(0.0, 0.2), min_size=1, max_size=8),
    speed_px=st.floats(-10.0, 10.0),
)
def test_many_small_steps_are_one_large_step(steps: list[float], speed_px: float) -> None:
    small, large = BoxFilter(FACE), BoxFilter(FACE)
    for kalman in (small, large):
        for step in range(1, 6):
            kalman.predict(0.04)
            kalman.update(moved(FACE, speed_px * step))
    for dt_s in steps:
        small.predict(dt_s)
    large.predict(sum(steps))
    np.testing.assert_allclose(small.box, large.box, rtol=1e-4, atol=1e-3)
    # The same uncertainty too: the next detection moves both to the same place.
    small.update(moved(FACE, 30.0))
    large.update(moved(FACE, 30.0))
    np.testing.assert_allclose(small.box, large.box, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dt_s", [0.0, -1.0])
def test_no_time_changes_nothing(dt_s: float) -> None:
    kalman, untouched = BoxFilter(FACE), BoxFilter(FACE)
    kalman.predict(dt_s)
    for each in (kalman, untouched):
        each.update(moved(FACE, 20.0))
    np.testing.assert_array_equal(kalman.box, untouched.box)


def test_weak_detection_pulls_less_than_a_strong_one() -> None:
    strong, weak = BoxFilter(FACE), BoxFilter(FACE)
    for kalman, score in ((strong, 1.0), (weak, 0.2)):
        kalman.predict(0.04)
        kalman.update(moved(FACE, 10.0), score)
    assert centre_x(FACE) < centre_x(weak.box) < centre_x(strong.box)


def test_large_and_small_faces_are_filtered_alike() -> None:
    small, large = BoxFilter(FACE), BoxFilter(FACE * 4)
    for step in (1, 2, 1, 3):
        small.predict(0.1)
        large.predict(0.1)
        small.update(moved(FACE, 5.0 * step))
        large.update(moved(FACE * 4, 20.0 * step))
    np.testing.assert_allclose(large.box, small.box * 4, rtol=1e-4)


def test_jitter_is_smoothed() -> None:
    kalman = BoxFilter(FACE)
    for step in range(40):
        kalman.predict(0.04)
        kalman.update(moved(FACE, 4.0 if step % 2 else -4.0))
    assert abs(centre_x(kalman.box) - centre_x(FACE)) < 1.0


def test_face_that_starts_to_move_is_caught_up_with() -> None:
    still = 50
    kalman, without = BoxFilter(FACE), BoxFilter(FACE, surprise=1e9)
    for each in (kalman, without):
        for step in range(still + 6):
            each.predict(0.04)
            each.update(moved(FACE, 8.0 * max(0, step - still)))
    trailing_px = centre_x(moved(FACE, 40.0)) - centre_x(kalman.box)
    assert abs(trailing_px) < 0.5 * (centre_x(moved(FACE, 40.0)) - centre_x(without.box))


def test_unseen_face_neither_vanishes_nor_fills_the_picture() -> None:
    for factor in (0.9, 1.1):
        kalman = BoxFilter(FACE)
        box = FACE
        for _ in range(8):
            middle = np.tile((box[:2] + box[2:]) / 2, 2)
            box = middle + (box - middle) * factor
            kalman.predict(0.04)
            kalman.update(box)
        seen = kalman.box[2:] - kalman.box[:2]
        for _ in range(100):
            kalman.predict(0.04)
        unseen = kalman.box[2:] - kalman.box[:2]
        assert (unseen <= seen * 1.71).all()
        assert (unseen >= seen / 1.71).all()


corner = st.floats(-1e4, 1e4)


@given(
    boxes=st.lists(st.tuples(corner, corner, corner, corner, st.floats(0.0, 3.0), st.floats(-1.0, 2.0)), max_size=12)
)
def test_box_never_has_a_side_under_a_pixel(boxes: list[tuple[float, ...]]) -> None:
    kalman = BoxFilter(FACE)
    for x1, y1, x2, y2, dt_s, score in boxes:
        kalman.predict(dt_s)
        kalman.update(np.array([x1, y1, x2, y2]), score)
        box = kalman.box.astype(np.float64)
        assert np.isfinite(box).all()
        assert (box[2:] - box[:2] >= 0.99).all()


def test_box_that_is_moved_keeps_its_speed_and_size() -> None:
    turned, straight = BoxFilter(FACE), BoxFilter(FACE)
    for kalman in (turned, straight):
        for step in range(1, 10):
            kalman.predict(0.04)
            kalman.update(moved(FACE, 4.0 * step))
    turned.move(50.0, -20.0)
    for kalman in (turned, straight):
        kalman.predict(0.2)
    np.testing.assert_allclose(turned.box, moved(straight.box, 50.0, -20.0), atol=1e-3)


step = st.tuples(
    st.floats(0.0, 3.0),  # seconds since the frame before
    st.floats(0.1, 1.0),  # persistence
    st.sampled_from(["found", "lost", "moved"]),
    *[st.floats(-1.0, 1.0)] * 4,  # where it is found, in sides away from where it was; by how much the camera moved
    st.floats(-0.5, 1.5),  # score
)


def walk(kalman: FaceFilter, steps: list[tuple]) -> np.ndarray:
    """(N, 4) the corners after each prediction and each correction."""
    seen, box = [], FACE
    for dt_s, persistence, what, right, down, wider, higher, score in steps:
        kalman.predict(dt_s, persistence=persistence)
        seen.append(kalman.corners)
        width, height = box[2:] - box[:2]
        if what == "moved":
            kalman.move(right * width, down * height)
        elif what == "found":
            sides = np.array([width * 2.0**wider, height * 2.0**higher])
            middle = (box[:2] + box[2:]) / 2 + np.array([right * width, down * height])
            box = np.concatenate([middle - sides / 2, middle + sides / 2])
            kalman.update(box, score)
        seen.append(kalman.corners)
    return np.array(seen)


def assert_equal(ours: np.ndarray, reference: np.ndarray) -> None:
    """To 1e-9 of the box's side and of its distance from the origin."""
    scale = np.abs(reference).max(axis=1, keepdims=True)
    assert (np.abs(ours - reference) / scale).max() < 1e-9


@given(steps=st.lists(step, min_size=1, max_size=60))
def test_filter_is_that_of_filterpy(steps: list[tuple]) -> None:
    assert_equal(walk(BoxFilter(FACE, 0.7), steps), walk(MatrixBoxFilter(FACE, 0.7), steps))


@pytest.mark.parametrize("seed", range(5))
def test_filter_is_that_of_filterpy_after_thousands_of_frames(seed: int) -> None:
    draws = np.random.default_rng(seed)
    steps = [
        (draws.choice([0.04, 0.08, 0.5]), 1.0, draws.choice(["found"] * 8 + ["lost", "moved"]), *small, draws.random())
        for small in draws.normal(0.0, 0.02, (3000, 4))
    ]
    # it walks, so that the speed is followed, and jumps, so that the variance is inflated
    steps = [(dt, keeps, what, x + 0.3 * (i % 100 < 9), *rest) for i, (dt, keeps, what, x, *rest) in enumerate(steps)]

    ours = walk(BoxFilter(FACE), steps)

    assert_equal(ours, walk(MatrixBoxFilter(FACE), steps))
    without = walk(BoxFilter(FACE, surprise=1e9), steps)
    assert np.abs(ours - without).max() > 5.0, "no step inflated the variance"


@pytest.mark.parametrize(("kind", "kalman"), [("scalar", BoxFilter), ("filterpy", MatrixBoxFilter)])
def test_kind_of_filter_is_its_class(kind: str, kalman: type) -> None:
    assert filter_class(kind) is kalman


def test_filterpy_is_loaded_where_it_is_asked_for() -> None:
    script = """
import sys
from jetstream.vision.tracking.kalman import filter_class
filter_class("scalar")
assert "jetstream.vision.tracking.filterpy_filter" not in sys.modules
filter_class("filterpy")
assert "jetstream.vision.tracking.filterpy_filter" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
