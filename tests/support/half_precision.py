"""A network as TensorRT's kernels for tensor cores compute it in half precision, on the CPU.

Weights and every layer's answer are rounded to float16, and so are the sums inside a layer: TensorRT 8.5 takes kernels
whose accumulators are float16. That makes errors as large as those of real engines, which float32 sums do not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from jetstream.runners.base import Arrays, require_feeds
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import prelu

PRODUCTS = 8  # that a tensor core adds before it rounds: 4 to 16, by its kind

Values = NDArray[np.float32]


class HalfPrecisionRunner:
    """R-Net or O-Net, as a Runner. Between its layers a batch is (N, rows, columns, channels)."""

    def __init__(self, path: Path) -> None:
        with OnnxRunner(path) as network:
            self.inputs, self.outputs = network.inputs, network.outputs
        graph = onnx.load_from_string(prelu.fuse(path.read_bytes())).graph
        self._nodes = list(graph.node)
        self._constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        require_feeds(self.inputs, feeds)
        values: dict[str, Any] = {**self._constants, "image": feeds["image"].transpose(0, 2, 3, 1)}
        for node in self._nodes:
            given = [values[name] for name in node.input]
            values.update(zip(node.output, _LAYERS[node.op_type](node, *given), strict=True))
        return {spec.name: values[spec.name] for spec in self.outputs}

    def close(self) -> None: ...


def rounded(values: NDArray[Any]) -> Values:
    return values.astype(np.float16).astype(np.float32)


def _product(rows: Values, weights: Values, bias: Values | float) -> Values:
    """(M, K) times (K, N)."""
    rows, weights = rounded(rows), rounded(weights)
    sums = np.zeros((len(rows), weights.shape[1]), np.float32)
    for first in range(0, rows.shape[1], PRODUCTS):
        sums = rounded(sums + rows[:, first : first + PRODUCTS] @ weights[first : first + PRODUCTS])
    return rounded(sums + bias)


def _conv(node: onnx.NodeProto, x: Values, weights: Values, bias: Values) -> tuple[Values]:
    outputs, _, height, width = weights.shape
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    under = [x[:, y : y + rows, left : left + columns] for y in range(height) for left in range(width)]
    patches = np.concatenate(under, axis=3).reshape(len(x) * rows * columns, -1)
    flat = weights.transpose(2, 3, 1, 0).reshape(-1, outputs)
    return (_product(patches, flat, rounded(bias)).reshape(len(x), rows, columns, outputs),)


def _pool(node: onnx.NodeProto, x: Values) -> tuple[Values]:
    """With a stride of 2; the last window may be cut off by the border."""
    window = next(one.ints[0] for one in node.attribute if one.name == "kernel_shape")
    count = -(-(x.shape[1] - window) // 2) + 1
    more = 2 * (count - 1) + window - x.shape[1]
    padded = np.pad(x, ((0, 0), (0, more), (0, more), (0, 0)), constant_values=-np.inf)
    steps = [slice(first, first + 2 * count - 1, 2) for first in range(window)]
    return (np.max([padded[:, rows, columns] for rows in steps for columns in steps], axis=0),)


def _prelu(node: onnx.NodeProto, x: Values, slope: Values) -> tuple[Values]:
    return (rounded(np.where(x > 0, x, x * rounded(slope.ravel()))),)


def _gemm(node: onnx.NodeProto, x: Values, weights: Values, bias: Values) -> tuple[Values]:
    return (_product(x, weights.T, rounded(bias)),)


_LAYERS: dict[str, Any] = {
    "Conv": _conv,
    "Flatten": lambda node, x: (x.transpose(0, 3, 1, 2).reshape(len(x), -1),),
    "Gemm": _gemm,
    "MaxPool": _pool,
    "PRelu": _prelu,
    "Relu": lambda node, x: (np.maximum(x, 0),),
    "Split": lambda node, x, sizes: np.split(x, np.cumsum(sizes)[:-1], axis=1),
    "Squeeze": lambda node, x, axes: (x[:, 0],),
}
