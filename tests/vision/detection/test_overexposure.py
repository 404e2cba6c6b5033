"""On a public-domain portrait, over-exposed by a factor, and on pictures made in sight."""

from collections.abc import Iterator

import numpy as np
import pytest

from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection import overexposure
from jetstream.vision.detection.detector import DetectorInput, faces_in
from jetstream.vision.detection.mtcnn import Mtcnn, MtcnnDetector
from tests.support import defaults
from tests.support.photos import COLLINS


def gained(image: np.ndarray, gain: float) -> np.ndarray:
    return np.clip(image.astype(np.float32) * gain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mtcnn(models_dir) -> Iterator[Mtcnn]:
    with (
        OnnxRunner(models_dir / "pnet.onnx") as pnet,
        OnnxRunner(models_dir / "rnet.onnx") as rnet,
        OnnxRunner(models_dir / "onet.onnx") as onet,
    ):
        yield defaults.mtcnn(pnet, rnet, onet)


@pytest.fixture
def pale(portraits) -> np.ndarray:
    return gained(portraits[COLLINS], 2.0)


def test_face_that_mtcnn_loses_to_light_is_found_and_verified(mtcnn, pale, portraits):
    detector = MtcnnDetector(mtcnn)
    (well_exposed,) = faces_in(detector, portraits[COLLINS]).boxes

    (found,) = faces_in(detector, pale).boxes
    (kept,) = detector.collect(detector.submit([DetectorInput(pale, found[None], search=False)]))

    assert len(mtcnn.detect([pale])[0].boxes) == 0
    assert np.abs(found - well_exposed).max() < 0.15 * (well_exposed[2] - well_exposed[0])
    assert len(kept.faces.boxes) == 1


@pytest.mark.parametrize("gain", [0.3, 0.7, 1.0])
def test_well_exposed_picture_is_seen_as_it_is(portraits, gain):
    for image in portraits.values():
        picture = gained(image, gain)
        assert overexposure.seen(picture) is picture


def test_over_exposed_picture_is_seen_by_each_pixels_least_value(pale):
    seen = overexposure.seen(pale)

    assert seen.shape == pale.shape
    assert (seen == pale.min(axis=2, keepdims=True)).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (64, 64)])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (0, 0, 255), (255, 255, 0)], ids=str)
def test_white_walls_and_bright_colours_are_not_over_exposed(shape, colour):
    assert not overexposure.is_overexposed(np.full((*shape, 3), colour, np.uint8))


def test_pale_skin_in_part_of_the_picture_is_enough():
    picture = np.full((160, 160, 3), 60, np.uint8)
    assert not overexposure.is_overexposed(picture)
    picture[:48, :48] = (150, 200, 255)
    assert overexposure.is_overexposed(picture)
