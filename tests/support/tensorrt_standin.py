"""TensorRT and a CUDA context as `TensorRTRunner` sees them, without either.

An engine is the ONNX file and its profiles.

Strict where the real ones are: memory is touched only with the context current, sizes outside a profile are refused,
and the engine reports every size that its profiles fix as a number.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import pytest

from jetstream.runners import cuda_bindings, cuda_context
from jetstream.runners.cuda_context import CudaContext
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings
from jetstream.runners.tensorrt.engine_cache import Engine, Profile


class Device(CudaContext):
    """A GPU, and its context while somebody uses it: memory is a dictionary from addresses to bytes."""

    error = type("Error", (Exception,), {})

    def __init__(self) -> None:
        super().__init__(0, "pycuda")
        self.memory: dict[int, np.ndarray] = {}
        self.contexts = self.depth = 0
        self.room_left = 1_000  # allocations until the memory is full

    def opened(self) -> "Device":
        self.contexts += 1
        return self

    def _push(self) -> None:
        assert self.contexts
        self.depth += 1

    def _pop(self) -> None:
        self.depth -= 1

    def _release(self) -> None:
        assert not self.memory, "memory outlives its context"
        self.contexts -= 1

    def _is_memory(self, error: Exception) -> bool:
        return "out of memory" in str(error)

    def stream(self) -> Any:
        return SimpleNamespace(handle=7, synchronize=lambda: None)

    def allocate(self, n_bytes: int) -> "Block":
        assert self.depth
        if not self.room_left:
            raise self.error("cuMemAlloc failed: out of memory")
        self.room_left -= 1
        return Block(self, n_bytes)

    def pinned(self, n_bytes: int) -> np.ndarray:
        return np.zeros(n_bytes, np.uint8)

    def upload(self, address: int, source: np.ndarray, stream: Any) -> None:
        assert self.depth
        self.memory[address][: source.nbytes] = source.view(np.uint8)

    def download(self, target: np.ndarray, address: int, stream: Any) -> None:
        assert self.depth
        target.view(np.uint8)[:] = self.memory[address][: target.nbytes]

    def _not_called(self, *_: Any, **__: Any) -> Any:
        pytest.fail("TensorRTRunner doesn't call this")

    event = is_done = record = wait_on_gpu = wait = elapsed_ms = finish = graph = _not_called
    free_bytes = register = unregister = address_on_gpu = copy = copy_2d = download_2d = wait_for_default_stream = (
        _not_called
    )
    module = kernel = launch = export = open_memory = _not_called


class Block:
    """Memory on the device, freed with its last reference."""

    def __init__(self, device: Device, count: int) -> None:
        self._device, self._address = device, max(device.memory, default=0) + 1
        device.memory[self._address] = np.zeros(count, np.uint8)

    def __int__(self) -> int:
        return self._address

    def __del__(self) -> None:
        self._device.memory.pop(self._address, None)


class Loaded:
    """An ICudaEngine."""

    def __init__(self, device: Device, plan: bytes) -> None:
        content = msgspec.json.decode(plan)
        self.device, self.profiles = device, [Profile(*map(tuple, sizes)) for sizes in content["profiles"]]
        self.session = ort.InferenceSession(base64.b64decode(content["onnx"]), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.names = [self.input, *(node.name for node in self.session.get_outputs())]
        self.num_io_tensors, self.num_optimization_profiles = len(self.names), len(self.profiles)
        self.get_tensor_name = self.names.__getitem__
        self.get_tensor_dtype = lambda name: SimpleNamespace(name="FLOAT")
        self.get_tensor_mode = lambda name: SimpleNamespace(name="INPUT" if name == self.input else "OUTPUT")
        self.get_tensor_profile_shape = lambda name, number: [list(size) for size in self.profiles[number]]
        self.create_execution_context = lambda: Execution(self)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """-1 only where the profiles leave a size open, and an output as in the first of them: so does TensorRT 8.5."""
        profiles = self.profiles if name == self.input else self.profiles[:1]
        met = [self.answers(np.zeros(size, np.float32))[name].shape for one in profiles for size in one]
        return tuple(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*met, strict=True))

    def answers(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {self.input: rows, **dict(zip(self.names[1:], self.session.run(None, {self.input: rows}), strict=True))}


class Execution:
    """An IExecutionContext."""

    def __init__(self, engine: Loaded) -> None:
        self._engine, self._addresses = engine, {}
        self.set_tensor_address = self._addresses.__setitem__

    def set_optimization_profile_async(self, number: int, handle: int) -> bool:
        self._profile = self._engine.profiles[number]
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        smallest, _, largest = self._profile
        assert all(low <= size <= high for low, size, high in zip(smallest, shape, largest, strict=True))
        self._shape = shape
        self._shapes = {key: each.shape for key, each in self._engine.answers(np.zeros(shape, np.float32)).items()}

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def execute_async_v3(self, handle: int) -> bool:
        memory = self._engine.device.memory
        assert self._engine.device.depth
        count = int(np.prod(self._shape))
        rows = memory[self._addresses[self._engine.input]].view(np.float32)[:count].reshape(self._shape)
        for name, values in self._engine.answers(rows.copy()).items():
            content = np.ascontiguousarray(values).view(np.uint8).ravel()
            memory[self._addresses[name]][: content.size] = content
        return True


def engine(onnx: Path, profiles: tuple[Profile, ...]) -> Engine:
    """What a build makes of the network. Raises ModelError."""
    with OnnxRunner(onnx) as network:
        plan = {"onnx": base64.b64encode(onnx.read_bytes()).decode(), "profiles": profiles}
        return Engine(msgspec.json.encode(plan), network.inputs, network.outputs)


@contextmanager
def installed() -> Iterator[Device]:
    """Both packages, for as long as this lasts."""
    device = Device()

    def load(plan: bytes, log: Any) -> Loaded | None:
        try:
            return Loaded(device, plan)
        except msgspec.DecodeError:
            log.log(1, "magic tag does not match")
            return None

    runtime = lambda log: SimpleNamespace(deserialize_cuda_engine=lambda plan: load(plan, log))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bindings, "load", lambda: SimpleNamespace(Runtime=runtime, ILogger=object))
        patch.setattr(cuda_bindings, "choose", lambda wanted: cuda_bindings.BindingsChoice("pycuda", "the stand-in"))
        patch.setattr(cuda_context, "_opened", lambda number, bindings: device.opened())
        patch.setattr(cuda_context, "_open", {})
        yield device
