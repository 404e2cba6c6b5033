"""Embedding 1, 8 and 32 chips: jetstream on ONNX Runtime and dlib-bin on the same chips, alternating, one thread each.

Then jetstream's two networks: SFace, which needs no mirror image, beside dlib's with it. Needs dlib-bin. Every time is
the median of `--rounds` runs. The tables have wall-clock and CPU times; other programs disturb CPU times less.
Run: `python -m benchmarks.bench_embedding`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import dlib
import numpy as np
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jetstream import weights
from jetstream.runners.onnxrt import OnnxRunner
from tests.support import defaults

MODELS = Path(__file__).resolve().parents[1] / "models"
SIZES = (1, 8, 32)


class Cost(NamedTuple):
    clock_ms: float
    processor_ms: float


def main() -> None:
    rounds = arguments()
    weights.build(MODELS)
    reference = dlib.face_recognition_model_v1(str(weights.published().embedder))
    print("        --------- clock --------   ------- processor ------")
    print("chips   jetstream  dlib   ratio    jetstream  dlib   ratio    difference")
    with OnnxRunner(weights.paths(MODELS).embedder, threads=1) as runner:
        embedder = defaults.embedder(runner)
        for count in SIZES:
            chips = make_chips(count)
            rgb = [np.ascontiguousarray(chip[..., ::-1]) for chip in chips]
            ours, theirs = partial(embedder.embed, chips, mirror=False), partial(reference.compute_face_descriptor, rgb)
            difference = np.abs(ours() - np.array(theirs())).max()
            print(f"{count:5}", *columns(*alternate(rounds, ours, theirs)), f"   {difference:.1e}")
    compare_networks(rounds)


def compare_networks(rounds: int) -> None:
    """Without what surrounds a network, which is the same for both."""
    print("chips       sface dlib's, twice        sface dlib's, twice")
    files = weights.paths(MODELS)
    with OnnxRunner(files.embedder, threads=1) as dlibs, OnnxRunner(files.sface, threads=1) as sface:
        for count in SIZES:
            chips = np.ascontiguousarray(make_chips(count).transpose(0, 3, 1, 2), np.float32)
            mirrored, small = chips[..., ::-1].copy(), chips[..., 19:131, 19:131].copy()
            once = partial(sface.infer, {"chip": small})
            twice = partial(each, partial(dlibs.infer, {"chip": chips}), partial(dlibs.infer, {"chip": mirrored}))
            print(f"{count:5}", *columns(*alternate(rounds, once, twice)))


def each(*works: Callable[[], object]) -> None:
    for work in works:
        work()


def arguments() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    return int(parser.parse_args().rounds)


def make_chips(count: int) -> np.ndarray:
    """(count, 150, 150, 3) uint8 BGR: one public-domain portrait, each cut a pixel further."""
    image = data.astronaut()[..., ::-1]
    return np.stack([image[50 + shift : 200 + shift, 150:300] for shift in range(count)])


def alternate(rounds: int, *works: Callable[[], object]) -> list[Cost]:
    """The median cost of each work, taking turns, so that a busy machine is unfair to none."""
    costs: list[list[Cost]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, costs, strict=True):
            taken.append(measure(work))
    return [Cost(*(statistics.median(column) for column in zip(*taken, strict=True))) for taken in costs]


def measure(work: Callable[[], object]) -> Cost:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Cost((time.perf_counter() - clock) * 1e3, (time.process_time() - processor) * 1e3)


def columns(mine: Cost, peer: Cost) -> list[str]:
    pairs = zip(mine, peer, strict=True)
    return [f"{ours:9.2f} ms {theirs:6.1f} {theirs / ours:5.2f} x " for ours, theirs in pairs]


if __name__ == "__main__":
    main()
