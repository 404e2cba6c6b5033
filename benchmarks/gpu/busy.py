"""A stage's process that also records how long its graphs ran on the GPU, in tenths of a second of CLOCK_MONOTONIC.

    python -m benchmarks.gpu.busy OUT_JSON RUN_DIR NAME PARENT_PID

The events around each graph cost some 5 us per batch. Two processes share a GPU by time slices, so a slice of the other
process counts as this one's time too.
"""

import json
import sys
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from jetstream.gpu.device import CudaDevice, Graph
from jetstream.runtime import worker


class Meter:
    """Pairs of events around each graph, read once the GPU is past them."""

    def __init__(self) -> None:
        self.busy_s: dict[int, float] = defaultdict(float)
        self._under_way: deque[tuple[CudaDevice, Any, Any]] = deque()
        self._free: dict[CudaDevice, list[tuple[Any, Any]]] = defaultdict(list)

    def launch(self, device: CudaDevice, graph: Graph, stream: Any) -> None:
        free = self._free[device]
        began, ended = free.pop() if free else (device.event(timing=True), device.event(timing=True))
        device.record(began, stream)
        graph.launch(stream)
        device.record(ended, stream)
        self._under_way.append((device, began, ended))
        self.read()

    def read(self) -> None:
        while self._under_way and self._under_way[0][0].is_done(self._under_way[0][2]):
            device, began, ended = self._under_way.popleft()
            self.busy_s[int(time.monotonic() * 10)] += device.elapsed_ms(began, ended) / 1e3
            self._free[device].append((began, ended))

    def forget(self) -> None:
        """Before the context ends, which the events belong to."""
        self.read()
        self._under_way.clear()
        self._free.clear()


class MeteredGraph:
    """A Graph whose launches are timed."""

    def __init__(self, meter: Meter, device: CudaDevice, graph: Graph) -> None:
        self._meter, self._device, self._graph = meter, device, graph
        self.close = graph.close

    def launch(self, stream: Any) -> None:
        self._meter.launch(self._device, self._graph, stream)


def main() -> int:
    meter = Meter()
    graph, close = CudaDevice.graph, CudaDevice.close
    CudaDevice.graph = lambda device, stream, work: MeteredGraph(meter, device, graph(device, stream, work))

    def close_after(owner: CudaDevice) -> None:
        if owner._is_open:
            with owner.current():
                meter.forget()
        close(owner)

    CudaDevice.close = close_after
    try:
        return worker.main(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(json.dumps(meter.busy_s))


if __name__ == "__main__":
    sys.exit(main())
