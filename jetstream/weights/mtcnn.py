"""MTCNN's published networks rewritten: the same functions, two to three times as fast in ONNX Runtime.

Knows no file and no package: the bytes of one ONNX file in, a model out. The same input gives the same bytes.

These changes are exact in real numbers, and change float32 results by less than 1e-4:

- The input is the raw image: BGR planes, 0..255. (x - 127.5) / 128 and the colour order are folded into the first
  convolution, which is exact because it is unpadded.
- PReLU becomes a*x + (1 - a)*relu(x): ONNX Runtime's own PReLU is slow and breaks its fast channel layout. The last one
  of each network is folded into the heads: H(prelu(x)) = (H a)(x) + (H (1 - a))(relu(x)).
- P-Net's first PReLU comes after its max-pooling, where a quarter of the values are left (`_pooled_prelu`).
- The heads are one matrix. Softmax over (no face, face) becomes their difference, the logit: p = 1 / (1 + exp(-logit)).
- The fully connected layers read channel, row, column; the source's read channel, column, row.

Landmarks of O-Net stay as published: x1..x5, y1..y5 as fractions of the crop's width and height from its left and top
edge, in the order left eye, right eye, nose, left and right corner of the mouth, as seen in the picture.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from jetstream.errors import ModelError

Weights = NDArray[np.float64]

OPSET = 17
IR_VERSION = 8  # the oldest that carries opset 17
BLOCK = 16  # channels in one block of ONNX Runtime's layout on AVX-512; 8 elsewhere


class _NetSpec(NamedTuple):
    side_px: int | None  # of the input; None: any
    pools: tuple[int, ...]  # window of the max-pooling after the 1st, 2nd.. convolution; its stride is always 2
    layers: int  # number of layers that end in a PReLU
    heads: tuple[int, ...]  # outputs of the heads, which identify them: the published files order them differently


_NETS = {
    "pnet": _NetSpec(None, (2,), 3, (2, 4)),
    "rnet": _NetSpec(24, (3, 3), 4, (2, 4)),
    "onet": _NetSpec(48, (3, 3, 2), 5, (2, 4, 10)),
}


class _Layer(NamedTuple):
    weight: Weights  # (out, in, rows, columns), or (out, in) of a fully connected layer
    bias: Weights  # (out,)
    slope: Weights  # (out,) of the PReLU after it; empty for a head


class _MtcnnGraph:
    """Collects nodes and constants, and names them by their order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        dtype = np.int64 if values.dtype.kind == "i" else np.float32
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def add(self, op: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        outputs = outputs or (f"t{len(self.nodes)}",)
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), **attributes))
        return outputs[0]

    def conv(self, x: str, weight: Weights, *bias: Weights) -> str:
        constants = [self.constant(values) for values in (weight, *bias)]
        return self.add("Conv", x, *constants, kernel_shape=list(weight.shape[2:]))

    def pool(self, x: str, window: int) -> str:
        return self.add("MaxPool", x, kernel_shape=[window, window], strides=[2, 2], ceil_mode=1)

    def prelu(self, x: str, slope: Weights) -> str:
        a = slope.reshape(-1, 1, 1)
        linear = self.add("Mul", x, self.constant(a))
        return self.add("Add", linear, self.add("Mul", self.add("Relu", x), self.constant(1 - a)))


def convert(source: bytes, net: str) -> onnx.ModelProto:
    """The fast form of one published network: `source` is its ONNX file's content, `net` "pnet", "rnet" or "onet".

    Input `image` (N, 3, H, W) float32, BGR planes, 0..255; H = W = 24 for rnet and 48 for onet. Outputs, float32:
    `logit` (N, 1, h, w) and `offsets` (N, 4, h, w) of pnet; `logit` (N,) and `offsets` (N, 4) of the others (left, top,
    right, bottom, in fractions of the box's sides); `landmarks` (N, 10) of onet. Raises ModelError when the source
    isn't this network.
    """
    layers, heads = _read(source, net)
    layers[0] = _take_raw_bgr(layers[0])
    graph = _MtcnnGraph()
    if net == "pnet":
        _write_pnet(graph, layers, heads)
    else:
        _write_refiner(graph, layers, heads, _NETS[net])
    return _model(graph, net)


def _read(source: bytes, net: str) -> tuple[list[_Layer], _Layer]:
    """The layers that end in a PReLU, in order, and the heads as one layer: logit, offsets and, of onet, landmarks."""
    model = onnx.load_from_string(source)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values = {name: array.astype(np.float64) for name, array in constants.items()}
    slopes = {node.input[0]: values[node.input[1]].ravel() for node in model.graph.node if node.op_type == "PRelu"}
    none = np.zeros(0)
    found = [
        _Layer(
            values[node.input[1]],
            values[node.input[2]],
            slopes.get(node.output[0], none),
        )
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
    ]
    layers = [layer for layer in found if layer.slope.size]
    heads = {len(layer.bias): layer for layer in found if not layer.slope.size}
    expected = _NETS[net]
    if len(layers) != expected.layers or set(heads) != set(expected.heads):
        raise ModelError(
            f"{net}: expected {expected.layers} layers and heads of {list(expected.heads)} outputs, the source has"
            f" {len(layers)} and {sorted(heads)}; it isn't the published MTCNN network"
        )
    no_face_face, *others = (heads[size] for size in expected.heads)
    weights = [np.diff(no_face_face.weight, axis=0), *(head.weight for head in others)]
    biases = [np.diff(no_face_face.bias), *(head.bias for head in others)]
    return layers, _Layer(np.concatenate(weights), np.concatenate(biases), none)


def _take_raw_bgr(first: _Layer) -> _Layer:
    """Folds (x - 127.5) / 128 and the source's RGB order into the first convolution."""
    # fsum: the rounding of a plain sum depends on the machine's vector width, and the file's bytes must not
    sums = np.array([math.fsum(kernel.ravel()) for kernel in first.weight])
    return _Layer(first.weight[:, ::-1] / 128, first.bias - sums * (127.5 / 128), first.slope)


def _write_pnet(graph: _MtcnnGraph, layers: list[_Layer], heads: _Layer) -> None:
    first, second, third = layers
    x, signs = _pooled_prelu(graph, "image", first, window=2)
    x = graph.prelu(graph.conv(x, second.weight * signs[:, None, None], second.bias), second.slope)
    x = graph.conv(x, third.weight, third.bias)
    kept, cut = _heads_after_prelu(heads.weight, third.slope)
    x = graph.add("Add", graph.conv(x, kept, heads.bias), graph.conv(graph.add("Relu", x), cut))
    graph.add(
        "Split",
        x,
        graph.constant(np.array([1, 4])),
        outputs=("logit", "offsets"),
        axis=1,
    )


def _pooled_prelu(graph: _MtcnnGraph, x: str, layer: _Layer, window: int) -> tuple[str, Weights]:
    """Convolution, PReLU and max-pooling, in the cheaper order: convolution, max-pooling, PReLU.

    With slopes a <= 1, prelu(x) = max(x, a*x), and a maximum may be taken in any order: with p = pool(x) and
    q = pool(a*x) the result is max(p, q) = q + relu(p - q). For a >= 0, q = a*p; for a < 0 the convolution gets one
    more output, a*x (P-Net: 10 + 6 outputs, which fills a block). For a > 1 it is min(p, a*p) = -max(-p, -a*p): the
    channel comes out negated, and the next layer's weights must be multiplied by the returned signs, (out,).
    """
    falling = np.flatnonzero(layer.slope < 0)
    extra = layer.slope[falling]
    weight = np.concatenate([layer.weight, layer.weight[falling] * extra.reshape(-1, 1, 1, 1)])
    bias = np.concatenate([layer.bias, layer.bias[falling] * extra])
    signs = np.where(layer.slope > 1, -1.0, 1.0)
    p = np.eye(len(layer.bias), len(bias)) * signs[:, None]
    q = p * layer.slope[:, None]
    q[falling] = np.eye(len(bias))[len(layer.bias) :]
    pooled = graph.pool(graph.conv(x, weight, bias), window)
    larger = graph.add("Relu", graph.conv(pooled, (p - q)[:, :, None, None]))
    return graph.add("Add", graph.conv(pooled, q[:, :, None, None]), larger), signs


def _write_refiner(graph: _MtcnnGraph, layers: list[_Layer], heads: _Layer, net: _NetSpec) -> None:
    *convolutions, dense = layers
    x = "image"
    for index, layer in enumerate(_fill_blocks(convolutions)):
        x = graph.prelu(graph.conv(x, layer.weight, layer.bias), layer.slope)
        if index < len(net.pools):
            x = graph.pool(x, net.pools[index])
    x = graph.add("Flatten", x, axis=1)
    x = graph.add(
        "Gemm",
        x,
        graph.constant(_rows_first(dense.weight)),
        graph.constant(dense.bias),
        transB=1,
    )
    kept, cut = _heads_after_prelu(heads.weight, dense.slope)
    linear = graph.add("Gemm", x, graph.constant(kept), graph.constant(heads.bias), transB=1)
    x = graph.add("Gemm", graph.add("Relu", x), graph.constant(cut), linear, transB=1)
    sizes = (1, *net.heads[1:])
    names = ("logits", "offsets", "landmarks")[: len(sizes)]
    graph.add("Split", x, graph.constant(np.array(sizes)), outputs=names, axis=1)
    graph.add("Squeeze", "logits", graph.constant(np.array([1])), outputs=("logit",))


def _fill_blocks(layers: list[_Layer]) -> list[_Layer]:
    """Pads outputs with zeros to whole blocks (R-Net's 28 to 32), so that pooling runs in the fast layout too."""
    padded: list[_Layer] = []
    inputs = layers[0].weight.shape[1]
    for weight, bias, slope in layers:
        more = -len(bias) % BLOCK
        wide = np.pad(weight, [(0, more), (0, inputs - weight.shape[1]), (0, 0), (0, 0)])
        padded.append(_Layer(wide, np.pad(bias, (0, more)), np.pad(slope, (0, more))))
        inputs = len(bias) + more
    return padded


def _heads_after_prelu(weight: Weights, slope: Weights) -> tuple[Weights, Weights]:
    """Two head matrices, for x and for relu(x), whose answers sum to the heads' answer to prelu(x)."""
    a = slope.reshape(1, -1, *[1] * (weight.ndim - 2))
    return weight * a, weight * (1 - a)


def _rows_first(weight: Weights) -> Weights:
    """From the source's (out, channel * column * row) to (out, channel * row * column); the map is 3 x 3."""
    outputs, inputs = weight.shape
    maps = weight.reshape(outputs, inputs // 9, 3, 3)
    return np.asarray(maps.swapaxes(2, 3)).reshape(outputs, inputs)


def _model(graph: _MtcnnGraph, net: str) -> onnx.ModelProto:
    side = _NETS[net].side_px
    image: list[str | int | None] = ["n", 3, side or "height", side or "width"]
    if net == "pnet":
        shapes: dict[str, list[str | int | None]] = {
            "logit": ["n", 1, "rows", "columns"],
            "offsets": ["n", 4, "rows", "columns"],
        }
    else:
        shapes = {"logit": ["n"], "offsets": ["n", 4]}
    if net == "onet":
        shapes["landmarks"] = ["n", 10]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    body = helper.make_graph(graph.nodes, net, inputs, outputs, graph.constants)
    model = helper.make_model(
        body,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="jetstream",
    )
    onnx.checker.check_model(model, full_check=True)
    return model
