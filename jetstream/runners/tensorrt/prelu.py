"""A network's PReLUs, written as a x + (1 - a) relu(x) for ONNX Runtime, back to PReLU nodes for TensorRT.

In TensorRT each of the four nodes would be a pass over memory, or at best one more kernel. Knows no backend; needs
`onnx`, so no running stage imports it.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper


def fuse(model: bytes) -> bytes:
    """The same network. Bytes without such PReLUs, or that are no network, are returned as they are."""
    try:
        network = onnx.load_from_string(model)
    except DecodeError:
        return model
    graph = network.graph
    fused = dict(_fused(graph))
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
