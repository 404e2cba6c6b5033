"""Each kind of worse look is the same for the same seed, and covers what it says."""

import numpy as np
import pytest

from benchmarks.names.covers import CLEAR, COVERS
from benchmarks.names.degradations import DEGRADATIONS, degrade

LANDMARKS = np.array([[130.0, 150.0], [190.0, 150.0], [160.0, 185.0], [137.0, 216.0], [183.0, 216.0]])


def picture() -> np.ndarray:
    """Noise on a slope of light: (320, 320, 3) uint8 BGR."""
    slope = np.linspace(80, 170, 320)[None, :, None]
    return (slope + np.random.default_rng(0).integers(-40, 40, (320, 320, 3))).astype(np.uint8)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_seed_gives_the_same_picture_and_another_keeps_its_form(name: str) -> None:
    image = picture()
    first, again, other = (
        degrade(name, image, LANDMARKS, 3),
        degrade(name, image, LANDMARKS, 3),
        degrade(name, image, LANDMARKS, 4),
    )
    assert np.array_equal(first.image, again.image)
    assert other.image.shape == image.shape
    assert other.image.dtype == np.uint8
    assert not np.array_equal(first.image, image)
    assert np.array_equal(image, picture())


@pytest.mark.parametrize("name", COVERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_cover_hides_its_part_of_the_face_and_leaves_the_corner_of_the_picture(name: str, seed: int) -> None:
    worse = degrade(name, picture(), LANDMARKS, seed).image
    changed = (worse != picture()).any(axis=2)
    mouth, eyes = changed[205:225, 145:175].mean(), changed[145:156, 125:136].mean()
    assert not changed[:30, :30].any()
    if name in CLEAR:
        assert mouth < 0.5
    elif "sunglasses" in name:
        assert eyes > 0.9 > 0.5 > mouth
    else:
        assert mouth > 0.9 > 0.5 > eyes


def test_a_tilted_picture_takes_its_landmarks_along() -> None:
    worse = degrade("tilted", picture(), LANDMARKS)
    eyes = worse.landmarks[1] - worse.landmarks[0]
    assert abs(np.degrees(np.arctan2(eyes[1], eyes[0]))) == pytest.approx(30)
    assert np.allclose(worse.landmarks.mean(axis=0), LANDMARKS.mean(axis=0))
