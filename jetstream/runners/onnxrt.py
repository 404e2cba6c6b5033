"""ONNX Runtime: on the CPU, which works everywhere, or on an NVIDIA GPU through its CUDA provider.

Knows no picture and no stage.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from jetstream.errors import ModelError
from jetstream.runners.base import Arrays, TensorSpec, UnavailableError, require_feeds

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
}

ERRORS = (
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoSuchFile,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
)
"""ONNX Runtime's, which share no base class narrower than Exception."""


class OnnxRunner:
    """One network in ONNX Runtime."""

    def __init__(self, path: Path | str, *, threads: int = 1, device: int | None = None) -> None:
        """Load a .onnx file; `device` is a GPU's number, None the CPU. On a GPU too the arithmetic is float32.

        Raises ModelError where the file is missing or damaged, UnavailableError where the CUDA provider can't run.
        """
        self._session: ort.InferenceSession | None = _open(Path(path), _options(threads), device)
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self._output_names = [spec.name for spec in self.outputs]

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name. Raises ValueError where feeds are not the inputs or the runner is closed."""
        if self._session is None:
            raise ValueError("the runner is closed")
        require_feeds(self.inputs, feeds)
        return dict(zip(self._output_names, self._session.run(self._output_names, feeds), strict=True))

    def close(self) -> None:
        """Free the network; may be called twice."""
        self._session = None

    def __enter__(self) -> "OnnxRunner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _options(threads: int) -> ort.SessionOptions:
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, got {threads}")
    options = ort.SessionOptions()
    # Memory arena and patterns stay on: without patterns P-Net and O-Net are 4 % slower, without the arena the memory
    # of a P-Net that sees ever new sizes doubles. With both it is flat after the largest.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that spin between calls take CPU time from the other stages: two threads were slower than one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: they come back as exceptions
    return options


def version() -> str:
    return str(ort.__version__)


def providers() -> tuple[str, ...]:
    """Execution providers of this build of ONNX Runtime. Whether the CUDA one works is known when a network opens."""
    return tuple(ort.get_available_providers())


def _open(path: Path, options: ort.SessionOptions, device: int | None) -> ort.InferenceSession:
    if not path.is_file():
        raise ModelError(f"{path}: no such model; run `jetstream models` to build it")
    if device is not None and CUDA not in providers():
        raise UnavailableError("this onnxruntime has no CUDA provider (onnxruntime-gpu has)")
    try:
        session = ort.InferenceSession(str(path), options, providers=_wanted(device))
        if device is not None and CUDA not in session.get_providers():  # it fell back to the CPU without an error
            raise UnavailableError("onnxruntime's CUDA provider can't be loaded (its CUDA or cuDNN is missing)")
        return session
    except ERRORS as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: cannot be loaded ({reason}); run `jetstream models` to rebuild it") from error


def _wanted(device: int | None) -> list[Any]:
    if device is None:
        return [CPU]
    return [(CUDA, {"device_id": device, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}), CPU]


def _spec(node: ort.NodeArg) -> TensorSpec:
    if node.type not in _DTYPES:
        raise ModelError(f"model tensor {node.name}: {node.type} is not supported")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, _DTYPES[node.type], shape)
