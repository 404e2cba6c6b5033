"""The cascade step by step: how long every kernel and network of a batch takes in its place.

A single step can't be repeated, because the run before has changed its input. So the cascade is timed up to each step;
the difference is the step's time.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from benchmarks.gpu.timing import gpu_us
from jetstream.gpu.detector import GpuDetector
from jetstream.gpu.results import thumbnails_at
from jetstream.vision.detection.detector import DetectorInput

PARTS = ("pyramid", "P-Net", "suppression", "R-Net", "O-Net")


class Step(NamedTuple):
    name: str
    part: str
    run: Callable[[], None]


class Copies(NamedTuple):
    """Microseconds a batch."""

    upload: float
    download: float


def steps_of(detector: GpuDetector, batch: Sequence[DetectorInput]) -> list[Step]:
    """The walk of a batch that was just answered, so that its lists are as long as they really are."""
    for _ in range(2):
        ticket = detector.submit(batch)
        detector.collect(ticket)
    cascade = detector._cascade
    with detector._device.current(), _recorded(cascade) as steps:
        cascade._graphs.enqueue(ticket.capacity)
    return steps


def microseconds(detector: GpuDetector, steps: Sequence[Step]) -> list[float]:
    """What each step adds."""
    device, stream = detector._device, detector._cascade._compute
    until = [0.0]
    with device.current():
        for count in range(1, len(steps) + 1):
            some = steps[:count]
            until.append(gpu_us(device, stream, lambda some=some: [step.run() for step in some]))
    return [after - before for before, after in itertools.pairwise(until)]


def by_part(steps: Sequence[Step], times_us: Sequence[float]) -> dict[str, float]:
    return {part: sum(us for step, us in zip(steps, times_us, strict=True) if step.part == part) for part in PARTS}


def copies(detector: GpuDetector, batch: Sequence[DetectorInput]) -> Copies:
    """The pictures up; the counts, faces and thumbnails down."""
    ticket = detector.submit(batch)
    detector.collect(ticket)
    device, cascade = detector._device, detector._cascade
    slot, memory = cascade._slots[ticket.slot], cascade._memory

    def up() -> None:
        for look, address in zip(batch, ticket.sources, strict=True):
            device.upload(address, look.image, cascade._compute)

    n_bytes = thumbnails_at(cascade._settings.pictures, ticket.capacity.onet) + ticket.plan.thumbnail_bytes

    def down() -> None:
        device.download(slot.answers[:n_bytes], memory.answers, cascade._compute)

    with device.current():
        return Copies(*(gpu_us(device, cascade._compute, work, graph=False) for work in (up, down)))


@contextmanager
def _recorded(cascade: Any) -> Iterator[list[Step]]:
    """What the cascade puts into its stream meanwhile, run as usual."""
    steps: list[Step] = []
    device, nets = cascade._device, {"R-Net": cascade._nets["rnet"], "O-Net": cascade._nets["onet"]}

    def launch(kernel: str, *arguments: Any, **named: Any) -> None:
        before(kernel, *arguments, **named)
        done = {step.name for step in steps}
        crops = "O-Net" if "R-Net" in done else "R-Net"
        steps.append(Step(kernel, _part(kernel) or crops, lambda: before(kernel, *arguments, **named)))

    def asked(name: str, enqueue: Callable[..., None]) -> Callable[..., None]:
        def ask(*arguments: Any) -> None:
            enqueue(*arguments)
            steps.append(Step(name, name, lambda: enqueue(*arguments)))

        return ask

    before = device.launch
    device.launch = launch
    for name, net in nets.items():
        net.enqueue = asked(name, net.enqueue)
    try:
        yield steps
    finally:
        del device.launch
        for net in nets.values():
            del net.enqueue


def _part(kernel: str) -> str:
    """Crops are of the network that comes next."""
    if kernel.startswith("crop"):
        return ""
    if kernel.startswith(("within", "order", "mask", "keep")):
        return "suppression"
    return "P-Net" if "pnet" in kernel else "pyramid"
