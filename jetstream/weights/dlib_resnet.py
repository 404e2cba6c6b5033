"""dlib's face recognition network as an ONNX graph: raw BGR chips in, embeddings out, equal to dlib's up to rounding.

Knows no runner, no package and no path.

Measured on ONNX Runtime's CPU provider (one thread): the graph runs near the core's peak, so its form matters little.
These alternatives were within 3 % of each other and none was faster: `Pad` operators; the average pool and the widening
as one 2 x 2 convolution; `Concat` with zeros; chips as (N, 150, 150, 3) floats or bytes with `Transpose` and `Cast`
inside; `Gemm` at the end.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from jetstream.weights.dlib_file import BLOCKS, Convolution, DlibNetwork, read

CHIP_PX = 150
EMBEDDING_SIZE = 128


def convert(source: bytes) -> onnx.ModelProto:
    """The ONNX model of `source`, the content of dlib_face_recognition_resnet_model_v1.dat.

    Input `chip` (N, 3, 150, 150) float32, BGR planes of raw 0..255. Output `embedding` (N, 128) float32, unnormalised.
    Raises ModelError for any other content.
    """
    network = read(source)
    graph = _ResnetGraph()
    graph.output("embedding", _network(graph, "chip", network))
    return graph.model()


class _ResnetGraph:
    """Collects nodes and weights in the order in which they are added."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(onnx.helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def convolve(
        self,
        image: str,
        weights: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
        **attributes: Any,
    ) -> str:
        names = [self._weight(weights)] + ([] if bias is None else [self._weight(bias)])
        return self.add("Conv", image, *names, kernel_shape=weights.shape[2:], **attributes)

    def output(self, name: str, value: str) -> None:
        self._nodes.append(onnx.helper.make_node("Flatten", [value], [name], name))

    def model(self) -> onnx.ModelProto:
        chip = onnx.helper.make_tensor_value_info("chip", onnx.TensorProto.FLOAT, ["N", 3, CHIP_PX, CHIP_PX])
        embedding = onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", EMBEDDING_SIZE])
        graph = onnx.helper.make_graph(self._nodes, "dlib_resnet", [chip], [embedding], self._weights)
        opsets = [onnx.helper.make_opsetid("", 13)]
        # All versions are written out, or the file would differ with the installed onnx.
        return onnx.helper.make_model(graph, producer_name="jetstream", ir_version=8, opset_imports=opsets)

    def _weight(self, values: NDArray[np.float64]) -> str:
        name = f"weight_{len(self._weights)}"
        data = np.ascontiguousarray(values, dtype="<f4").tobytes()
        self._weights.append(onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, values.shape, data, raw=True))
        return name


def _network(graph: _ResnetGraph, chip: str, network: DlibNetwork) -> str:
    stem, *rest = network.convolutions
    weights, bias = _with_input_scaling(*_folded(stem), network.mean_rgb)
    image = graph.add("Relu", graph.convolve(chip, weights, bias, strides=[2, 2]))
    image = graph.add("MaxPool", image, kernel_shape=[3, 3], strides=[2, 2])
    size_px = ((CHIP_PX - 7) // 2 + 1 - 3) // 2 + 1
    for block, first, second in zip(BLOCKS, rest[::2], rest[1::2], strict=True):
        if block == ">":
            image = _halving_block(graph, image, first, second, size_px)
            size_px //= 2
        else:
            image = _block(graph, image, first, second)
    pooled = graph.add("GlobalAveragePool", image)
    # A convolution, not a matrix product: it is computed chip by chip, so an embedding doesn't depend on its batch.
    return graph.convolve(pooled, network.projection.T[:, :, None, None].astype(np.float64))


def _block(graph: _ResnetGraph, image: str, first: Convolution, second: Convolution) -> str:
    branch = graph.convolve(_conv_relu(graph, image, first), *_folded(second), pads=[1, 1, 1, 1])
    return graph.add("Relu", graph.add("Add", branch, image))


def _halving_block(graph: _ResnetGraph, image: str, first: Convolution, second: Convolution, size_px: int) -> str:
    """The convolutions at half size, plus the averaged input; dlib pads the smaller of both with zeros at its end.

    `Pad` would leave the blocked layout that ONNX Runtime keeps between convolutions; convolving with ones does not.
    """
    branch = _conv_relu(graph, image, first)
    branch_px = (size_px - 3) // 2 + 1
    weights, bias = _folded(second)
    if branch_px == 1:  # only the kernel's centre covers the image
        branch = graph.convolve(branch, weights[:, :, 1:2, 1:2], bias)
    else:
        branch = graph.convolve(branch, weights, bias, pads=[1, 1, 1, 1])
    short_px = size_px // 2 - branch_px
    outputs, inputs = first.weights.shape[:2]
    if short_px:
        ones = np.ones((outputs, 1, 1, 1))
        branch = graph.convolve(branch, ones, group=outputs, pads=[0, 0, short_px, short_px])
    skip = graph.add("AveragePool", image, kernel_shape=[2, 2], strides=[2, 2])
    if outputs > inputs:
        skip = graph.convolve(skip, np.eye(outputs, inputs)[:, :, None, None])
    return graph.add("Relu", graph.add("Add", branch, skip))


def _conv_relu(graph: _ResnetGraph, image: str, layer: Convolution) -> str:
    pads = [layer.padding] * 4
    return graph.add("Relu", graph.convolve(image, *_folded(layer), strides=[layer.stride] * 2, pads=pads))


def _folded(layer: Convolution) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The convolution and its affine layer as the weights and the bias of one convolution."""
    gamma = layer.gamma.astype(np.float64)
    return layer.weights * gamma[:, None, None, None], layer.bias * gamma + layer.beta


def _with_input_scaling(
    weights: NDArray[np.float64], bias: NDArray[np.float64], mean_rgb: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias that take raw BGR instead of (RGB - mean) / 256; exact because this layer has no padding."""
    scaled = weights / 256.0
    offsets = scaled * np.array(mean_rgb)[:, None, None]
    # fsum: numpy's order of summation, and with it the last bit, differs between machines.
    shift = np.array([math.fsum(values) for values in offsets.reshape(len(bias), -1)])
    return scaled[:, ::-1], bias - shift
