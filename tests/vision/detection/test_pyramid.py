"""A picture's levels and crops are what the module's docstring says."""

import numpy as np
import pytest

from jetstream.vision.detection.pyramid import MOST_PX, Pyramid
from tests.support.reference_cascade import ExactSampler


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def upright(planes: np.ndarray) -> np.ndarray:
    return planes.transpose(1, 2, 0)


@pytest.mark.parametrize("size", [(64, 96), (67, 101), (233, 155)])
@pytest.mark.parametrize("scale", [1.0, 0.8, 0.5, 0.3, 0.17])
def test_level_is_within_a_grey_level_of_its_definition(size: tuple[int, int], scale: float):
    image = noise(*size)
    level = upright(Pyramid(image).level(scale)[0])
    expected = ExactSampler(image).level(scale)
    assert level.shape == expected.shape == (*Pyramid(image).level_shape(scale), 3)
    assert np.abs(level - expected).max() <= 1


@pytest.mark.parametrize(
    "box",
    [
        (5, 7, 53, 55),
        (-20, 10, 60, 90),
        (30, 30, 31, 31),
        (0, 0, 101, 67),
        (40.5, 3.25, 99.75, 62.5),
        (90, 60, 300, 270),
    ],
)
@pytest.mark.parametrize("side_px", [24, 48])
def test_crop_is_within_a_grey_level_of_its_definition(box: tuple[float, ...], side_px: int):
    image = noise(67, 101)
    crop = upright(Pyramid(image).crops(np.array([box], np.float32), side_px)[0])
    counted_from_one = np.add(box, (1, 1, 0, 0))
    assert np.abs(crop - ExactSampler(image).crop(counted_from_one, side_px)).max() <= 1


def test_crops_come_in_the_order_of_their_boxes_whatever_their_sizes():
    pyramid = Pyramid(noise(300, 300))
    boxes = np.array([[0, 0, 200, 200], [10, 10, 30, 30], [50, 50, 150, 150], [20, 20, 40, 40]], np.float32)
    alone = [pyramid.crops(boxes[[index]], 24)[0] for index in range(4)]
    np.testing.assert_array_equal(pyramid.crops(boxes, 24), alone)


def test_more_crops_than_one_call_takes():
    pyramid = Pyramid(noise(60, 60))
    boxes = np.tile(np.array([[3, 4, 35, 36]], np.float32), (1100, 1))
    crops = pyramid.crops(boxes, 24)
    np.testing.assert_array_equal(crops, np.broadcast_to(crops[0], crops.shape))


def test_crop_outside_the_picture_is_black():
    assert not Pyramid(noise(40, 40)).crops(np.array([[100, 100, 148, 148]], np.float32), 24).any()


def test_no_boxes_give_no_crops():
    assert Pyramid(noise(40, 40)).crops(np.empty((0, 4), np.float32), 24).shape == (0, 3, 24, 24)


def test_planes_are_blue_green_red():
    image = np.zeros((50, 50, 3), np.uint8)
    image[...] = (10, 20, 30)
    assert Pyramid(image).level(0.5)[0].max(axis=(1, 2)).tolist() == [10, 20, 30]


def test_crop_of_a_picture_wider_than_opencv_samples():
    image = np.full((30, MOST_PX + 500, 3), 90, np.uint8)
    crop = Pyramid(image).crops(np.array([[MOST_PX + 100, 2, MOST_PX + 124, 26]], np.float32), 24)
    assert set(np.unique(crop)) == {90}


def test_picture_is_left_as_it_was():
    image = noise(50, 50)
    before = image.copy()
    pyramid = Pyramid(image)
    pyramid.level(0.4)
    pyramid.crops(np.array([[0, 0, 48, 48]], np.float32), 24)
    np.testing.assert_array_equal(image, before)
