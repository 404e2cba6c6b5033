"""Faces over time, as a camera sees them that stands, turns or jumps: what is found to be its motion."""

import numpy as np
import pytest

from jetstream.vision.tracking.common_motion import LEAST_FACES, CommonMotion

FACES = np.array([(100 * i, 50 + 40 * (i % 2), 100 * i + 60, 130 + 40 * (i % 2)) for i in range(8)], np.float32)


def at(boxes: np.ndarray, right_px: float, down_px: float = 0.0) -> np.ndarray:
    return boxes + np.array([right_px, down_px, right_px, down_px], np.float32)


def jittered(boxes: np.ndarray, share: float, seed: int) -> np.ndarray:
    scatter = np.random.default_rng(seed).normal(0, share, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return (boxes + scatter).astype(np.float32)


@pytest.mark.parametrize("jitter", [0.01, 0.03, 0.06])
def test_camera_that_stands_is_not_moved_by_a_detector_that_jitters(jitter: float) -> None:
    motion = CommonMotion()
    shifts = [motion.seen(FACES, jittered(FACES, jitter, step), 0.04) for step in range(200)]
    assert np.abs(shifts).max() < 0.05 * 60
    assert np.abs(np.sum(shifts, axis=0)).max() < 0.1 * 60, "faces that are lost don't drift"


@pytest.mark.parametrize("far", [(30.0, 0.0), (-45.0, 12.0), (70.0, -40.0)])
def test_jump_is_found_at_once_even_if_boxes_no_longer_overlap(far: tuple[float, float]) -> None:
    motion = CommonMotion()
    motion.seen(FACES, FACES, 0.04)
    shift = motion.seen(FACES, jittered(at(FACES, *far), 0.01, 0), 0.04)
    np.testing.assert_allclose(shift, far, atol=4.0)


def test_jump_is_found_among_false_faces_and_missed_ones() -> None:
    false = np.array([(30, 300, 90, 380), (444, 280, 504, 360)], np.float32)
    found = np.concatenate([false, at(FACES[1:], 55.0)])
    np.testing.assert_allclose(CommonMotion().seen(FACES, found, 0.04), (55.0, 0.0), atol=1.0)


def test_slow_pan_is_learnt() -> None:
    motion, place = CommonMotion(), 0.0
    for step in range(50):
        place += float(motion.seen(at(FACES, place), jittered(at(FACES, 5.0 * (step + 1)), 0.01, step), 0.04)[0])
    assert abs(place - 5.0 * 50) < 10.0


def test_shift_goes_on_for_a_moment_while_too_few_are_seen() -> None:
    motion = CommonMotion()
    for _ in range(25):
        motion.seen(FACES, at(FACES, 20.0), 0.04)
    unseen = [float(motion.seen(FACES[:1], FACES[:1], 0.04)[0]) for _ in range(50)]
    assert unseen[0] > 10.0
    assert unseen[-1] < 3.0


def test_who_moves_alone_moves_no_camera() -> None:
    found = FACES.copy()
    found[:2] = at(found[:2], 40.0)
    assert np.abs(CommonMotion().seen(FACES, found, 0.04)).max() < 1.0


@pytest.mark.parametrize("count", range(LEAST_FACES))
def test_few_faces_show_nothing(count: int) -> None:
    assert CommonMotion().seen(FACES[:count], at(FACES[:count], 30.0), 0.04) == (0.0, 0.0)


def test_faces_that_scatter_show_nothing() -> None:
    found = FACES + np.repeat(np.array([[-50], [40], [-20], [10], [55], [-35], [25], [-5]], np.float32), 4, axis=1)
    assert np.abs(CommonMotion().seen(FACES, found, 0.04)).max() < 6.0


def test_new_scene_and_no_time_have_no_motion() -> None:
    motion = CommonMotion()
    for _ in range(25):
        motion.seen(FACES, at(FACES, 20.0), 0.04)
    assert motion.seen(FACES, at(FACES, 20.0), 0.0) == (0.0, 0.0)
    motion.restart()
    assert motion.seen(FACES[:1], FACES[:1], 0.04) == (0.0, 0.0)


def test_crowd_of_any_size_is_answered() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 2000, (256, 2))
    crowd = np.concatenate([corners, corners + rng.uniform(20, 80, (256, 2))], axis=1).astype(np.float32)
    assert np.isfinite(CommonMotion().seen(crowd, at(crowd, 500.0), 0.04)).all()
