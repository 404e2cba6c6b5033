"""Orientation and shape as numbers."""

from fractions import Fraction
from itertools import product

import msgspec
import numpy as np
import pytest

from jetstream.video.geometry import FLIPS, QUARTERS, Orientation, mounted, squared
from tests.support.corners import corners, marked
from tests.support.defaults import CONFIG

ALL = [Orientation(*flags) for flags in product((False, True), repeat=3)]


@pytest.mark.parametrize(("degrees", "shown"), [(0, "RGBW"), (90, "BRWG"), (180, "WBGR"), (270, "GWRB")])
def test_rotate_is_clockwise(degrees: int, shown: str) -> None:
    assert corners(QUARTERS[degrees].apply(marked(16, 8))) == shown
    assert QUARTERS[degrees].size(16, 8) == ((8, 16) if degrees in (90, 270) else (16, 8))


@pytest.mark.parametrize(
    ("rotate", "flip", "shown"),
    [
        (0, "horizontal", "GRWB"),
        (0, "vertical", "BWRG"),
        (0, "both", "WBGR"),
        (90, "horizontal", "RBGW"),
        (270, "vertical", "RBGW"),
        (180, "both", "RGBW"),
    ],
)
def test_flip_comes_after_rotate(rotate: int, flip: str, shown: str) -> None:
    camera = msgspec.structs.replace(CONFIG.cameras[0], rotate=rotate, flip=flip)
    assert corners(mounted(camera).apply(marked(16, 8))) == shown


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_two_orientations_are_one(first: Orientation, second: Orientation) -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(first.then(second).apply(image), second.apply(first.apply(image)))


def test_upright_picture_is_not_copied() -> None:
    image = marked(16, 8)
    assert mounted(CONFIG.cameras[0]).apply(image) is image
    assert set(FLIPS) == {"", "horizontal", "vertical", "both"}


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((720, 576), Fraction(64, 45), (1024, 576)),  # PAL, 16:9
        ((720, 576), Fraction(16, 15), (768, 576)),  # PAL, 4:3
        ((720, 480), Fraction(8, 9), (720, 540)),  # NTSC, 4:3
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),  # HDV
        ((704, 288), Fraction(6, 11), (704, 528)),  # every second row of a surveillance recorder
        ((352, 576), Fraction(32, 11), (1024, 576)),
        ((640, 480), Fraction(1), (640, 480)),
        ((640, 480), None, (640, 480)),
        ((640, 480), Fraction(0), (640, 480)),
        ((640, 480), Fraction(-1, 2), (640, 480)),
        ((640, 480), Fraction(255), (640, 480)),
        ((640, 480), Fraction(1, 65535), (640, 480)),
        ((1, 1), Fraction(3, 2), (2, 1)),
    ],
)
def test_pixels_become_square_and_no_side_shrinks(
    size: tuple[int, int], aspect: Fraction | None, shown: tuple[int, int]
) -> None:
    assert squared(*size, aspect) == shown
