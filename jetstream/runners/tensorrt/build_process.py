"""A process that builds and tests engines, because TensorRT may hang or crash.

Started by `build_pool` as `python -m jetstream.runners.tensorrt.build_process`. Reads its jobs, one JSON list, from
standard input and writes events to standard output, one JSON line each; `build_pool` kills it when it is silent for too
long. With the argument `background` it has a low priority. With `probe` it prints instead which TensorRT and which
bindings of CUDA can be imported.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.child_process import die_with_parent, give_way
from jetstream.errors import ModelError
from jetstream.runners import cuda_bindings, cuda_context
from jetstream.runners.base import UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings, builder, engine_cache
from jetstream.runners.tensorrt.build_protocol import TOLERANCE, BindingsProbe, BuildEvent, BuildJob
from jetstream.runners.tensorrt.engine_cache import EngineRecipe
from jetstream.runners.tensorrt.runner import TensorRTRunner

BLOCK_PX = 8  # side of the test pictures' blocks: a network hardly responds to noise alone


def main() -> None:
    answers = _private_output()
    parent = os.getppid()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    if os.getppid() != parent:
        return
    if sys.argv[1:] == ["probe"]:
        _say(answers, probe())
        return
    if sys.argv[1:] == ["background"]:
        give_way()
    jobs = msgspec.json.decode(sys.stdin.buffer.read(), type=list[BuildJob])
    for number, job in enumerate(jobs):
        for event in _work(number, job):
            _say(answers, event)


def probe() -> BindingsProbe:
    """Import all; a version or a reason for each."""
    found = {}
    try:
        found["tensorrt"] = bindings.version()
    except UnavailableError as reason:
        found["tensorrt_missing"] = str(reason)
    for name in cuda_bindings.ORDER:
        field = name.replace("-", "_")
        if lacks := cuda_bindings.missing(name):
            found[f"{field}_missing"] = lacks
        else:
            found[field] = cuda_bindings.version(name)
    return BindingsProbe(**found)


def self_test(path: Path, job: BuildJob, reference: OnnxRunner) -> float:
    """The largest difference, in TOLERANCE's unit. Raises UnavailableError: too large, or the engine can't run."""
    recipe = job.recipe
    engine = engine_cache.read(path, recipe)
    with TensorRTRunner(engine, device=job.device, bindings=job.bindings, outside=_nothing_outside) as runner:
        differences: dict[str, float] = {}
        largest: dict[str, float] = {}
        for picture in pictures(recipe):
            feeds = {runner.inputs[0].name: picture}
            wanted, given = reference.infer(feeds), runner.infer(feeds)
            for name, values in wanted.items():
                differences[name] = max(differences.get(name, 0.0), _difference(given[name], values))
                largest[name] = max(largest.get(name, 1e-6), float(np.abs(values).max()))
    error = max(differences[name] / largest[name] for name in differences)
    if not error <= TOLERANCE[recipe.precision]:
        raise UnavailableError(
            f"its answers differ from ONNX Runtime's by {error:.2g} of the largest, "
            f"and {TOLERANCE[recipe.precision]:.2g} is allowed in {recipe.precision}"
        )
    return error


def pictures(recipe: EngineRecipe) -> Iterator[NDArray[np.float32]]:
    """Test pictures of each size, the same in every run: blocks of grey with noise, 0..255."""
    random = np.random.default_rng(20)
    sizes = {size: None for profile in recipe.profiles for size in profile}
    for count, planes, rows, columns in sizes:
        blocks = random.uniform(0, 255, (count, planes, rows // BLOCK_PX + 1, columns // BLOCK_PX + 1))
        smooth = blocks.repeat(BLOCK_PX, axis=2).repeat(BLOCK_PX, axis=3)[:, :, :rows, :columns]
        noise = random.normal(0, 8, smooth.shape)
        yield np.clip(smooth + noise, 0, 255).astype(np.float32)


def _difference(given: NDArray[Any], wanted: NDArray[Any]) -> float:
    if given.shape != wanted.shape or not np.isfinite(given).all():
        return float("inf")
    return float(np.abs(given - wanted).max())


def _work(number: int, job: BuildJob) -> Iterator[BuildEvent]:
    path, seconds = Path(job.path), 0.0
    testing = path
    try:
        with OnnxRunner(job.recipe.onnx, threads=2) as reference:
            if job.build:
                testing = engine_cache.new_path(path)
                yield BuildEvent(number, "building")
                seconds = _build(job, testing, reference)
            yield BuildEvent(number, "testing", str(testing))
            error = self_test(testing, job, reference)
        if job.build:
            os.replace(testing, path)
    except ModelError as trouble:
        yield BuildEvent(number, "failed", str(trouble), is_model=True)
    except (UnavailableError, OSError, RuntimeError, MemoryError) as trouble:
        yield BuildEvent(number, "failed", str(trouble) or type(trouble).__name__)
    else:
        yield BuildEvent(number, "done", seconds=seconds, error=error)


def _build(job: BuildJob, path: Path, network: OnnxRunner) -> float:
    began_s = time.monotonic()
    timings = Path(job.timing_cache) if job.timing_cache else None
    recipe = job.recipe
    # TensorRT builds for the GPU whose context is current
    with contextlib.closing(cuda_context.use(job.device, job.bindings)) as gpu, gpu.current():
        plan = builder.build(
            Path(recipe.onnx), precision=recipe.precision, profiles=recipe.profiles, timing_cache=timings
        )
    engine_cache.write(path, recipe, plan, network.inputs, network.outputs)
    return time.monotonic() - began_s


def _nothing_outside() -> OnnxRunner:
    raise UnavailableError("the engine does not accept the sizes it was built for")


def _private_output() -> int:
    """A descriptor for events alone; standard output of libraries is redirected to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def _say(answers: int, struct: msgspec.Struct) -> None:
    os.write(answers, msgspec.json.encode(struct) + b"\n")


if __name__ == "__main__":
    main()
