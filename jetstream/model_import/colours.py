"""What a network means by its input: colour order, mean and scale, put into the network so that it takes BGR 0..255.

Knows no face and no file.
"""

from typing import Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from jetstream.model_import.onnx_graph import OnnxGraph

INPUT: Final = "chip"


class Colours(NamedTuple):
    """What a network takes instead of BGR 0..255: ((chip in its colour order) - mean) * scale."""

    order: str  # "bgr" or "rgb"
    mean: tuple[float, float, float]  # of each colour, in this order
    scale: tuple[float, float, float]


def planes(values: NDArray[np.uint8], colours: Colours) -> NDArray[np.float32]:
    """(N, S, S, 3) uint8 BGR chips as the maker's input (N, 3, S, S): what `with_chip_input` does inside."""
    ordered = values[..., ::-1] if colours.order == "rgb" else values
    scaled = (ordered.astype(np.float32) - np.array(colours.mean, np.float32)) * np.array(colours.scale, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def with_chip_input(model: onnx.ModelProto, colours: Colours) -> onnx.ModelProto:
    """The network as a taker of BGR planes 0..255: colour order, mean and scale become part of it."""
    graph = OnnxGraph(onnx.ModelProto.FromString(model.SerializeToString()))
    mean, scale = (np.array(values, np.float32)[:, None, None] for values in (colours.mean, colours.scale))
    inner, before, last = graph.fresh(), [], INPUT
    if colours.order == "rgb":
        before.append(graph.node("Gather", [last, graph.constant(np.array([2, 1, 0]))], axis=1))
        last = before[-1].output[0]
    for operator, values, neutral in (("Sub", mean, 0), ("Mul", scale, 1)):
        if (values != neutral).any():
            shared = values[0, 0, 0] if (values == values[0]).all() else values
            before.append(graph.node(operator, [last, graph.constant(np.asarray(shared, np.float32))]))
            last = before[-1].output[0]
    if not before:
        return graph.finished()
    for node in graph.graph.node:
        for index, name in enumerate(node.input):
            if name == INPUT:
                node.input[index] = inner
    before[-1].output[0] = inner
    graph.set_nodes([*before, *graph.graph.node])
    _into_convolution(graph)
    return graph.finished()


def _into_convolution(graph: OnnxGraph) -> None:
    """Fold a colour order and a scale for all colours, right after the input, into the convolution behind them.

    A mean stays: a convolution pads with zeros after it is subtracted.
    """
    passed = _before_convolution(graph)
    if passed is None:
        return
    *steps, convolution = passed
    operators = [one.op_type for one in steps]
    if "Sub" in operators and "Mul" in operators[: operators.index("Sub")]:
        return
    weight = graph.constants[convolution.input[1]].astype(np.float64)
    for one in steps:
        if one.op_type == "Gather":
            weight = weight[:, ::-1]
        elif one.op_type == "Mul":
            weight = weight * graph.constants[one.input[1]].item()
    convolution.input[1] = graph.constant(np.ascontiguousarray(weight, np.float32))
    last, gone = INPUT, [one.output[0] for one in steps if one.op_type != "Sub"]
    for one in [*(one for one in steps if one.op_type == "Sub"), convolution]:
        one.input[0], last = last, one.output[0]
    graph.set_nodes([one for one in graph.graph.node if one.output[0] not in gone])


def _before_convolution(graph: OnnxGraph) -> list[onnx.NodeProto] | None:
    """The steps from the input to the first convolution, and that; None where other nodes are between them."""
    name, passed = INPUT, list[onnx.NodeProto]()
    while True:
        readers = [node for node in graph.graph.node if name in node.input]
        if len(readers) != 1 or len(readers[0].input) < 2 or readers[0].input[0] != name:
            return None
        node = readers[0]
        values = graph.constants.get(node.input[1])
        if values is None:
            return None
        passed.append(node)
        if node.op_type == "Conv":
            return passed if values.shape[1] == 3 else None
        is_turn = node.op_type == "Gather" and values.tolist() == [2, 1, 0]
        if not is_turn and not (node.op_type in ("Sub", "Mul") and values.size == 1):
            return None
        name = node.output[0]
