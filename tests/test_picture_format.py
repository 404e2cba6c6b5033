"""NV12 becomes the BGR that the standards' formulas say, at any size and wherever its rows lie."""

import numpy as np
import pytest

from jetstream.picture_format import Nv12Picture, PictureFormat, bgr_of, bgr_part, format_of
from jetstream.vision.detection import motion
from tests.support.nv12 import FORMATS, apart, exact_bgr, noise_nv12, nv12_of, reference_bgr

SIZES = [(1, 1), (1, 7), (2, 3), (5, 1), (64, 66), (129, 257)]


def by_name(form: PictureFormat) -> str:
    return form.name


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
@pytest.mark.parametrize("size", SIZES)
def test_colours_are_those_of_the_formula(size: tuple[int, int], form: PictureFormat) -> None:
    picture = noise_nv12(*size, form)
    np.testing.assert_array_equal(picture.bgr(), reference_bgr(picture))
    np.testing.assert_array_equal(apart(picture, 320).bgr(), reference_bgr(picture))


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
def test_whole_numbers_cost_less_than_a_level(form: PictureFormat) -> None:
    """Of every value of Y, and a grid of Cb and Cr."""
    few = np.arange(0, 256, 3, dtype=np.uint8)
    luma = np.tile(np.arange(256, dtype=np.uint8), (len(few) ** 2, 1))
    chroma = np.stack(np.meshgrid(few, few, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    squares = Nv12Picture(luma.repeat(2, axis=0), np.tile(chroma, (1, 128, 1)), form)
    exact = np.clip(exact_bgr(luma, np.tile(chroma, (1, 256, 1)), form), 0, 255)
    difference = np.abs(squares.bgr()[::2] - exact)
    assert difference.max() < 0.7
    assert difference.mean() < 0.26  # rounding alone: 0.25


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
def test_black_white_and_grey_have_no_colour(form: PictureFormat) -> None:
    black, white = (0, 255) if form.name.endswith("FULL") else (16, 235)
    luma = np.array([[black, white, 100, 181]], np.uint8)
    bgr = Nv12Picture(luma, np.full((1, 2, 2), 128, np.uint8), form).bgr()
    assert bgr[0, :2].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert (bgr == bgr[..., :1]).all()


@pytest.mark.parametrize("form", FORMATS, ids=by_name)
def test_bars_come_back(form: PictureFormat) -> None:
    """Blue, green, red, cyan, magenta, yellow at 75 %."""
    colours = [[191, 0, 0], [0, 191, 0], [0, 0, 191], [191, 191, 0], [191, 0, 191], [0, 191, 191]]
    bars = np.repeat(np.array([colours], np.uint8), 4, axis=1).repeat(4, axis=0)
    np.testing.assert_allclose(nv12_of(bars, form).bgr().astype(int), bars.astype(int), atol=2)


@pytest.mark.parametrize("rows", [(0, 129), (3, 90), (4, 5)])
@pytest.mark.parametrize("columns", [(0, 257), (7, 8), (18, 200)])
def test_part_is_the_same_as_of_the_whole(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    picture = noise_nv12(129, 257, PictureFormat.NV12_709)
    expected = reference_bgr(picture)[slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(bgr_part(picture, *rows, *columns), expected)
    np.testing.assert_array_equal(bgr_part(reference_bgr(picture), *rows, *columns), expected)


@pytest.mark.parametrize("size", SIZES)
def test_thumbnail_is_that_of_its_bgr(size: tuple[int, int]) -> None:
    picture = noise_nv12(*size, PictureFormat.NV12_601)
    np.testing.assert_array_equal(motion.thumbnail(picture), motion.thumbnail(reference_bgr(picture)))


def test_bgr_is_written_where_it_is_wanted() -> None:
    picture, out = noise_nv12(33, 18, PictureFormat.NV12_601_FULL), np.zeros((33, 18, 3), np.uint8)
    assert picture.bgr(out) is out
    np.testing.assert_array_equal(out, reference_bgr(picture))


def test_bgr_itself_is_not_copied() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert bgr_of(image) is image
    assert format_of(image) is PictureFormat.BGR
