"""A network's PReLUs, written for ONNX Runtime in one of two ways, back to PReLU nodes for TensorRT.

They are a x + (1 - a) relu(x) in MTCNN, and relu(x) + r x in SFace, where r x is a depthwise convolution. In TensorRT
each of these nodes would be a pass over memory, or at best one more kernel. Knows no backend; needs `onnx`, so no
running stage imports it.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import helper, numpy_helper


def fuse(model: bytes) -> bytes:
    """The same network. Bytes without such PReLUs, or that are no network, are returned as they are."""
    try:
        network = onnx.load_from_string(model)
    except DecodeError:
        return model
    graph = network.graph
    fused = dict([*_fused(graph), *_fused_after_convolutions(graph)])
    nodes = [fused.get(node.output[0], node) for node in graph.node]
    # from the end, so that nodes whose only readers were replaced are dropped
    wanted = {one.name for one in graph.output}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    constants = [one for one in graph.initializer if one.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
    content: bytes = network.SerializeToString()
    return content


def _fused(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.NodeProto]]:
    """By the name of its answer, each Add that is a PReLU's last step, as a PReLU."""
    makers = {name: node for node in graph.node for name in node.output}
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        linear, cut = (makers.get(name) for name in node.input) if len(node.input) == 2 else (None, None)
        if node.op_type != "Add" or linear is None or cut is None or {linear.op_type, cut.op_type} != {"Mul"}:
            continue
        relu = makers.get(cut.input[0])
        slope, rest = (constants.get(part.input[1]) for part in (linear, cut))
        is_relu = relu is not None and relu.op_type == "Relu" and relu.input[0] == linear.input[0]
        if is_relu and slope is not None and rest is not None and np.allclose(slope + rest, 1, atol=1e-6):
            yield node.output[0], helper.make_node("PRelu", list(linear.input), list(node.output))


def _fused_after_convolutions(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.NodeProto]]:
    """By the name of its answer, each Add of relu(x) and r x, as a PReLU; scales the convolution that x comes from.

    relu(x) + r x is (1 + r) x over zero and r x under it: PReLU with the slope r / (1 + r) of (1 + r) x. Where 1 + r is
    negative, that product has the other sign, and so the two sides change places.
    """
    makers = {name: node for node in graph.node for name in node.output}
    constants = {one.name: one for one in graph.initializer}
    for node in graph.node:
        linear, relu = (makers.get(name) for name in node.input) if len(node.input) == 2 else (None, None)
        if node.op_type != "Add" or linear is None or relu is None or not _is_product(linear, constants):
            continue
        source = makers.get(linear.input[0])
        if relu.op_type != "Relu" or relu.input[0] != linear.input[0] or source is None or source.op_type != "Conv":
            continue
        rest = numpy_helper.to_array(constants[linear.input[1]]).astype(np.float64).ravel()
        over, under = np.where(rest > -1, (1 + rest, rest), (rest, 1 + rest))
        for name in source.input[1:]:
            values = numpy_helper.to_array(constants[name])
            _replace(constants[name], values * over.reshape(-1, *[1] * (values.ndim - 1)))
        _replace(constants[linear.input[1]], (under / over)[:, None, None])
        yield node.output[0], helper.make_node("PRelu", list(linear.input), list(node.output))


def _is_product(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a node multiplies each channel by a number of its own."""
    weight = constants.get(node.input[1]) if node.op_type == "Conv" and len(node.input) == 2 else None
    groups = [one.i for one in node.attribute if one.name == "group"]
    return weight is not None and list(weight.dims) == [*groups, 1, 1, 1]


def _replace(constant: onnx.TensorProto, values: NDArray[np.float64]) -> None:
    constant.CopyFrom(numpy_helper.from_array(values.astype(np.float32), constant.name))
