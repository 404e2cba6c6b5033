"""The converted MTCNN nets give the published nets' answers."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from jetstream import weights
from jetstream.errors import ModelError
from jetstream.weights.mtcnn import convert

SHAPES = {"pnet": (1, 3, 61, 83), "rnet": (5, 3, 24, 24), "onet": (5, 3, 48, 48)}
NETS = tuple(SHAPES)


def published(net: str) -> bytes:
    return Path(getattr(weights.published(), net)).read_bytes()


def answers(model: bytes, image: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: image}), strict=True))


def published_answers(net: str, image: np.ndarray) -> dict[str, np.ndarray]:
    """By our names; `image` is raw BGR, as ours take it."""
    found = answers(published(net), (image[:, ::-1] - np.float32(127.5)) / np.float32(128))
    by_size = {array.shape[1]: array for array in found.values()}
    no_face, face = (by_size[2][:, side].astype(np.float64) for side in (0, 1))
    named = {"logit": np.log(face) - np.log(no_face), "offsets": by_size[4], "landmarks": by_size.get(10)}
    return {name: array for name, array in named.items() if array is not None}


def pictures(net: str, portraits: dict[str, np.ndarray]) -> np.ndarray:
    """(N, 3, H, W): pieces of a portrait and one of noise."""
    count, _, rows, columns = SHAPES[net]
    portrait = portraits["Eileen Collins"]
    pieces = [portrait[20 * i : 20 * i + rows, 150 + 25 * i : 150 + 25 * i + columns] for i in range(count)]
    pieces[-1] = np.random.default_rng(1).integers(0, 256, (rows, columns, 3)) if count > 1 else pieces[-1]
    return np.ascontiguousarray(np.stack(pieces).transpose(0, 3, 1, 2), np.float32)


@pytest.mark.parametrize("net", NETS)
def test_same_answers_as_published(net: str, portraits: dict[str, np.ndarray]):
    image = pictures(net, portraits)
    ours, theirs = answers(convert(published(net), net).SerializeToString(), image), published_answers(net, image)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name].reshape(expected.shape), expected, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("net", NETS)
def test_grey_between_127_and_128_is_the_nets_zero(net: str):
    """The system before added 127.5 where it should subtract and lost one face in twenty."""
    _, *shape = SHAPES[net]
    ours = answers(convert(published(net), net).SerializeToString(), np.full((1, *shape), 127.5, np.float32))
    theirs = answers(published(net), np.zeros((1, *shape), np.float32))
    offsets = next(array for array in theirs.values() if array.shape[1] == 4)
    np.testing.assert_allclose(ours["offsets"], offsets, atol=1e-5)


def test_blue_and_red_are_not_mixed_up(portraits: dict[str, np.ndarray]):
    image = pictures("onet", portraits)
    ours = convert(published("onet"), "onet").SerializeToString()
    theirs = published_answers("onet", image)["logit"]
    assert np.abs(answers(ours, image[:, ::-1].copy())["logit"] - theirs).max() > 0.1


@pytest.mark.parametrize("net", NETS)
def test_batch_is_dynamic(net: str):
    model = convert(published(net), net).SerializeToString()
    image = np.random.default_rng(0).integers(0, 256, (7, *SHAPES[net][1:])).astype(np.float32)
    together = answers(model, image)
    alone = [answers(model, image[[index]]) for index in range(7)]
    for name, expected in together.items():
        np.testing.assert_allclose(np.concatenate([answer[name] for answer in alone]), expected, atol=1e-4)


@pytest.mark.parametrize("net", NETS)
def test_same_bytes_every_time(net: str):
    assert convert(published(net), net).SerializeToString() == convert(published(net), net).SerializeToString()


@pytest.mark.parametrize("net", NETS)
def test_no_slow_prelu_is_left(net: str):
    assert "PRelu" not in {node.op_type for node in convert(published(net), net).graph.node}


def test_another_network_is_refused():
    with pytest.raises(ModelError, match="rnet"):
        convert(published("onet"), "rnet")


def test_empty_network_is_refused():
    with pytest.raises(ModelError, match="pnet"):
        convert(onnx.ModelProto().SerializeToString(), "pnet")
