"""A TensorRT engine from GPU memory to GPU memory, asynchronously and without copies.

Knows no picture. `runners.tensorrt.runner` runs the same engine behind the Runner contract, from numpy to numpy.
"""

from collections.abc import Mapping
from typing import Any

from jetstream.gpu.device import Device
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings
from jetstream.runners.tensorrt.engine_cache import Engine
from jetstream.runners.tensorrt.runner import load_engine


class EngineNet:
    """One network, for the fixed batches that it was built for. Close it before its device."""

    def __init__(self, engine: Engine, device: Device) -> None:
        """Call inside `device.current()`. Raises UnavailableError where TensorRT does not accept the engine."""
        self._log = bindings.logger()
        self._input = engine.inputs[0].name
        self._runtime, self._engine = load_engine(engine.plan, self._log)
        stream = device.stream()
        self._executions: dict[int, Any] = {}
        for number in range(self._engine.num_optimization_profiles):
            rows = tuple(self._engine.get_tensor_profile_shape(self._input, number)[2])
            execution = self._engine.create_execution_context()
            if execution is None or not execution.set_optimization_profile_async(number, stream.handle):
                execution = None
                self.close()  # here: the traceback keeps this object past the end of the CUDA context
                raise UnavailableError(f"TensorRT can't open the engine ({self._log.reason})")
            execution.set_input_shape(self._input, rows)
            self._executions[rows[0]] = execution
        stream.synchronize()
        self.rows = tuple(sorted(self._executions))

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None:
        """One batch of `rows`, which is one of `self.rows`. Raises RuntimeError where TensorRT refuses."""
        execution = self._executions[rows]
        execution.set_tensor_address(self._input, image)
        for name, address in outputs.items():
            execution.set_tensor_address(name, address)
        if not execution.execute_async_v3(stream.handle):
            raise RuntimeError(f"TensorRT returned no answer: {self._log.reason}")

    def close(self) -> None:
        self._executions.clear()  # before their engine
        self._engine = None
        self._runtime = None
