"""The GPU path as a whole beside other implementations, on real frames in memory. Needs a GPU, TensorRT and engines.

    python -m benchmarks.bench_gpu DATA ENGINES [--only 1,3,5] [--seconds 4] [--peer-python PYTHON] [--peer-path FOLDER]

DATA has video frames (f*.jpg, 1920x1080 for the figures in benchmarks/README.md) and photos (p*.jpg); ENGINES is what
`jetstream build` made. Sections: 1 the cascade's speed, 2 other sizes and their parts, 3 its answers, 4 P-Net
beside TensorRT's, 5 the embedder, 6 the pipeline, 7 ten thousand frames. Each section runs in its own process, so
that a crash or a hang doesn't affect the others. Other implementations run in --peer-python, with --peer-path on their
PYTHONPATH.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu import answers, detecting, embedding, pipelines
from benchmarks.gpu.inputs import Options, free_shared_memory
from jetstream.errors import JetstreamError
from jetstream.gpu import cubin_cache
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import bindings

ASKED = (
    "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,pcie.link.gen.current,pcie.link.width.current"
)


class Section(NamedTuple):
    title: str
    run: Callable[[Options], None]
    timeout_s: float


SECTIONS = {
    1: Section("Cascade, 1080p", detecting.speed, 150),
    2: Section("Cascade, 720p to 4K, and where the time goes", detecting.parts, 90),
    3: Section("The cascade's answers beside the CPU's", answers.against_cpu, 60),
    4: Section("P-Net: our kernel beside TensorRT's engine", detecting.pnet, 60),
    5: Section("Embedding", embedding.speed, 120),
    6: Section("The pipeline", pipelines.run, 260),
    7: Section("10,000 frames", answers.stability, 90),
}


def main() -> None:
    options, only = arguments()
    compile_kernels(options)
    if len(only) == 1:
        run_here(only[0], options)
        return
    print_header(options)
    began_s = time.monotonic()
    for number in only:
        run_apart(number)
    print(f"\n{time.monotonic() - began_s:.0f} s", flush=True)


def arguments() -> tuple[Options, list[int]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("engines", type=Path)
    parser.add_argument("--only", default=",".join(map(str, SECTIONS)), help="sections, such as 1,3,5")
    parser.add_argument("--seconds", type=float, default=4, help="of each run of the pipeline")
    parser.add_argument("--embed-batch", type=int, default=256, help="recognize.batch of the embedder's engine")
    parser.add_argument(
        "--fed", nargs="+", type=_fed, default=[], metavar="CAMERAS:RATE", help="of section 6, these rows"
    )
    parser.add_argument("--peer-python", default="", help="a Python with torch and facenet-pytorch")
    parser.add_argument("--peer-path", type=Path, help="a folder for its PYTHONPATH")
    given = parser.parse_args()
    only = [int(number) for number in given.only.split(",")]
    if unknown := sorted(set(only) - set(SECTIONS)):
        parser.error(f"--only: no section {unknown[0]}; there are {', '.join(map(str, SECTIONS))}")
    options = (given.data.resolve(), given.engines.resolve(), given.seconds, given.embed_batch, given.peer_python)
    return Options(*options, given.peer_path, tuple(given.fed)), only


def _fed(text: str) -> tuple[int, float]:
    cameras, _, rate = text.partition(":")
    return int(cameras), float(rate)


def compile_kernels(options: Options) -> None:
    """Where they aren't there yet. Ends the benchmark where there is no GPU."""
    try:
        bindings.version()
        cubin_cache.ensure(options.engines, cuda_driver.gpu(0).capability)
    except UnavailableError as missing:
        raise SystemExit(f"bench_gpu needs an NVIDIA GPU with TensorRT: {missing}") from None


def print_header(options: Options) -> None:
    """The machine, as it is at the start."""
    cores, shared_gb = os.cpu_count(), free_shared_memory() / 1e9
    print(
        f"{cuda_driver.gpu(0)}; driver's CUDA {cuda_driver.cuda_version()}; {bindings.version()}; "
        f"{cores} processor cores;"
    )
    print(f"{shared_gb:.1f} GB of shared memory free; limits: 52.7 GB/s over PCIe, 67 TFLOP/s FP32, 990 TFLOP/s FP16")
    if shutil.which("nvidia-smi"):
        subprocess.run(["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv"], check=False)
    print(end="", flush=True)


def run_here(number: int, options: Options) -> None:
    section = SECTIONS[number]
    print(f"\n### {number}. {section.title}\n", flush=True)
    began_s = time.monotonic()
    try:
        section.run(options)
    except (UnavailableError, JetstreamError) as error:
        raise SystemExit(f"failed: {error}") from None
    print(f"\n({time.monotonic() - began_s:.0f} s)", flush=True)


def run_apart(number: int) -> None:
    """In a process of its own, ended with all that it started when it takes too long."""
    command = [sys.executable, "-m", "benchmarks.bench_gpu", *_without_only(sys.argv[1:]), "--only", str(number)]
    section = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = section.wait(SECTIONS[number].timeout_s)
    except subprocess.TimeoutExpired:
        print(f"\nsection {number}: not done in {SECTIONS[number].timeout_s:g} s; ended", flush=True)
        code = 0
    if code:
        print(f"\nsection {number}: ended with exit code {code}", flush=True)
    try:
        os.killpg(section.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    section.wait()


def _without_only(words: list[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if not (skip or word.startswith("--only")):
            kept.append(word)
        skip = word == "--only"
    return kept


if __name__ == "__main__":
    main()
