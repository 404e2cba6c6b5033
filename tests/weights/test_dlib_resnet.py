"""The exported network against dlib itself, on real faces."""

import cv2
import numpy as np
import pytest

from jetstream.weights import published


@pytest.fixture(scope="module")
def reference():
    """dlib's own answer to chips (N, 150, 150, 3) uint8 BGR."""
    dlib = pytest.importorskip("dlib", reason="needs the reference: pip install dlib-bin")
    network = dlib.face_recognition_model_v1(str(published().embedder))

    def describe(chips: np.ndarray) -> np.ndarray:
        rgb = [np.ascontiguousarray(chip[..., ::-1]) for chip in chips]
        return np.array(network.compute_face_descriptor(rgb), np.float64)

    return describe


def chips_of(portraits: dict[str, np.ndarray]) -> np.ndarray:
    """The two faces by dlib's detector, cut generously."""
    dlib = pytest.importorskip("dlib", reason="needs the reference: pip install dlib-bin")
    find = dlib.get_frontal_face_detector()
    chips = []
    for image in portraits.values():
        face = find(np.ascontiguousarray(image[..., ::-1]))[0]
        margin = face.width() // 4
        rows = slice(max(face.top() - margin, 0), face.bottom() + margin)
        chips.append(cv2.resize(image[rows, max(face.left() - margin, 0) : face.right() + margin], (150, 150)))
    return np.stack(chips)


def test_embeddings_of_the_portraits_are_those_of_dlib(embedder, reference, portraits):
    chips = chips_of(portraits)
    np.testing.assert_allclose(embedder.embed(chips, mirror=False), reference(chips), atol=1e-5)


def test_embeddings_of_many_people_are_those_of_dlib(embedder, reference, data_dir):
    pictures = sorted((data_dir / "lfw10x10").glob("*/*.jpg"))[::7]
    chips = np.stack([cv2.imread(str(path))[50:200, 50:200] for path in pictures])
    np.testing.assert_allclose(embedder.embed(chips, mirror=False), reference(chips), atol=1e-5)


@pytest.mark.parametrize("value", [0, 255])
def test_flat_chips_at_the_ends_of_the_range_agree_with_dlib(embedder, reference, value):
    chips = np.full((1, 150, 150, 3), value, np.uint8)
    np.testing.assert_allclose(embedder.embed(chips, mirror=False), reference(chips), atol=1e-4)


def test_noise_agrees_with_dlib(embedder, reference):
    chips = np.random.default_rng(3).integers(0, 256, (3, 150, 150, 3), np.uint8)
    np.testing.assert_allclose(embedder.embed(chips, mirror=False), reference(chips), atol=1e-4)


def test_each_corner_of_a_chip_reaches_the_embedding_as_in_dlib(embedder, reference, portraits):
    """The halvings drop rows and columns at the bottom and right, where dlib and not the top and left does."""
    base = cv2.resize(portraits["Grace Hopper"][:500], (150, 150))
    chips = np.stack([base] * 4)
    for chip, (row, column) in zip(chips, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        chip[row * 110 : row * 110 + 40, column * 110 : column * 110 + 40] = 255
    np.testing.assert_allclose(embedder.embed(chips, mirror=False), reference(chips), atol=1e-5)


def test_the_export_has_the_colour_order_of_the_file_and_not_the_other(embedder, reference, portraits):
    chips = chips_of(portraits)
    swapped = np.ascontiguousarray(chips[..., ::-1])
    assert np.abs(embedder.embed(swapped, mirror=False) - reference(chips)).max() > 0.01
