"""A float32 network to one that computes in float16, for TensorRT whose networks are strongly typed (11, and RTX).

Inputs and outputs stay float32. Knows no backend; needs `onnx`, so no running stage imports it.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LARGEST = float(np.finfo(np.float16).max)


def convert(model: bytes) -> bytes:
    """The same network in float16: weights rounded, a cast after each input and before each output."""
    network = onnx.load_from_string(model)
    graph = network.graph
    for weights in graph.initializer:
        if weights.data_type == TensorProto.FLOAT:
            halves = numpy_helper.to_array(weights).clip(-LARGEST, LARGEST).astype(np.float16)
            weights.CopyFrom(numpy_helper.from_array(halves, weights.name))
    del graph.value_info[:]
    named = {tensor.name: f"{tensor.name}_half" for tensor in (*graph.input, *graph.output)}
    for node in graph.node:
        node.input[:] = [named.get(name, name) for name in node.input]
        node.output[:] = [named.get(name, name) for name in node.output]
    enter = [_cast(one.name, named[one.name], TensorProto.FLOAT16) for one in graph.input]
    leave = [_cast(named[one.name], one.name, TensorProto.FLOAT) for one in graph.output]
    nodes = [*enter, *graph.node, *leave]
    del graph.node[:]
    graph.node.extend(nodes)
    content: bytes = network.SerializeToString()
    return content


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], to=to, name=f"cast_{target}")
