"""Chips to embeddings."""

import cv2
import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.runners.onnxrt import OnnxRunner
from tests.support import defaults


@pytest.fixture(scope="module")
def runner(models_dir):
    with OnnxRunner(models_dir / "embedder.onnx") as runner:
        yield runner


@pytest.fixture(scope="module")
def chips(portraits) -> np.ndarray:
    """(6, 150, 150, 3): three cuts of each portrait, a few pixels apart."""
    faces = {"Eileen Collins": (60, 157, 126), "Grace Hopper": (80, 108, 310)}
    cuts = []
    for name, (top, left, side) in faces.items():
        for shift in (0, 5, 10):
            square = portraits[name][top + shift : top + shift + side, left : left + side]
            cuts.append(cv2.resize(square, (150, 150)))
    return np.stack(cuts)


def test_one_person_is_nearer_than_another(runner, chips):
    embeddings = defaults.embedder(runner).embed(chips, mirror=False)
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    assert distances[:3, :3].max() < 0.6 < distances[:3, 3:].min()
    assert distances[3:, 3:].max() < 0.6


def test_embeddings_are_float32_and_not_normalised(runner, chips):
    embeddings = defaults.embedder(runner).embed(chips, mirror=False)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (6, 128)
    assert (np.linalg.norm(embeddings, axis=1) > 1.1).all()


def test_no_chips_give_no_embeddings(runner):
    embeddings = defaults.embedder(runner).embed(np.empty((0, 150, 150, 3), np.uint8), mirror=False)
    assert embeddings.shape == (0, 128)
    assert embeddings.dtype == np.float32


@pytest.mark.parametrize("batch", [1, 4, 6])
def test_an_embedding_does_not_depend_on_the_batch(runner, chips, batch):
    alone = np.concatenate(
        [defaults.embedder(runner).embed(chips[row : row + 1], mirror=False) for row in range(len(chips))]
    )
    np.testing.assert_array_equal(defaults.embedder(runner, batch=batch).embed(chips, mirror=False), alone)


def test_an_embedding_does_not_depend_on_its_neighbours(runner, chips):
    first, second = chips.copy(), chips.copy()
    second[1:] = 255 - second[1:]
    embedder = defaults.embedder(runner)
    np.testing.assert_array_equal(embedder.embed(first, mirror=False)[0], embedder.embed(second, mirror=False)[0])


def test_chips_may_be_a_view_of_larger_pictures(runner, chips):
    framed = np.zeros((len(chips), 170, 160, 3), np.uint8)
    framed[:, 10:160, 5:155] = chips
    embedder = defaults.embedder(runner)
    np.testing.assert_array_equal(
        embedder.embed(framed[:, 10:160, 5:155], mirror=False), embedder.embed(chips, mirror=False)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((150, 150, 3), np.uint8),
        np.zeros((2, 112, 112, 3), np.uint8),
        np.zeros((2, 3, 150, 150), np.uint8),
        np.zeros((2, 150, 150, 3), np.float32),
    ],
    ids=["one chip", "other size", "planes", "floats"],
)
def test_anything_but_chips_is_a_value_error(runner, wrong):
    with pytest.raises(ValueError, match=r"chips: expected \(N, 150, 150, 3\) uint8, got"):
        defaults.embedder(runner).embed(wrong, mirror=False)


def test_another_network_is_refused_at_open(models_dir):
    with (
        OnnxRunner(models_dir / "onet.onnx") as onet,
        pytest.raises(ModelError, match=r"the network dlib: expected input"),
    ):
        defaults.embedder(onet)


def test_a_batch_of_none_is_a_value_error(runner):
    with pytest.raises(ValueError, match="batch must be 1 or more, got 0"):
        defaults.embedder(runner, batch=0)
