"""A window that moves over a larger picture, as a camera does: by how much it is found to have moved."""

import cv2
import numpy as np
import pytest

from jetstream.vision.detection import motion
from jetstream.vision.detection.camera_shift import STILL, Shift, shift

HEIGHT, WIDTH = 480, 640


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """(1000, 1400, 3) uint8: blots of all sizes."""
    rng = np.random.default_rng(3)
    layers = [cv2.resize(rng.integers(0, 255, (h, h * 7 // 5)).astype(np.float32), (1400, 1000)) for h in (5, 20, 80)]
    return np.repeat((np.mean(layers, axis=0)).astype(np.uint8)[:, :, None], 3, axis=2)


def seen(room: np.ndarray, x: int, y: int, *, noise: float = 2.0, light: float = 1.0) -> np.ndarray:
    window = room[200 + y : 200 + y + HEIGHT, 300 + x : 300 + x + WIDTH] * light
    grain = np.random.default_rng(abs(x * 31 + y)).normal(0, noise, window.shape)
    return motion.thumbnail(np.clip(window + grain, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("to", [(8, 0), (-24, 0), (40, 16), (-100, 60), (5, -13), (140, -90)])
@pytest.mark.parametrize("light", [1.0, 0.9])
def test_picture_moves_against_the_camera(room: np.ndarray, to: tuple[int, int], light: float) -> None:
    found = shift(seen(room, 0, 0), seen(room, *to, light=light))
    np.testing.assert_allclose(found, (-to[0], -to[1]), atol=2.5)


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0])
def test_camera_that_stands_is_still(room: np.ndarray, noise: float) -> None:
    assert shift(seen(room, 0, 0, noise=noise), seen(room, 0, 1, noise=noise)) == STILL


def test_somebody_who_walks_through_the_picture_moves_no_camera(room: np.ndarray) -> None:
    before, after = seen(room, 0, 0), seen(room, 0, 0)
    before[10:50, 10:30], after[10:50, 16:36] = 220, 220
    assert shift(before, after) == STILL


def test_two_scenes_have_no_shift(room: np.ndarray) -> None:
    assert shift(seen(room, 0, 0), 255 - seen(room, 400, 200)[::-1]) == STILL


@pytest.mark.parametrize("other", [(60, 80), (30, 40)])
def test_thumbnails_of_two_sizes_have_no_shift(other: tuple[int, int]) -> None:
    assert shift(np.zeros((60, 79), np.uint8), np.zeros(other, np.uint8)) == STILL


@pytest.mark.parametrize("shape", [(1, 1), (7, 80), (60, 80)])
def test_picture_without_anything_in_it_is_still(shape: tuple[int, int]) -> None:
    assert shift(np.zeros(shape, np.uint8), np.full(shape, 90, np.uint8)) == STILL


def test_nothing_is_computed_while_hardly_anything_changed(room: np.ndarray) -> None:
    assert shift(seen(room, 0, 0), seen(room, 40, 0), changed=0.01) == STILL


def test_shifts_add_up() -> None:
    assert Shift(3.0, 4.0).plus(Shift(1.0, -1.0)).minus(Shift(3.0, 4.0)) == Shift(1.0, -1.0)


def test_fast_pan_that_looks_like_a_cut_is_a_shift(room: np.ndarray) -> None:
    before, after = seen(room, 0, 0), seen(room, 150, 0)
    assert motion.change(before, after).cut
    assert shift(before, after).right_px == pytest.approx(-150, abs=3.0)
