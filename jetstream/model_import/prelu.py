"""PReLU nodes in forms that ONNX Runtime computes in its blocked layout, which `weights.sface` measures.

Knows one network's graph. A PReLU behind a convolution that nothing else reads is relu(y) + r y; any other of four
dimensions is a y + (1 - a) relu(y). `runners.tensorrt.prelu` turns both back.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from jetstream.model_import.onnx_graph import OnnxGraph, Shape

_ALMOST_ONE = 0.99  # a slope beyond it leaves nothing of 1 - a to divide by


def rewrite_prelus(graph: OnnxGraph) -> list[str]:
    """Rewrite batch normalisations and PReLUs of pictures; a clause about it, or none."""
    _fold_normalisations(graph)
    shapes = graph.shapes()
    makers, readers = graph.makers, graph.readers

    def rewritten(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        slope = graph.constants.get(node.input[1]) if node.op_type == "PRelu" else None
        shape = shapes.get(node.input[0], ())
        if slope is None or not _is_per_channel(slope, shape):
            return None
        slopes = np.broadcast_to(slope.astype(np.float64).ravel(), (shape[1] or 1,))
        maker = makers.get(node.input[0])
        is_alone = maker is not None and maker.op_type == "Conv" and readers[node.input[0]] == 1
        if maker is not None and is_alone and (slopes < _ALMOST_ONE).all() and _scale(graph, maker, 1 - slopes):
            return _after_convolution(graph, node, slopes / (1 - slopes))
        return _anywhere(graph, node, slopes)

    count = graph.replace(rewritten)
    return [f"{count} PReLUs were rewritten"] if count else []


def _after_convolution(graph: OnnxGraph, node: onnx.NodeProto, rest: NDArray[np.float64]) -> list[onnx.NodeProto]:
    weight = graph.constant(rest.astype(np.float32)[:, None, None, None])
    linear = graph.node("Conv", [node.input[0], weight], group=len(rest), kernel_shape=[1, 1])
    relu = graph.node("Relu", [node.input[0]])
    return [linear, relu, graph.node("Add", [linear.output[0], relu.output[0]], node.output[0])]


def _anywhere(graph: OnnxGraph, node: onnx.NodeProto, slopes: NDArray[np.float64]) -> list[onnx.NodeProto]:
    a, rest = (graph.constant(values.astype(np.float32)[:, None, None]) for values in (slopes, 1 - slopes))
    relu = graph.node("Relu", [node.input[0]])
    linear, cut = graph.node("Mul", [node.input[0], a]), graph.node("Mul", [relu.output[0], rest])
    return [relu, linear, cut, graph.node("Add", [linear.output[0], cut.output[0]], node.output[0])]


def _is_per_channel(slope: NDArray[np.float32], shape: Shape) -> bool:
    """Whether a PReLU's slope is a number a channel of pictures (N, C, H, W), or one number for all."""
    if len(shape) != 4 or shape[1] is None:
        return False
    return slope.size == 1 or (slope.size == shape[1] and slope.shape[-3:] == (shape[1], 1, 1))


def _fold_normalisations(graph: OnnxGraph) -> None:
    """Fold each batch normalisation behind a convolution into it."""
    makers, readers = graph.makers, graph.readers
    names: dict[str, str] = {}

    def folded(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        maker = makers.get(node.input[0])
        if node.op_type != "BatchNormalization" or maker is None or maker.op_type != "Conv":
            return None
        if readers[node.input[0]] != 1 or any(name not in graph.constants for name in node.input[1:]):
            return None
        gamma, beta, mean, variance = (graph.constants[name].astype(np.float64) for name in node.input[1:])
        epsilon = next((one.f for one in node.attribute if one.name == "epsilon"), 1e-5)
        scale = gamma / np.sqrt(variance + epsilon)
        if not _scale(graph, maker, scale, beta - mean * scale):
            return None
        names[node.output[0]] = node.input[0]
        return []

    graph.replace(folded)
    for normalised, convolved in names.items():
        _bypass(graph, normalised, convolved)


def _bypass(graph: OnnxGraph, normalised: str, convolved: str) -> None:
    """The convolution gives what the normalisation gave."""
    for node in graph.graph.node:
        for index, name in enumerate(node.output):
            if name == convolved:
                node.output[index] = normalised


def _scale(
    graph: OnnxGraph, node: onnx.NodeProto, scale: NDArray[np.float64], shift: NDArray[np.float64] | None = None
) -> bool:
    """Multiply a convolution's channels by `scale` and add `shift`; false where its weights aren't constants."""
    if any(name not in graph.constants for name in node.input[1:]):
        return False
    weight = graph.constants[node.input[1]].astype(np.float64)
    bias = graph.constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(weight))
    if len(scale) != len(weight):
        return False
    bias = bias * scale + (0 if shift is None else shift)
    names = [
        graph.constant((weight * scale[:, None, None, None]).astype(np.float32)),
        graph.constant(bias.astype(np.float32)),
    ]
    del node.input[1:]
    node.input.extend(names)
    return True
