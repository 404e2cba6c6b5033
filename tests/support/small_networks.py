"""Small ONNX networks in the forms that exporters write, made from random weights. None knows a face."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 16
SIZE = 12
CHANNELS = 6


def convolutional(
    *,
    batch: int | str = 1,
    is_last: bool = False,
    dtype: Any = np.float32,
    slopes: Sequence[float] = (0.1, 0.3, -0.2, 0.5, 0.0, 0.25),
    is_normalised: bool = False,
    opset: int = 13,
    denormals: int = 0,
    outputs: int = 1,
    colours: int = 3,
    input_type: int | None = None,
) -> onnx.ModelProto:
    """Conv, batch normalisation, PReLU, Conv, Reshape with the batch in it, Gemm: (batch, 3, 16, 16) to (batch, 12).

    is_last        colours are the last dimension, as TensorFlow has them
    is_normalised  the output is divided by its length
    input_type     of ONNX; None: that of `dtype`
    """
    random = np.random.default_rng(3)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants: dict[str, np.ndarray] = {}

    def weights(name: str, *shape: int, scale: float = 0.3) -> str:
        constants[name] = (random.standard_normal(shape) * scale).astype(dtype)
        return name

    first = weights("first", CHANNELS, colours, 3, 3, scale=0.02)
    if denormals:
        constants["first"].reshape(-1)[:denormals] = 1e-39
    for name, value in (("gamma", 1.2), ("beta", 0.1), ("mean", 0.3), ("variance", 0.7)):
        constants[name] = (value + 0.1 * random.random(CHANNELS)).astype(dtype)
    constants["slopes"] = np.array(slopes, dtype).reshape(-1, 1, 1)
    constants["shape"] = np.array([batch if isinstance(batch, int) else -1, CHANNELS * 4 * 4])
    nodes = [
        helper.make_node("Transpose", ["picture"], ["upright"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["upright" if is_last else "picture"], ["numbers"], to=kind),
        helper.make_node("Conv", ["numbers", first], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["b"]),
        helper.make_node("PRelu", ["b", "slopes"], ["c"]),
        helper.make_node("Conv", ["c", weights("second", CHANNELS, CHANNELS, 2, 2)], ["d"], strides=[2, 2]),
        helper.make_node("Dropout", ["d"], ["e"]),
        helper.make_node("Reshape", ["e", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", weights("dense", CHANNELS * 16, SIZE)], ["g" if is_normalised else "vector"]),
    ]
    if not is_last:
        del nodes[0]
    if is_normalised:
        nodes += [
            helper.make_node("ReduceL2", ["g"], ["length"], axes=[1], keepdims=1),
            helper.make_node("Div", ["g", "length"], ["vector"]),
        ]
    shape = [batch, SIDE_PX, SIDE_PX, colours] if is_last else [batch, colours, SIDE_PX, SIDE_PX]
    answers = [helper.make_tensor_value_info("vector", kind, [batch, SIZE])]
    if outputs > 1:
        answers.append(helper.make_tensor_value_info("f", kind, [batch, CHANNELS * 16]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("picture", input_type or kind, shape)],
        answers,
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(made)
    return made


def constant(side_px: int = 112, size: int = 8) -> onnx.ModelProto:
    """Takes any batch of chips and gives the same answer to all."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["picture"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "same"], ["vector"]),
        ],
        "constant",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, side_px, side_px])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", size])],
        [
            numpy_helper.from_array(np.zeros((3, size), np.float32), "nothing"),
            numpy_helper.from_array(np.ones(size, np.float32), "same"),
        ],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def average_colours(side_px: int = 112) -> onnx.ModelProto:
    """Its answer is a chip's mean colours: finite, different from face to face, and no embedding."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["picture"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["vector"]),
        ],
        "average",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, side_px, side_px])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", 3])],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
