"""SFace as published (blockwise int8, PReLUs) rewritten in float32: raw BGR chips in, embeddings out, and much faster.

Knows no file and no package: the bytes of one ONNX file in, a model out. The same input gives the same bytes.

The changes are exact in real numbers, and change float32 results by less than 1e-5:

- The weights are dequantised, and every batch normalisation is folded into the layer before it; the one before the
  projection into the projection.
- The colour order and the division by 128 are folded into the first convolution. Its mean isn't: the published network
  pads with zeros after it subtracts 127.5. x - 127.5 is exact for bytes, and its node takes 0.3 % of the time.
- PReLU is relu(y) + r*y with r = a / (1 - a), where the convolution before it gives y scaled by |1 - a|. It comes out
  negated where a > 1, which the next weights undo. r*y is a depthwise 1 x 1 convolution: it stays in ONNX Runtime's
  blocked layout, and the sum is fused into it.
- The projection of 7 x 7 x 1024 to 128 reads 26 MB of weights. It is a 1 x 1 convolution over one picture whose pixels
  are the chips, so it reads them once a batch. On x86-64, where ONNX Runtime keeps the blocked layout, it is computed
  pixel by pixel, so an embedding doesn't depend on its batch.

Measured on ONNX Runtime's CPU provider (one thread, AVX2, a busy machine), in parts of the time of dlib's network with
its mirror image, which needs 544 million products for this one's 574: this graph 1.27, the published one 4.1. With ReLU
for PReLU it isn't SFace any more, but 1.09 shows that no form of PReLU reaches 1. No alternative was faster:

- a*y + (1 - a)*relu(y) 1.38; PReLU nodes 2.6. `Mul` by r instead of the convolution: the same in ONNX Runtime 1.32, but
  1.82 in 1.23, which leaves the blocked layout for it.
- Within 2 %: each depthwise layer twice, relu(D(x)) + r*D(x); PReLU moved behind the depthwise layer, D(relu(y)) +
  D(r*y); the first layer twice; `Pad` by 127.5 and an unpadded first convolution instead of the subtraction.
- The projection as a 7 x 7 convolution: as fast for one chip, but 1 ms more for each of eight. As `Gemm`: 0.4 ms more
  for one chip.
- int8 (ONNX Runtime's quantisation, calibrated on 40 faces): with PReLU in float32 it keeps people as well apart (of
  glint24_dev's pairs 90.0 % instead of 90.9 % at 0.1 % false ones), but takes 2.6. With PReLU as above in 8 bits it
  takes 1.2, and one scale for all channels of a layer leaves nothing of the embedding (a cosine of 0.0 to 0.2). Sums of
  two 8-bit products overflow on x86-64 CPUs without VNNI, so answers would also differ between machines.

One chip at a time is fastest on a CPU, since what a layer gives for more doesn't fit the cache: in pairs, beside other
busy processes, 2 chips at once take as long, 3 1.08 times, 8 1.2 times. dlib's network gets faster.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from jetstream.errors import ModelError

Weights = NDArray[np.float64]

CHIP_PX = 112
EMBEDDING_SIZE = 128
OPSET = 17
IR_VERSION = 8  # the oldest that carries opset 17
MEAN = 127.5
MAP_PX = 7  # of the last layer's output

# outputs of the first layer and of the 13 pairs (depthwise 3 x 3, 1 x 1) after it
_WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_SHAPES = [(32, 3, 3, 3)] + [shape for ins, outs in pairwise(_WIDTHS) for shape in ((ins, 1, 3, 3), (outs, ins, 1, 1))]
_LAYER = ("Conv", "BatchNormalization", "PRelu")
_END = ("BatchNormalization", "Dropout", "Flatten", "Gemm", "BatchNormalization")
_OPERATORS = ["Sub", "Mul", *_LAYER * len(_SHAPES), *_END]
_OF_WEIGHTS = ("DequantizeLinear", "Reshape", "Constant")  # nodes that compute no part of a picture


class _SfaceLayer(NamedTuple):
    weight: Weights  # (out, in of a group, rows, columns)
    bias: Weights  # (out,)
    slope: Weights  # (out,) of the PReLU after it
    group: int
    strides: list[int]
    pads: list[int]


class _SfaceNetwork(NamedTuple):
    scale: float  # of the picture, after the mean
    layers: list[_SfaceLayer]
    projection: Weights  # (128, 1024, 49)
    bias: Weights  # (128,)


def convert(source: bytes) -> onnx.ModelProto:
    """The fast form of `source`, the content of face_recognition_sface_2021dec_int8bq.onnx.

    Input `chip` (N, 3, 112, 112) float32, BGR planes of raw 0..255. Output `embedding` (N, 128) float32, unnormalised.
    Raises ModelError for any other content.
    """
    network = _read(source)
    graph = _SfaceGraph()
    x = graph.add("Sub", "chip", graph.constant(np.array(MEAN)))
    signs = np.ones(3)
    for layer in _take_scaled_bgr(network):
        x, signs = graph.layer(x, signs, layer)
    graph.project(x, network.projection * signs[:, None], network.bias)
    return graph.model()


class _SfaceGraph:
    """Collects nodes and constants, and names them by their order."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        dtype = "<i8" if values.dtype.kind == "i" else "<f4"
        kind = TensorProto.INT64 if values.dtype.kind == "i" else TensorProto.FLOAT
        data = np.ascontiguousarray(values, dtype).tobytes()
        self._constants.append(helper.make_tensor(name, kind, values.shape, data, raw=True))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def convolve(self, x: str, weight: Weights, *bias: Weights, **attributes: Any) -> str:
        constants = [self.constant(values) for values in (weight, *bias)]
        return self.add("Conv", x, *constants, kernel_shape=weight.shape[2:], **attributes)

    def layer(self, x: str, signs: Weights, layer: _SfaceLayer) -> tuple[str, Weights]:
        """The layer on `x`, whose channels have these signs; its output, with the signs of its channels."""
        size = np.abs(1 - layer.slope)
        inputs = signs[:, None, None, None] if layer.group > 1 else signs[:, None, None]
        weight = layer.weight * inputs * size[:, None, None, None]
        y = self.convolve(x, weight, layer.bias * size, group=layer.group, strides=layer.strides, pads=layer.pads)
        rest = layer.slope / (1 - layer.slope)
        linear = self.convolve(y, rest[:, None, None, None], group=len(rest))
        return self.add("Add", linear, self.add("Relu", y)), np.sign(1 - layer.slope)

    def project(self, x: str, weight: Weights, bias: Weights) -> None:
        """A chip's (1024, 7, 7) numbers are one pixel, and the chips a column of pixels."""
        count = weight[0].size
        chips = self.add("Reshape", x, self.constant(np.array([-1, count])))
        column = self.add("Transpose", chips, perm=[1, 0])
        pixels = self.add("Reshape", column, self.constant(np.array([1, count, -1, 1])))
        answers = self.convolve(pixels, weight.reshape(len(bias), count, 1, 1), bias)
        rows = self.add("Reshape", answers, self.constant(np.array([len(bias), -1])))
        self.add("Transpose", rows, perm=[1, 0], output="embedding")

    def model(self) -> onnx.ModelProto:
        chip = helper.make_tensor_value_info("chip", TensorProto.FLOAT, ["N", 3, CHIP_PX, CHIP_PX])
        embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", EMBEDDING_SIZE])
        graph = helper.make_graph(self._nodes, "sface", [chip], [embedding], self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        # All versions are written out, or the file would differ with the installed onnx.
        return helper.make_model(graph, producer_name="jetstream", ir_version=IR_VERSION, opset_imports=opsets)


def _take_scaled_bgr(network: _SfaceNetwork) -> list[_SfaceLayer]:
    """The layers, of which the first takes BGR - 127.5."""
    first, *rest = network.layers
    return [first._replace(weight=first.weight[:, ::-1] * network.scale), *rest]


def _read(source: bytes) -> _SfaceNetwork:
    try:
        graph = onnx.load_from_string(source).graph
    except DecodeError as error:
        raise _other("it is no ONNX file") from error
    nodes = [node for node in graph.node if node.op_type not in _OF_WEIGHTS]
    if [node.op_type for node in nodes] != _OPERATORS:
        raise _other(f"expected {len(_OPERATORS)} operators in SFace's order, the source has {len(nodes)}")
    try:
        network = _network(nodes, _constants(graph))
    except (LookupError, ValueError) as error:
        raise _other(f"its weights can't be read ({error})") from error
    shapes = [layer.weight.shape for layer in network.layers]
    if shapes != _SHAPES or [len(layer.bias) for layer in network.layers] != [shape[0] for shape in _SHAPES]:
        raise _other("its layers have other sizes")
    return network


def _network(nodes: list[onnx.NodeProto], constants: dict[str, Weights]) -> _SfaceNetwork:
    mean, scale = (constants[node.input[1]].item() for node in nodes[:2])
    if mean != MEAN:
        raise ValueError(f"mean {mean}")
    end = 2 + len(_LAYER) * len(_SHAPES)
    layers = [_layer(nodes[at : at + len(_LAYER)], constants) for at in range(2, end, len(_LAYER))]
    before, _, _, dense, after = nodes[end:]
    ins, shift = _normalisation(before, constants)
    outs, offset = _normalisation(after, constants)
    weight = constants[dense.input[1]].reshape(EMBEDDING_SIZE, _WIDTHS[-1], MAP_PX * MAP_PX)
    # Array by array: the order in which numpy sums one array, and with it the last bit, differs between machines.
    channels = sum(np.moveaxis(weight, 2, 0), start=np.zeros((EMBEDDING_SIZE, len(shift))))
    bias = sum((channels * shift).T, start=constants[dense.input[2]])
    return _SfaceNetwork(scale, layers, weight * ins[:, None] * outs[:, None, None], bias * outs + offset)


def _layer(nodes: list[onnx.NodeProto], constants: dict[str, Weights]) -> _SfaceLayer:
    convolution, normalisation, prelu = nodes
    scale, shift = _normalisation(normalisation, constants)
    attributes = _attributes(convolution)
    return _SfaceLayer(
        constants[convolution.input[1]] * scale[:, None, None, None],
        shift,
        constants[prelu.input[1]].ravel(),
        attributes["group"],
        attributes["strides"],
        attributes["pads"],
    )


def _normalisation(node: onnx.NodeProto, constants: dict[str, Weights]) -> tuple[Weights, Weights]:
    """A batch normalisation's scale and shift of each channel."""
    gamma, beta, mean, variance = (constants[name] for name in node.input[1:])
    scale = gamma / np.sqrt(variance + _attributes(node)["epsilon"])
    return scale, beta - mean * scale


def _constants(graph: onnx.GraphProto) -> dict[str, Weights]:
    """The graph's weights in float64 by name, those in int8 dequantised."""
    values = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            attributes = _attributes(node)
            levels, scale, zero = (values[name] for name in node.input)
            values[node.output[0]] = _dequantised(levels, scale, zero, attributes["axis"], attributes["block_size"])
        elif node.op_type == "Reshape":
            shape = values[node.input[1]].astype(int).tolist()
            values[node.output[0]] = values[node.input[0]].reshape(shape)
    return values


def _dequantised(levels: Weights, scale: Weights, zero: Weights, axis: int, block_size: int) -> Weights:
    """(levels - zero) * scale: one zero and one scale for each block of `block_size` values along `axis`."""
    count = range(levels.shape[axis])
    scale, zero = (np.repeat(values, block_size, axis).take(count, axis) for values in (scale, zero))
    return (levels - zero) * scale


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _other(what: str) -> ModelError:
    return ModelError(f"sface: {what}; it isn't the published SFace network")
