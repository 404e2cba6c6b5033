"""TensorRT on an NVIDIA GPU: a built engine behind the contract of `base`.

Knows no picture and no stage, and builds nothing (`prepare` does). Memory, copies and the stream are those of the
process's `cuda_context`. TensorRT and the bindings of CUDA are imported when the first runner opens.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetstream.runners import cuda_context
from jetstream.runners.base import Arrays, Runner, UnavailableError, require_feeds
from jetstream.runners.cuda_bindings import WantedBindings
from jetstream.runners.cuda_context import CudaContext, CudaStream
from jetstream.runners.tensorrt import bindings as tensorrt
from jetstream.runners.tensorrt.engine_cache import Engine, Profile

_DTYPES: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "UINT8": np.dtype(np.uint8),
    "INT8": np.dtype(np.int8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
}


class TensorRTRunner:
    """One network in TensorRT.

    Batches are padded to the next size that was built and cut at the largest; a picture of a size that was not built
    for is run by another runner.
    """

    def __init__(
        self, engine: Engine, *, device: int = 0, bindings: WantedBindings = "auto", outside: Callable[[], Runner]
    ) -> None:
        """Load an engine that `builder` made, for one input and any outputs.

        `outside` opens the runner for other sizes; it is called when the first comes. Raises UnavailableError where
        TensorRT, the bindings of CUDA or the GPU is missing, does not take the engine, or has too little memory.
        """
        self._outside = outside
        self._other: Runner | None = None
        self._lanes: list[_ProfileContext] = []
        self._stream: Any = None  # a CudaStream while the runner is open
        self._log = tensorrt.logger()
        self.inputs, self.outputs = engine.inputs, engine.outputs
        with ExitStack() as stack:
            self._context = cuda_context.use(device, bindings)
            stack.callback(self._context.close)
            stack.callback(self._free)
            with self._context.current():
                self._runtime, self._engine = load_engine(engine.plan, self._log)
                _require_tensors(self._engine, engine)
                if trouble := self._open_lanes():
                    raise UnavailableError(
                        f"the GPU has too little memory ({trouble}); lower gpu.batch and recognize.batch"
                    )
            stack.pop_all()
        self._is_open = True

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Every output by name. Raises ValueError where feeds are not the inputs or the runner is closed.

        Raises RuntimeError where the GPU fails: the process can't use it any more.
        """
        if not self._is_open:
            raise ValueError("the runner is closed")
        require_feeds(self.inputs, feeds)
        rows = feeds[self.inputs[0].name]
        lane = self._lane_for(rows.shape)
        if lane is None:
            return self._infer_outside(feeds)
        with self._context.current():
            parts = [lane.run(rows[first : first + lane.most]) for first in range(0, len(rows), lane.most)]
        return (
            parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        )

    def close(self) -> None:
        """Free the network; may be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        self._free()
        self._context.close()
        if self._other is not None:
            self._other.close()

    def __enter__(self) -> "TensorRTRunner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_lanes(self) -> str:
        """CUDA's error message, or "" where all went well."""
        try:
            self._stream = self._context.stream()
            for number in range(self._engine.num_optimization_profiles):
                self._lanes.append(_ProfileContext(self, self._context, number))
        except self._context.error as error:
            return str(error)  # not raised on: its traceback would hold a half-made lane past the end of the context
        return ""

    def _free(self) -> None:
        with self._context.current():
            # in this order: an execution context that outlives its engine crashes
            self._lanes.clear()
            self._engine = None
            self._runtime = None
            self._stream = None

    def _lane_for(self, shape: tuple[int, ...]) -> "_ProfileContext | None":
        """The context of the smallest batch that takes all rows, else of the largest; None for another picture size."""
        fitting = [lane for lane in self._lanes if lane.takes(shape[1:])]
        return min((lane for lane in fitting if lane.most >= shape[0]), key=_most, default=None) or max(
            fitting, key=_most, default=None
        )

    def _infer_outside(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        if self._other is None:
            self._other = self._outside()
        return self._other.infer(feeds)


class _ProfileContext:
    """One optimisation profile: its execution context, and buffers for its largest batch on host and GPU."""

    def __init__(self, runner: TensorRTRunner, context: CudaContext, number: int) -> None:
        engine, self._stream, self._log = runner._engine, runner._stream, runner._log
        self._input = runner.inputs[0].name
        self._sizes = Profile(*(tuple(size) for size in engine.get_tensor_profile_shape(self._input, number)))
        self._execution = engine.create_execution_context()
        if self._execution is None:
            raise UnavailableError(f"TensorRT can't open the engine ({self._log.reason})")
        if not self._execution.set_optimization_profile_async(number, self._stream.handle):
            raise UnavailableError(f"TensorRT refuses profile {number} ({self._log.reason})")
        self._execution.set_input_shape(self._input, self._sizes.largest)
        shapes = {spec.name: tuple(self._execution.get_tensor_shape(spec.name)) for spec in runner.outputs}
        self._into = _TensorBuffer(context, self._sizes.largest, runner.inputs[0].dtype)
        self._out_of = {spec.name: _TensorBuffer(context, shapes[spec.name], spec.dtype) for spec in runner.outputs}
        for name, room in ((self._input, self._into), *self._out_of.items()):
            self._execution.set_tensor_address(name, int(room.device))
        self._stream.synchronize()

    @property
    def most(self) -> int:
        """Rows in one run."""
        return self._sizes.largest[0]

    def takes(self, picture: tuple[int, ...]) -> bool:
        smallest, _, largest = self._sizes
        return all(low <= size <= high for low, size, high in zip(smallest[1:], picture, largest[1:], strict=True))

    def run(self, rows: NDArray[Any]) -> Arrays:
        """Outputs for `rows`, at most `most`; the rest of a fixed batch computes on older contents."""
        self._into.upload(rows, self._stream)
        if not self._sizes.is_fixed:
            count = max(len(rows), self._sizes.smallest[0])
            self._execution.set_input_shape(self._input, (count, *rows.shape[1:]))
        if not self._execution.execute_async_v3(self._stream.handle):
            raise RuntimeError(f"TensorRT returned no answer: {self._log.reason}")
        shapes = {name: (len(rows), *self._execution.get_tensor_shape(name)[1:]) for name in self._out_of}
        for name, room in self._out_of.items():
            room.download(math.prod(shapes[name]), self._stream)
        self._stream.synchronize()
        return {name: room.copy(shapes[name]) for name, room in self._out_of.items()}


class _TensorBuffer:
    """Memory for one tensor, page-locked on the host and on the GPU."""

    def __init__(self, context: CudaContext, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._context = context
        n_bytes = math.prod(shape) * dtype.itemsize
        self._here = context.pinned(n_bytes)[:n_bytes].view(dtype)
        self.device = context.allocate(n_bytes)  # zeroed: rows that are never filled must hold finite numbers

    def upload(self, rows: NDArray[Any], stream: CudaStream) -> None:
        here = self._here[: rows.size]
        np.copyto(here.reshape(rows.shape), rows)
        self._context.upload(int(self.device), here, stream)

    def download(self, count: int, stream: CudaStream) -> None:
        self._context.download(self._here[:count], int(self.device), stream)

    def copy(self, shape: tuple[int, ...]) -> NDArray[Any]:
        return np.array(self._here[: math.prod(shape)].reshape(shape))


def _most(lane: _ProfileContext) -> int:
    return lane.most


def load_engine(content: bytes, log: Any) -> tuple[Any, Any]:
    """TensorRT's runtime, which must outlive the engine, and the engine."""
    try:
        runtime = tensorrt.load().Runtime(log)
    except TypeError:  # raised by pybind11 for a null pointer
        raise UnavailableError(f"TensorRT can't start ({log.reason})") from None
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise UnavailableError(f"TensorRT can't load the engine ({log.reason})")
    return runtime, engine


def _require_tensors(loaded: Any, engine: Engine) -> None:
    """Raise UnavailableError unless the engine has the tensors that its file says; profiles fix some sizes."""
    found = set()
    for number in range(loaded.num_io_tensors):
        name = loaded.get_tensor_name(number)
        found.add((loaded.get_tensor_mode(name).name, name, _DTYPES.get(loaded.get_tensor_dtype(name).name)))
    said = {("INPUT", spec.name, spec.dtype) for spec in engine.inputs}
    said |= {("OUTPUT", spec.name, spec.dtype) for spec in engine.outputs}
    if found != said:
        raise UnavailableError(f"the engine has other inputs or outputs than its file says ({_words(found)})")
    if len(engine.inputs) != 1:
        raise UnavailableError(f"the network has {len(engine.inputs)} inputs, where 1 is supported")


def _words(tensors: set[tuple[str, str, Any]]) -> str:
    return ", ".join(f"{mode.lower()} {name} {dtype}" for mode, name, dtype in sorted(tensors, key=str))
