"""Timing of work: by the clock for a caller, by GPU events for a step inside."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jetstream.gpu.device import Device
from jetstream.vision.detection.detector import Detector, DetectorInput

Launch = Callable[[], None]


class Spent(NamedTuple):
    """Milliseconds a call."""

    p50: float
    p99: float


def spent(times_ms: Sequence[float]) -> Spent:
    return Spent(statistics.median(times_ms), float(np.percentile(times_ms, 99)))


def calls(work: Callable[[], object], count: int, warm: int) -> Spent:
    """`count` calls, after `warm` that don't count."""
    times_ms = []
    for _ in range(warm + count):
        began_ns = time.perf_counter_ns()
        work()
        times_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    return spent(times_ms[warm:])


def one_at_a_time(detector: Detector, batches: Sequence[Sequence[DetectorInput]], count: int) -> Spent:
    """From a batch in host memory to its faces there."""
    number = iter(range(1 << 30))
    return calls(
        lambda: detector.collect(detector.submit(batches[next(number) % len(batches)])), count, 2 * len(batches)
    )


def two_under_way(detector: Detector, batches: Sequence[Sequence[DetectorInput]], count: int) -> float:
    """Milliseconds a batch, each handed in before the one before it is waited for."""
    began_s, before = time.perf_counter(), None
    for number in range(count):
        ticket = detector.submit(batches[number % len(batches)])
        if before is not None:
            detector.collect(before)
        before = ticket
    if before is not None:
        detector.collect(before)
    return (time.perf_counter() - began_s) / count * 1e3


def gpu_us(
    device: Device, stream: Any, work: Launch, *, repeats: int = 4, rounds: int = 11, graph: bool = True
) -> float:
    """Median microseconds of what `work` puts into the stream, many times in a row. Call inside `device.current()`."""

    def several() -> None:
        for _ in range(repeats):
            work()

    launch: Launch = several
    if graph:
        recorded = device.graph(stream, several)
        launch = lambda: recorded.launch(stream)  # noqa: E731
    launch()
    device.finish()
    return statistics.median(_between(device, stream, launch) for _ in range(rounds)) * 1e3 / repeats


def _between(device: Device, stream: Any, launch: Launch) -> float:
    """Milliseconds."""
    with device.current():
        began, ended = device.event(timing=True), device.event(timing=True)
        device.record(began, stream)
        launch()
        device.record(ended, stream)
        device.wait(ended)
        return device.elapsed_ms(began, ended)
