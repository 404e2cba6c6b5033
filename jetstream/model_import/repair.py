"""The changes that make an ONNX network run fast and take any batch. Each is exact in real numbers, or is said.

Knows no face, no picture and no file. `repaired` gives the network with an input and an output of any batch; what the
numbers of its input mean is the affair of `colours`, which makes it take jetstream's chips.
"""

from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import helper

from jetstream.errors import ModelError
from jetstream.model_import.colours import INPUT
from jetstream.model_import.onnx_graph import OnnxGraph, Shape, set_shape, shape_of
from jetstream.model_import.prelu import rewrite_prelus

OUTPUT: Final = "embedding"
_OPSET: Final = 17
"""the newest that TensorRT 8.5 reads"""
_IR_VERSION: Final = 8
_OLDEST_OPSET: Final = 7  # before it, operators didn't broadcast as they do now
_NORMALISING: Final = frozenset(
    (
        "Abs",
        "Add",
        "Cast",
        "Clip",
        "Expand",
        "Max",
        "Mul",
        "Pow",
        "Reciprocal",
        "ReduceL2",
        "ReduceSum",
        "ReduceSumSquare",
        "Shape",
        "Sqrt",
        "Unsqueeze",
    )
)
"""operators between a vector and the length that it is divided by"""


class RepairedEmbedder(NamedTuple):
    """An embedding network with the input `chip` (N, 3, S, S) float32, whose colours are still those of its maker."""

    model: onnx.ModelProto
    side_px: int
    size: int  # numbers of an embedding
    notes: list[str]  # what was changed, a clause each
    input: str  # its names in the file
    output: str


def repaired(model: onnx.ModelProto, *, output: str = "") -> RepairedEmbedder:
    """Repair an embedding network; `output` names its embedding where it has several outputs.

    Raises ModelError, which names the node or the tensor that can't be repaired.
    """
    graph = OnnxGraph(model)
    names = _only_input(graph).name, _choose_output(graph, output)
    notes = [*simplified(graph), *shaped_input(graph)]
    side_px = _side_px(graph)
    notes += _any_batch(graph)
    notes += [*_without_normalisation(graph), *rewrite_prelus(graph)]
    size = _flat_output(graph)
    graph.rename(graph.graph.input[0].name, INPUT)
    graph.rename(graph.graph.output[0].name, OUTPUT)
    model, more = lowered(graph.finished())
    return RepairedEmbedder(model, side_px, size, [*notes, *more], *names)


def _only_input(graph: OnnxGraph) -> onnx.ValueInfoProto:
    inputs: list[onnx.ValueInfoProto] = list(graph.graph.input)
    if len(inputs) != 1:
        listed = ", ".join(one.name for one in inputs) or "none"
        raise ModelError(f"takes {len(inputs)} inputs ({listed}); an embedder takes one picture")
    return inputs[0]


def _choose_output(graph: OnnxGraph, wanted: str) -> str:
    """Keep one output and what leads to it."""
    names = [one.name for one in graph.graph.output]
    if wanted and wanted not in names:
        raise ModelError(f"has no output {wanted}; its outputs are {', '.join(names)}")
    if not wanted and len(names) > 1:
        raise ModelError(f"has {len(names)} outputs ({', '.join(names)}); name the embedding with --output")
    name = wanted or names[0]
    kept = [one for one in graph.graph.output if one.name == name]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    needed, nodes = {name}, []
    for node in reversed(graph.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    graph.set_nodes(nodes[::-1])
    return name


def simplified(graph: OnnxGraph) -> list[str]:
    """Constants computed, numbers of 32 bits, no denormals; clauses about it."""
    notes = []
    for node in graph.graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            raise ModelError(
                f"node {node.name or node.output[0]} ({node.op_type}) computes in 8 bits with a scale that depends on "
                "the other faces of a batch; take the float32 file"
            )
    graph.drop("Dropout", "Identity")
    if count := graph.to_float32():
        notes.append(f"{count} tensors of other widths became float32")
    if any(node.op_type == "DequantizeLinear" for node in graph.graph.node):
        graph.fold()
        left = any(node.op_type == "DequantizeLinear" for node in graph.graph.node)
        notes.append("its activations stay in 8 bits" if left else "8-bit weights became float32")
    else:
        graph.fold()
    if count := graph.zero_denormals():
        notes.append(f"{count:,} denormal weights became zero")
    return notes


def shaped_input(graph: OnnxGraph) -> list[str]:
    """Make the input (N, 3, H, W) float32, with nodes behind it where the network takes another form."""
    value, notes, nodes = graph.graph.input[0], [], []
    kind, shape = value.type.tensor_type.elem_type, shape_of(value)
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8):
        raise ModelError(f"input {value.name} is of the type {onnx.TensorProto.DataType.Name(kind)}; float32 is needed")
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ModelError(f"input {value.name} is ({sizes}); a picture of three colours is needed, (N, 3, S, S)")
    last = value.name
    is_last = shape[1] != 3
    if is_last:
        nodes.append(graph.node("Transpose", [last], perm=[0, 2, 3, 1]))
        last = nodes[-1].output[0]
        notes.append("colours come first, not last (NHWC)")
        shape = (shape[0], shape[3], shape[1], shape[2])
    if kind == onnx.TensorProto.UINT8:
        nodes.append(graph.node("Cast", [last], to=onnx.TensorProto.UINT8))
        last = nodes[-1].output[0]
    for node in graph.graph.node:
        for index, name in enumerate(node.input):
            if name == value.name:
                node.input[index] = last
    graph.set_nodes([*nodes, *graph.graph.node])
    value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    set_shape(value, [size or "N" for size in shape])
    graph.drop_casts()
    if is_last:
        _without_double_transpose(graph)
    return notes


def _without_double_transpose(graph: OnnxGraph) -> None:
    """Exporters from TensorFlow begin with the opposite transposition."""
    first = graph.graph.node[0]
    readers = [node for node in graph.graph.node if first.output[0] in node.input]
    if len(readers) == 1 and readers[0].op_type == "Transpose" and list(readers[0].attribute[0].ints) == [0, 3, 1, 2]:
        source, end = first.input[0], readers[0].output[0]
        graph.set_nodes([node for node in graph.graph.node if node is not first and node is not readers[0]])
        for node in graph.graph.node:
            for index, name in enumerate(node.input):
                if name == end:
                    node.input[index] = source


def _side_px(graph: OnnxGraph) -> int:
    _, _, rows, columns = shape_of(graph.graph.input[0])
    if rows != columns:
        raise ModelError(f"takes pictures of {columns} x {rows} px; a chip is a square")
    return rows or 0


def _any_batch(graph: OnnxGraph) -> list[str]:
    """Make the batch dynamic, in the input and in the nodes that hold its size."""
    value = graph.graph.input[0]
    batch, *sizes = shape_of(value)
    if batch is None:
        return []
    shapes = graph.shapes()

    def without_batch(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        before = shapes.get(node.input[0], ()) if node.input else ()
        if not before or before[0] != batch:
            return None
        if node.op_type == "Reshape" and node.input[1] in graph.constants:
            return _reshaped(graph, node, batch)
        if node.op_type == "Squeeze" and len(node.input) < 2 and not node.attribute:
            return _squeezed(graph, node, before)
        return None

    graph.replace(without_batch)
    set_shape(value, ["N", *(size or name for size, name in zip(sizes, "CHW", strict=True))])
    return [f"its batch of {batch} became any batch"]


def _reshaped(graph: OnnxGraph, node: onnx.NodeProto, batch: int) -> list[onnx.NodeProto] | None:
    shape = graph.constants[node.input[1]].copy()
    if not len(shape) or shape[0] != batch or any(one.name == "allowzero" and one.i for one in node.attribute):
        return None
    shape[0] = 0  # as many as there are
    node.input[1] = graph.constant(shape)
    return [node]


def _squeezed(graph: OnnxGraph, node: onnx.NodeProto, shape: Shape) -> list[onnx.NodeProto]:
    axes = [axis for axis, size in enumerate(shape) if axis and size == 1]
    if graph.opset < 13:
        return [helper.make_node("Squeeze", [node.input[0]], list(node.output), name=node.name, axes=axes)]
    return [
        helper.make_node("Squeeze", [node.input[0], graph.constant(np.array(axes))], list(node.output), name=node.name)
    ]


def _without_normalisation(graph: OnnxGraph) -> list[str]:
    """Remove a last division of the embedding by its length: jetstream does it itself."""
    makers, name = graph.makers, graph.graph.output[0].name
    last = makers.get(name)
    if last is None:
        return []
    source = last.input[0] if last.op_type == "LpNormalization" or _is_by_length(last, makers, graph) else ""
    if not source or graph.readers[name] != 1:
        return []
    graph.set_nodes([node for node in graph.graph.node if node is not last])
    graph.rename(source, name)
    return ["the embedding keeps its length"]


def _is_by_length(last: onnx.NodeProto, makers: dict[str, onnx.NodeProto], graph: OnnxGraph) -> bool:
    """Whether a node divides its first input by something that is computed from that input's length alone."""
    if last.op_type not in ("Div", "Mul") or last.input[1] not in makers:
        return False
    vector, seen, waiting = last.input[0], set[str](), [last.input[1]]
    while waiting:
        name = waiting.pop()
        if name in seen or name == vector or name in graph.constants:
            continue
        seen.add(name)
        node = makers.get(name)
        if node is None or node.op_type not in _NORMALISING:
            return False
        waiting += [one for one in node.input if one]
    return any(makers[name].op_type.startswith("Reduce") for name in seen)


def _flat_output(graph: OnnxGraph) -> int:
    """Make the output (N, D)."""
    value = graph.graph.output[0]
    shape = graph.shapes().get(value.name, ())
    if len(shape) > 2:
        flat = graph.node("Flatten", [value.name], axis=1)
        graph.graph.node.append(flat)
        value.name = flat.output[0]
    known = [size for size in shape[1:] if size is not None]
    size = int(np.prod(known)) if len(known) == len(shape) - 1 and known else 0
    value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    set_shape(value, ["N", size or "D"])
    return size


def lowered(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The file in the version that TensorRT 8.5 reads, where its operators allow that, and what was changed."""
    opset = OnnxGraph(onnx.ModelProto.FromString(model.SerializeToString())).opset
    if _OLDEST_OPSET <= opset <= _OPSET:
        model.ir_version = max(min(model.ir_version, _IR_VERSION), 4)
        return model, []
    try:
        model = onnx.version_converter.convert_version(model, _OPSET)
    except Exception as error:  # its own errors share no class
        if opset < _OLDEST_OPSET:
            reason = str(error).strip().splitlines()[0][:160]
            raise ModelError(f"is of opset {opset}, which can't be raised ({reason})") from None
        return model, [f"it stays at opset {opset}, which old versions of TensorRT don't read"]
    model.ir_version = _IR_VERSION
    return model, [f"opset {opset} became {_OPSET}"]
