"""The measured process of `bench_detect.py`: the stage `detect` as the supervisor starts it, on a recorded GPU."""

import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.bench_detect import Spent, Task
from benchmarks.detecting.feeding import HEIGHT, WIDTH
from benchmarks.detecting.recorded import RecordedContext, RecordedNet, thumbnails_of
from jetstream.config.schema import Config
from jetstream.gpu.cascade import Cascade
from jetstream.gpu.detector import GpuDetector
from jetstream.gpu.device import CudaDevice
from jetstream.ipc.bus import Inbox
from jetstream.networks.gpu import settings_of
from jetstream.runners import cuda_context
from jetstream.runtime import worker
from jetstream.runtime.run_dir import RunDir
from jetstream.stages import detect as stage

TILE = 16
NOT_OURS = "what brings the recorded answers"


class Clock:
    """Time of this thread in each part, less that of the parts within it and of the readings."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, float] = defaultdict(float)
        self.calls = 0
        self._within_ns = [0.0]
        self._reading_ns = _reading_ns()

    def part(self, name: str, owner: Any, attribute: str) -> None:
        """Count a function of a class or a module."""
        function = getattr(owner, attribute)
        self.spent_ns[name] += 0.0
        setattr(owner, attribute, self._counted(name, function))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        within, spent_ns, reading_ns, now_ns = self._within_ns, self.spent_ns, self._reading_ns, time.thread_time_ns

        def counted(*words: Any, **named: Any) -> Any:
            within.append(0.0)
            begun_ns = now_ns()
            try:
                return function(*words, **named)
            finally:
                took_ns = now_ns() - begun_ns
                spent_ns[name] += max(took_ns - reading_ns - within.pop(), 0.0)
                within[-1] += took_ns + reading_ns

        return counted


def _reading_ns() -> float:
    """What a reading of the thread's clock takes of it."""
    readings = [time.thread_time_ns() for _ in range(10_000)]
    return statistics.median(after - before for before, after in itertools.pairwise(readings))


def measured(task: Task) -> Spent:
    """Run the stage until its input ends."""
    config = RunDir(Path(task.run_dir)).read_config()
    cv2.setNumThreads(1)
    thumbnails = thumbnails_of(Path(task.video), HEIGHT, WIDTH)
    context = RecordedContext(thumbnails, task.held, task.faces, config.detect.batch, len(config.cameras))
    cuda_context.use = lambda *_: _used(context)  # type: ignore[assignment]
    stage.open_detector = lambda config: _recorded(config, context)  # type: ignore[assignment]
    clock, meter = Clock(), Meter(context, task.warm)
    if task.parts:
        for name, owner, attribute in (
            ("inbox", Inbox, "batch"),
            ("plan", stage, "_plan"),
            ("submit", GpuDetector, "submit"),
            ("collect", GpuDetector, "collect"),
            ("shift", stage.CameraMemory, "compare"),
            ("messages", stage, "_answer"),
            ("outbox", worker, "_deliver"),
            (NOT_OURS, RecordedContext, "download"),
        ):
            clock.part(name, owner, attribute)
    stage.detect = meter.counted(stage.detect, clock)  # type: ignore[assignment]
    worker.run_process("detect", config, Path(task.run_dir))
    return meter.spent(clock)


class Meter:
    """Counts the frames after the first ones."""

    def __init__(self, context: RecordedContext, warm: int) -> None:
        self._context, self._warm = context, warm
        self._frames = self._batches = 0
        self._begun_ns = self._ended_ns = 0, 0  # of the process, of this thread
        self._not_ours_ns = 0

    def counted(self, function: Callable[..., Iterator[Any]], clock: Clock) -> Callable[..., Iterator[Any]]:
        def detect(batches: Any, rings: Any, config: Config) -> Iterator[Any]:
            for seen, message in enumerate(function(self._count(batches), rings, config)):
                if seen == self._warm:
                    clock.spent_ns.update(dict.fromkeys(clock.spent_ns, 0.0))
                    self._frames, self._batches = 0, 0
                    self._not_ours_ns = -self._context.spent_ns
                    self._begun_ns = _now_ns()
                self._frames += 1
                yield message
            self._ended_ns = _now_ns()
            self._not_ours_ns += self._context.spent_ns

        return detect

    def _count(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self._batches += isinstance(batch, list)
            yield batch

    def spent(self, clock: Clock) -> Spent:
        whole_ns, thread_ns = (
            ended - begun - self._not_ours_ns for begun, ended in zip(self._begun_ns, self._ended_ns, strict=True)
        )
        return Spent(
            frames=self._frames,
            whole_us=whole_ns / 1e3 / self._frames,
            thread_us=thread_ns / 1e3 / self._frames,
            parts_us={name: ns / 1e3 / self._frames for name, ns in clock.spent_ns.items() if name != NOT_OURS},
            batch=self._frames / max(self._batches, 1),
        )


def _now_ns() -> tuple[int, int]:
    return time.process_time_ns(), time.thread_time_ns()


def _used(context: RecordedContext) -> RecordedContext:
    context._users += 1
    cuda_context._open[0, "pycuda"] = context
    return context


@contextmanager
def _recorded(config: Config, context: RecordedContext) -> Iterator[GpuDetector]:
    """As `networks.gpu.open_gpu_detector`, with nets and a driver that do nothing."""
    with ExitStack() as stack:
        device = CudaDevice(0, b"")
        stack.callback(device.close)
        nets = RecordedNet((64, 256, 512)), RecordedNet((16, 64, 128))
        cascade = Cascade(device, *nets, np.zeros(16, np.float32), settings_of(config, TILE))
        cascade.reserve([(HEIGHT, WIDTH)] * min(config.detect.batch, len(config.cameras)))
        yield GpuDetector(device, cascade)
