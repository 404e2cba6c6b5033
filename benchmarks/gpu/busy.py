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

from jetstream.gpu import device, driver
from jetstream.runners import cuda_context
from jetstream.runtime import worker


class Meter:
    """Pairs of events around each graph, read once the GPU is past them."""

    def __init__(self) -> None:
        self.busy_s: dict[int, float] = defaultdict(float)
        self._under_way: deque[tuple[Any, Any]] = deque()
        self._free: list[tuple[Any, Any]] = []

    def launch(self, launch: Any, graph: Any, stream: Any) -> None:
        began, ended = self._free.pop() if self._free else (self._event(), self._event())
        began.record(stream)
        launch(graph, stream)
        ended.record(stream)
        self._under_way.append((began, ended))
        self.read()

    def read(self) -> None:
        while self._under_way and self._under_way[0][1].query():
            pair = self._under_way.popleft()
            self.busy_s[int(time.monotonic() * 10)] += pair[0].time_till(pair[1]) / 1e3
            self._free.append(pair)

    @staticmethod
    def _event() -> Any:
        return cuda_context.driver().Event()

    def forget(self) -> None:
        """Before the context ends, which the events belong to."""
        self.read()
        self._under_way.clear()
        self._free.clear()


def main() -> int:
    meter = Meter()
    launch, close = driver.CudaGraph.launch, device.CudaDevice.close
    driver.CudaGraph.launch = lambda graph, stream: meter.launch(launch, graph, stream)

    def close_after(owner: device.CudaDevice) -> None:
        if owner._is_open:
            with owner.current():
                meter.forget()
        close(owner)

    device.CudaDevice.close = close_after
    try:
        return worker.main(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(json.dumps(meter.busy_s))


if __name__ == "__main__":
    sys.exit(main())
