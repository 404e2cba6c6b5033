"""An ONNX network as something to change: its constants as arrays, who reads what, and nodes replaced one by one.

Knows no face and no file; the rules of what to change are in `repair`.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Shape = tuple[int | None, ...]

_WIDE = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
"""types of numbers that are computed in float32 instead"""
_FOLDED = frozenset(
    (
        "Add",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "DequantizeLinear",
        "Div",
        "Expand",
        "Gather",
        "Identity",
        "Mul",
        "Neg",
        "Pow",
        "Range",
        "Reciprocal",
        "Reshape",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
    )
)
"""operators that are computed once where all their inputs are constants"""
_SMALLEST = 1e-30
"""Processors take a hundred times as long for numbers under 1.2e-38, and a smaller weight's products may be such."""


class OnnxGraph:
    """One network. Names of constants are unique; nodes stay in the order in which they run."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Takes the model over. Constants that nodes hold become the graph's, and inputs that nobody reads go."""
        self.model = model
        self.graph = model.graph
        self.constants = {one.name: numpy_helper.to_array(one) for one in self.graph.initializer}
        del self.graph.initializer[:]
        self._names = {name for node in self.graph.node for name in (*node.input, *node.output)} | set(self.constants)
        self._take_constant_nodes()
        self._drop_inputs()

    @property
    def opset(self) -> int:
        return max((one.version for one in self.model.opset_import if one.domain in ("", "ai.onnx")), default=0)

    @property
    def readers(self) -> Counter[str]:
        """How many nodes' inputs and outputs of the network each name is."""
        outputs = Counter(one.name for one in self.graph.output)
        return Counter(name for node in self.graph.node for name in node.input) + outputs

    @property
    def makers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.graph.node for name in node.output}

    def constant(self, values: NDArray[Any]) -> str:
        name = self.fresh()
        self.constants[name] = values
        return name

    def fresh(self) -> str:
        """A name that nothing has."""
        name = next(name for number in itertools.count(len(self._names)) if (name := f"n{number}") not in self._names)
        self._names.add(name)
        return name

    def node(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> onnx.NodeProto:
        output = output or self.fresh()
        return helper.make_node(operator, inputs, [output], name=output, **attributes)

    def replace(self, change: Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]) -> int:
        """Put what `change` returns in place of each node; None leaves it. Returns how many nodes were replaced."""
        nodes: list[onnx.NodeProto] = []
        count = 0
        for node in self.graph.node:
            instead = change(node)
            count += instead is not None
            nodes += [node] if instead is None else instead
        self.set_nodes(nodes)
        return count

    def set_nodes(self, nodes: list[onnx.NodeProto]) -> None:
        """Raises nothing; `nodes` in the order in which they run."""
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def rename(self, old: str, new: str) -> None:
        """Everywhere."""
        for node in self.graph.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == old:
                        names[index] = new
        for one in (*self.graph.input, *self.graph.output):
            if one.name == old:
                one.name = new

    def fold(self) -> int:
        """Compute nodes whose inputs are all constants. In a network with quantised activations, weights stay as they
        are: its backend multiplies them in 8 bits."""
        is_quantised = any(node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") for node in self.graph.node)
        wanted = _FOLDED - {"DequantizeLinear"} if is_quantised else _FOLDED
        outputs = {one.name for one in self.graph.output}

        def folded(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
            names = [name for name in node.input if name]
            if node.op_type not in wanted or not all(name in self.constants for name in names):
                return None
            if outputs.intersection(node.output):
                return None
            single = helper.make_graph([node], "one", [], [helper.make_empty_tensor_value_info(node.output[0])])
            single.initializer.extend(
                numpy_helper.from_array(self.constants[name], name) for name in dict.fromkeys(names)
            )
            model = helper.make_model(single, opset_imports=self.model.opset_import)
            (value,) = ReferenceEvaluator(model).run(None, {})
            self.constants[node.output[0]] = np.asarray(value)
            return []

        return self.replace(folded)

    def drop(self, *operators: str) -> None:
        """Remove nodes that pass on their first input, but for the one that gives an output of the network."""
        outputs = {one.name for one in self.graph.output}
        passed = {
            node.output[0]: node.input[0]
            for node in self.graph.node
            if node.op_type in operators and node.output[0] not in outputs
        }
        self.set_nodes([node for node in self.graph.node if node.output[0] not in passed])
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                while name in passed:
                    name = passed[name]
                node.input[index] = name

    def to_float32(self) -> int:
        """Every number of another width becomes a float32. Returns how many constants changed."""
        wide = [name for name, values in self.constants.items() if _is_wide(values)]
        for name in wide:
            self.constants[name] = self.constants[name].astype(np.float32)
        for node in self.graph.node:
            for one in node.attribute:
                if node.op_type == "Cast" and one.name == "to" and one.i in _WIDE:
                    one.i = TensorProto.FLOAT
                if one.HasField("t") and one.t.data_type in _WIDE:
                    one.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one.t).astype(np.float32)))
        for value in (*self.graph.input, *self.graph.output):
            if value.type.tensor_type.elem_type in _WIDE:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        return len(wide)

    def zero_denormals(self) -> int:
        """Set weights to zero that are denormal, or so small that their products are; returns how many."""
        count = 0
        for name, values in list(self.constants.items()):
            if values.dtype == np.float32:
                tiny = (np.abs(values) < _SMALLEST) & (values != 0)
                if found := int(tiny.sum()):
                    self.constants[name] = np.where(tiny, np.float32(0), values)
                    count += found
        return count

    def finished(self) -> onnx.ModelProto:
        """The network with those constants that it reads."""
        read = set(self.readers)
        del self.graph.initializer[:], self.graph.value_info[:]
        self.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(values, order="C"), name)
            for name, values in self.constants.items()
            if name in read
        )
        return self.model

    def shapes(self) -> dict[str, Shape]:
        """Of all values whose shape follows from the inputs'; None: a size that isn't known."""
        return {one.name: shape_of(one) for one in self._inferred()}

    def drop_casts(self) -> None:
        """Remove nodes that turn float32 into float32."""
        is_float = {one.name for one in self._inferred() if one.type.tensor_type.elem_type == TensorProto.FLOAT}
        for node in self.graph.node:
            if node.op_type == "Cast" and node.input[0] in is_float and node.attribute[0].i == TensorProto.FLOAT:
                node.op_type = "Identity"
                del node.attribute[:]
        self.drop("Identity")

    def _inferred(self) -> list[onnx.ValueInfoProto]:
        model = onnx.ModelProto.FromString(self.finished().SerializeToString())
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        return [*inferred.input, *inferred.value_info, *inferred.output]

    def _take_constant_nodes(self) -> None:
        kept = []
        for node in self.graph.node:
            held = {one.name: one for one in node.attribute}
            if node.op_type == "Constant" and "value" in held:
                self.constants[node.output[0]] = numpy_helper.to_array(held["value"].t)
            elif node.op_type == "Constant" and len(held) == 1 and "sparse_value" not in held:
                self.constants[node.output[0]] = np.asarray(helper.get_attribute_value(next(iter(held.values()))))
            else:
                kept.append(node)
        self.set_nodes(kept)

    def _drop_inputs(self) -> None:
        """Those that constants fill, and those that nothing reads."""
        read = self.readers
        kept = [one for one in self.graph.input if one.name not in self.constants and read[one.name]]
        del self.graph.input[:]
        self.graph.input.extend(kept)


def shape_of(value: onnx.ValueInfoProto) -> Shape:
    return tuple(one.dim_value if one.dim_value > 0 else None for one in value.type.tensor_type.shape.dim)


def set_shape(value: onnx.ValueInfoProto, shape: list[int | str]) -> None:
    made = helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, shape)
    value.CopyFrom(made)


def _is_wide(values: NDArray[Any]) -> bool:
    return values.dtype in (np.float16, np.float64) or values.dtype.name == "bfloat16"
