"""Lower bounds of times: bytes over the bus's bandwidth, arithmetic over the units' rate."""

from pathlib import Path
from typing import Any, NamedTuple

import onnx

from benchmarks.gpu.inputs import MODELS
from jetstream.gpu.structs import PlannedPicture, SearchSettings, plan
from jetstream.vision.detection.proposals import CELL_PX

PCIE = 52.7e9  # bytes a second, page-locked to an H100
FP32, FP16 = 67e12, 990e12  # FLOP a second: the cores', the tensor cores'


class Rows(NamedTuple):
    """Crops of a batch that went through R-Net and O-Net, on average."""

    rnet: float
    onet: float


class Limit(NamedTuple):
    """Milliseconds."""

    upload_ms: float
    compute_ms: float

    @property
    def alone_ms(self) -> float:
        """One after the other, as a single batch must."""
        return self.upload_ms + self.compute_ms

    @property
    def overlapped_ms(self) -> float:
        return max(self.upload_ms, self.compute_ms)


def cascade(n_bytes: int, levels: list[tuple[int, int]], rows: Rows, precision: str) -> Limit:
    """P-Net and R-Net count at the float32 cores' rate, O-Net at that of its precision."""
    rate = FP16 if precision == "fp16" else FP32
    pnet = sum(macs("pnet", (1, 3, *shape)) for shape in levels)
    rnet, onet = rows.rnet * macs("rnet", (1, 3, 24, 24)), rows.onet * macs("onet", (1, 3, 48, 48))
    return Limit(n_bytes / PCIE * 1e3, 2e3 * ((pnet + rnet) / FP32 + onet / rate))


def embedder(chips: int) -> Limit:
    return Limit(chips * 150 * 150 * 3 / PCIE * 1e3, 2e3 * chips * macs("embedder", (1, 3, 150, 150)) / FP16)


def levels_of(rows: int, columns: int, min_face_px: float = 40.0, factor: float = 0.709) -> list[tuple[int, int]]:
    """Rows and columns of each level that P-Net sees."""
    picture = PlannedPicture(rows, columns, search=True, nv12=False)
    levels = plan([picture], SearchSettings(CELL_PX / min_face_px, 0.0, factor, 16)).levels
    return [(int(level["rows"]), int(level["columns"])) for level in levels]


def macs(network: str, shape: tuple[int, ...]) -> int:
    """Multiplications of a network's convolutions and matrix products, as its ONNX file has them."""
    if (network, shape) not in _known:
        _known[network, shape] = _macs(MODELS / f"{network}.onnx", shape)
    return _known[network, shape]


_known: dict[tuple[str, tuple[int, ...]], int] = {}


def _macs(path: Path, shape: tuple[int, ...]) -> int:
    model = onnx.load(str(path))
    for size, dim in zip(shape, model.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dim.dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(model).graph
    sizes = {one.name: _sizes(one) for one in (*graph.value_info, *graph.output)}
    kernels = {one.name: list(one.dims) for one in graph.initializer}
    total = 0
    for node in graph.node:
        weights = [kernels[name] for name in node.input if name in kernels]
        if node.op_type == "Conv":
            total += _product(sizes[node.output[0]]) * _product(weights[0][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            total += _product(weights[0])
    return total


def _sizes(value: Any) -> list[int]:
    return [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]


def _product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total
