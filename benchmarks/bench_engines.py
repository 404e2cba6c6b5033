"""The four networks on each backend of this machine: build, load and inference times. Needs a GPU with TensorRT.

    python -m benchmarks.bench_engines [FOLDER]     engines are built into FOLDER (a temporary one by default)

All engines are built at once, so each waits for the others on the GPU and takes longer than alone.
Times of `infer` are from numpy to numpy: copy into pinned memory, upload, compute, download, copy.
"""

import argparse
import contextlib
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from jetstream import weights
from jetstream.config.schema import Config, GpuConfig
from jetstream.errors import UserError
from jetstream.networks import backends
from jetstream.networks.runner import recipe_for
from jetstream.runners import cuda_context, cuda_driver
from jetstream.runners.base import Runner, UnavailableError
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.runners.tensorrt import bindings, engine_cache, prepare
from jetstream.runners.tensorrt.engine_cache import EngineRecipe
from jetstream.runners.tensorrt.runner import TensorRTRunner

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = REPOSITORY / "models"
SHAPES = {
    "pnet": [(1, 3, 162, 288), (1, 3, 324, 576)],
    "rnet": [(1, 3, 24, 24), (16, 3, 24, 24), (64, 3, 24, 24)],
    "onet": [(1, 3, 48, 48), (16, 3, 48, 48), (64, 3, 48, 48)],
    "embedder": [(1, 3, 150, 150), (2, 3, 150, 150), (8, 3, 150, 150), (32, 3, 150, 150)],
}
PRECISIONS = ("fp16", "fp32")
BACKENDS = ("tensorrt fp16", "tensorrt fp32", "onnxruntime CUDA", "onnxruntime CPU, 1 thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", help="build this network-precision and print one line; what the parallel runs do")
    options = parser.parse_args()
    try:
        backends.choose(GpuConfig(backend="tensorrt"))
    except UserError as missing:
        raise SystemExit(str(missing)) from None
    folder = options.folder or Path(tempfile.mkdtemp(prefix="jetstream-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    if options.only:
        print(build(folder, *options.only.split("-")))
        return
    print(f"{cuda_driver.gpu(0)}, {bindings.version()}")
    print("\n| engine | built, all at once | MB | largest difference |\n| --- | --- | --- | --- |", flush=True)
    build_all(folder)
    print("\n| network | input | backend | load ms | infer us, p50 | p99 |\n| --- | --- | --- | --- | --- | --- |")
    for line in times(folder):
        print(line, flush=True)


def build_all(folder: Path) -> None:
    """All at once: the clock that chooses kernels is disturbed, and the wait is that of the slowest."""
    command = [sys.executable, "-m", "benchmarks.bench_engines", str(folder), "--only"]
    names = [f"{network}-{precision}" for precision in PRECISIONS for network in SHAPES]
    builds = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in names]
    for one in builds:
        print(one.communicate()[0], end="", flush=True)


def build(folder: Path, network: str, precision: str) -> str:
    recipe = recipe_of(MODELS / f"{network}.onnx", folder, precision)
    (one,) = prepare.ensure([recipe], folder)
    if one.path is None:
        return f"| {network} {precision} | failed: {one.reason} | | |"
    how = f"{one.seconds:.0f} s" if one.seconds else "was there"
    return f"| {network} {precision} | {how} | {one.path.stat().st_size / 1e6:.1f} | {one.error:.1e} |"


def times(folder: Path) -> Iterator[str]:
    missing = set()
    with contextlib.closing(cuda_context.use(0)):  # else the first to load also pays for the start of CUDA
        for path in weights.paths(MODELS):
            for backend in BACKENDS:
                try:
                    yield from times_of(backend, path, folder)
                except UnavailableError as reason:
                    if str(reason) not in missing:
                        yield f"| {path.stem} | | {backend} | not here: {reason} | | |"
                    missing.add(str(reason))


def times_of(backend: str, path: Path, folder: Path) -> Iterator[str]:
    with opened(backend, path, folder):
        pass  # the first time pays for the start of libraries
    began_s = time.perf_counter()
    with opened(backend, path, folder) as runner:
        load_ms = (time.perf_counter() - began_s) * 1e3
        for shape in SHAPES[path.stem]:
            p50, p99 = measure(runner, shape)
            sizes = "x".join(map(str, shape))
            yield f"| {path.stem} | {sizes} | {backend} | {load_ms:.0f} | {p50:,.0f} | {p99:,.0f} |"


def recipe_of(path: Path, folder: Path, precision: str) -> EngineRecipe:
    """In this precision, also where jetstream computes the network in fp32 alone."""
    recipe = recipe_for(path, config_of(folder, precision), bindings.version())
    return msgspec.convert({**msgspec.structs.asdict(recipe), "precision": precision}, EngineRecipe)


def opened(backend: str, path: Path, folder: Path) -> Runner:
    if backend.startswith("tensorrt"):
        recipe = recipe_of(path, folder, backend.split()[1])
        file = folder / recipe.file
        if not file.exists():
            raise UnavailableError(f"{file} isn't built")
        return TensorRTRunner(engine_cache.read(file, recipe), outside=functools.partial(OnnxRunner, path))
    return OnnxRunner(path, device=0 if "CUDA" in backend else None)


def measure(runner: Runner, shape: tuple[int, ...]) -> tuple[float, float]:
    """(p50, p99) of one call, microseconds."""
    feeds = {runner.inputs[0].name: np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)}
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < 0.2:
        runner.infer(feeds)
    spent = []
    while sum(spent) < 0.5e6 or len(spent) < 20:
        began_ns = time.perf_counter_ns()
        runner.infer(feeds)
        spent.append((time.perf_counter_ns() - began_ns) / 1e3)
    return statistics.median(spent), float(np.percentile(spent, 99))


def config_of(folder: Path, precision: str) -> Config:
    return Config(gpu=GpuConfig(backend="tensorrt", precision=precision, engines_dir=str(folder)))


if __name__ == "__main__":
    main()
