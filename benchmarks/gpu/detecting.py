"""The cascade's speed: 1080p beside other implementations, other sizes with their parts, P-Net beside TensorRT's."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.gpu import limits, peers, steps, timing
from benchmarks.gpu.inputs import MODELS, SIZES, Options, as_nv12, config_of, frames, in_ring, looks, on_card, reference
from jetstream.gpu.cascade import BatchTicket
from jetstream.gpu.detector import GpuDetector
from jetstream.gpu.device import CudaDevice
from jetstream.gpu.results import totals_of
from jetstream.networks.gpu import open_device, open_gpu_detector
from jetstream.networks.runner import load_engine_of
from jetstream.runners.tensorrt import bindings
from jetstream.runners.tensorrt.engine_cache import Engine
from jetstream.runners.tensorrt.runner import load_engine
from jetstream.vision.detection.detector import DetectorInput

CALLS = {1: 400, 8: 100}
PRECISIONS = ("fp16", "fp32")


def speed(options: Options) -> None:
    """1080p, from a frame in a ring to boxes and landmarks."""
    images = frames(options.data, SIZES["1080p"])
    print(f"{len(images)} real frames in turn, every one searched, smallest face 40 px\n")
    print("| 1080p | p50 ms | p99 ms | ms a frame | limit | over it | done again |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    ours: dict[int, float] = {}
    nv12 = as_nv12(images)
    with in_ring(images) as ringed, in_ring(nv12) as ringed_nv12:
        for precision in PRECISIONS:
            try:
                with open_gpu_detector(config_of(options, precision)) as detector:
                    times = _rows(detector, ringed, precision, images[0].nbytes)
                    if precision == "fp16":
                        _rows(detector, ringed_nv12, f"{precision}, NV12", nv12[0].nbytes)
                        with on_card(nv12, detector._device) as there:
                            _rows(detector, there, f"{precision}, on the card", 0)
            except Exception as reason:  # the other rows go on
                print(f"| {precision} | failed: {reason!r} | | | | | |", flush=True)
                continue
            ours = ours or times
    for threads in (1, 8):
        with reference(threads) as mtcnn:
            number = iter(range(1 << 30))
            found = timing.calls(lambda: mtcnn.detect([images[next(number) % len(images)]]), len(images), 3)  # noqa: B023
        print(f"| CPU, {threads} threads | {found.p50:.1f} | {found.p99:.1f} | {found.p50:.1f} | | | |", flush=True)
    peer = peers.facenet(options, images)
    for batch, times_ms in peer.items():
        found = timing.spent(times_ms)
        print(f"| facenet-pytorch, batch {batch} | {found.p50:.1f} | {found.p99:.1f} | {found.p50 / batch:.1f} | | | |")
    if peer and ours:
        for (name, theirs), mine in zip(_a_frame(peer).items(), (ours[1], ours[8]), strict=False):
            print(f"\nfacenet-pytorch, {name}: **{theirs / mine:.0f} times** jetstream's {mine:.3f} ms a frame")


def _a_frame(peer: dict[int, list[float]]) -> dict[str, float]:
    """Milliseconds, for one at a time and for batches."""
    return {f"batch {batch}": timing.spent(times_ms).p50 / batch for batch, times_ms in sorted(peer.items())}


def _rows(detector: GpuDetector, images: Sequence[Any], kind: str, n_bytes: int) -> dict[int, float]:
    """Prints; milliseconds a frame one batch at a time, by the size of the batch. `n_bytes` of each are copied up."""
    levels, precision = limits.levels_of(*images[0].shape[:2]), kind.partition(",")[0]
    again = _count_again(detector)
    found = {}
    for batch, count in CALLS.items():
        batches = looks(images, batch)
        one = timing.one_at_a_time(detector, batches, count)
        crops = crops_of(detector, batches)
        limit = limits.cascade(n_bytes, levels, limits.Rows(crops.rnet / batch, crops.onet / batch), precision)
        before = again[0]
        two = timing.two_under_way(detector, batches, count) / batch
        name = f"{kind}, batch {batch}"
        each = one.p50 / batch
        found[batch] = each
        print(
            f"| {name} | {one.p50:.3f} | {one.p99:.3f} | {each:.3f} | {limit.alone_ms:.3f} |"
            f" {each / limit.alone_ms:.1f} | {before} |"
        )
        print(
            f"| {name}, two under way | | | {two:.3f} | {limit.overlapped_ms:.3f} | {two / limit.overlapped_ms:.1f} |"
            f" {again[0] - before} |",
            flush=True,
        )
        again[0] = 0
    return found


def _count_again(detector: GpuDetector) -> list[int]:
    """How many batches had more candidates than their graph took, in a list of one."""
    cascade, count = detector._cascade, [0]
    submit, run = cascade.submit, cascade._run

    def counting(step: int, call: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            count[0] += step
            return call(*arguments)

        return counted

    cascade.submit, cascade._run = (
        counting(-1, submit),
        counting(1, run),
    )  # each submit runs once, and once more for each
    return count


def crops_of(detector: GpuDetector, batches: Sequence[Sequence[DetectorInput]]) -> limits.Rows:
    """R-Net's and O-Net's crops a batch, on average."""
    totals = []
    for batch in batches:
        ticket: BatchTicket = detector.submit(batch)
        detector.collect(ticket)
        block = detector._cascade._slots[ticket.slot].answers
        totals.append(totals_of(block, len(batch))[:, 1:3].sum(axis=0))
    rnet, onet = np.mean(totals, axis=0).tolist()
    return limits.Rows(rnet, onet)


def parts(options: Options) -> None:
    """720p, 1080p and 4K, and where the time goes."""
    print("fp16, one batch at a time. us of the GPU for each part of a typical batch; host: the rest of p50\n")
    head = ("pictures", "p50 ms", "p99 ms", "two under way, ms a frame", "upload", *steps.PARTS, "download", "host")
    print(f"| {' | '.join((*head, 'crops R, O', 'limit ms', 'over it'))} |\n{'| --- ' * (len(head) + 3)}|", flush=True)
    listed = []
    for name, size in SIZES.items():
        for batch in (1, 8):
            try:
                line, walk = _parts_of(options, size, batch)
            except Exception as reason:  # the other rows go on
                print(f"| {name} x {batch} | failed: {reason!r} |", flush=True)
                continue
            print(f"| {name} x {batch} | {line} |", flush=True)
            listed.append(f"- {name} x {batch}: {walk}")
    print("\nEvery step in us, in its order:\n\n" + "\n".join(listed), flush=True)


def _parts_of(options: Options, size: tuple[int, int], batch: int) -> tuple[str, str]:
    images = frames(options.data, size, most=8)
    with in_ring(images) as ringed, open_gpu_detector(config_of(options, "fp16", size=size)) as detector:
        batches = looks(ringed, batch)
        one = timing.one_at_a_time(detector, batches, 200 // batch)
        two = timing.two_under_way(detector, batches, 200 // batch) / batch
        crops = crops_of(detector, batches)
        walk = steps.steps_of(detector, batches[0])
        times_us = steps.microseconds(detector, walk)
        up, down = steps.copies(detector, batches[0])
    shares = steps.by_part(walk, times_us)
    host = one.p50 * 1e3 - up - down - sum(times_us)
    limit = limits.cascade(
        images[0].nbytes, limits.levels_of(*size), limits.Rows(crops.rnet / batch, crops.onet / batch), "fp16"
    )
    line = [f"{one.p50:.3f}", f"{one.p99:.3f}", f"{two:.3f}", f"{up:.0f}"]
    line += [f"{shares[part]:.0f}" for part in steps.PARTS]
    line += [f"{down:.0f}", f"{host:.0f}", f"{crops.rnet:.0f}, {crops.onet:.0f}", f"{limit.alone_ms * batch:.3f}"]
    line.append(f"{one.p50 / limit.alone_ms / batch:.1f}")
    return " | ".join(line), ", ".join(f"{step.name} {us:.1f}" for step, us in zip(walk, times_us, strict=True))


def pnet(options: Options) -> None:
    """All levels of a 1080p frame: the fused kernel beside TensorRT's engine of the network alone."""
    size = SIZES["1080p"]
    levels = limits.levels_of(*size)
    floor_us = 2e6 * sum(limits.macs("pnet", (1, 3, *shape)) for shape in levels) / limits.FP32
    pixels = sum(rows * columns for rows, columns in levels)
    print(f"{len(levels)} levels of a 1080p frame, {pixels:,} px together; {floor_us:.0f} us of FP32 arithmetic\n")
    print("| P-Net | us a frame |\n| --- | --- |", flush=True)
    with in_ring(frames(options.data, size, most=8)) as ringed:
        for batch in (1, 8):
            with open_gpu_detector(config_of(options, "fp16")) as detector:
                walk = steps.steps_of(detector, looks(ringed, batch)[0])
                shares = steps.by_part(walk, steps.microseconds(detector, walk))
            name = f"ours, batch {batch}"
            print(f"| {name}: halvings | {shares['pyramid'] / batch:.1f} |")
            print(f"| {name}: sampling, network, threshold | {shares['P-Net'] / batch:.1f} |", flush=True)
    try:
        _pnet_engine(options, levels)
    except Exception as reason:  # the section goes on
        print(f"| TensorRT | not here: {reason!r} |", flush=True)


def _pnet_engine(options: Options, levels: Sequence[tuple[int, int]]) -> None:
    """Prints. P-Net is computed in fp32 alone.

    The engine takes no picture larger than the first level, so "twice" stands for one with all levels.
    """
    engine = load_engine_of(MODELS / "pnet.onnx", config_of(options, "fp32"))
    cases = {"its levels one after another": list(levels), "twice the first level": [levels[0]] * 2}
    with open_device(config_of(options, "fp32")) as device, device.current():
        net = _Levels(engine, device, levels[0])
        for title, shapes in cases.items():
            net.run(shapes)
            device.finish()
            for graph in (True, False):
                try:
                    us = timing.gpu_us(device, net.stream, lambda shapes=shapes: net.run(shapes), graph=graph)
                except RuntimeError as reason:
                    print(f"| TensorRT, {title} | no graph: {reason} |", flush=True)
                    continue
                print(f"| TensorRT, {title}{', one graph' if graph else ''} | {us:.1f} |", flush=True)
        device.finish()
        net.close()


class _Levels:
    """P-Net's engine, level by level, from GPU memory to GPU memory."""

    def __init__(self, engine: Engine, device: CudaDevice, largest: tuple[int, int]) -> None:
        self._log, self.stream = bindings.logger(), device.stream()
        self._runtime, self._engine = load_engine(engine.plan, self._log)
        self._execution: Any = self._engine.create_execution_context()
        self._execution.set_optimization_profile_async(0, self.stream.handle)
        self._input = engine.inputs[0].name
        for name in (self._input, *(spec.name for spec in engine.outputs)):
            self._execution.set_tensor_address(name, device.allocate(4 * 5 * largest[0] * largest[1]))

    def run(self, shapes: Sequence[tuple[int, int]]) -> None:
        for shape in shapes:
            self._execution.set_input_shape(self._input, (1, 3, *shape))
            if not self._execution.execute_async_v3(self.stream.handle):
                raise RuntimeError(f"TensorRT returned no answer: {self._log.reason}")

    def close(self) -> None:
        """An execution that outlives its engine is a crash."""
        self._execution = None
        self._engine = None
        self._runtime = None
