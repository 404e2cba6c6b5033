"""How far faces move with R-Net, O-Net or both in half precision, emulated on the CPU as TensorRT's kernels compute.

    python -m benchmarks.bench_half_precision [--every 10]     pictures are in $JETSTREAM_DATA

The truth is the CPU's cascade in float32, with the thresholds of the preset "fast".
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.gpu.inputs import MODELS, THRESHOLDS
from jetstream import weights
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.detection.detections import Picture
from jetstream.vision.detection.mtcnn import Mtcnn
from tests.support import defaults, face_moves
from tests.support.half_precision import HalfPrecisionRunner

CASES = {"R-Net and O-Net": (1, 2), "R-Net": (1,), "O-Net": (2,)}
LARGEST_PX = 1920


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=10, help="take every n-th picture of the data (default: 10)")
    options = parser.parse_args()
    folder = Path(os.environ.get("JETSTREAM_DATA", ""))
    if not os.environ.get("JETSTREAM_DATA") or not folder.is_dir():
        raise SystemExit("set JETSTREAM_DATA to the folder of the test data")
    reference, cases = cascade(()), {name: cascade(numbers) for name, numbers in CASES.items()}
    moves: dict[str, list[face_moves.FaceMoves]] = {name: [] for name in cases}
    for image in pictures(folder, options.every):
        (wanted,) = reference.detect([image])
        for name, mtcnn in cases.items():
            moves[name].append(face_moves.between(mtcnn.detect([image])[0], wanted))
    print("| in fp16 | faces | only in one | p99 of the side | largest | over 1 % | over 2 % | score |")
    print("| --- " * 8 + "|")
    for name, some in moves.items():
        print(f"| {name} | {line(some)} |")


def cascade(numbers: Sequence[int]) -> Mtcnn:
    """These of P-Net, R-Net and O-Net, counted from 0, in half precision."""
    paths = weights.paths(MODELS)[:3]
    nets = [HalfPrecisionRunner(path) if i in numbers else OnnxRunner(path) for i, path in enumerate(paths)]
    return defaults.mtcnn(*nets, thresholds=THRESHOLDS)


def line(moves: Sequence[face_moves.FaceMoves]) -> str:
    shares, scores, lonely = (np.concatenate(parts) for parts in zip(*moves, strict=True))
    if not len(shares):
        return "0 | | | | | |"
    over = " | ".join(str(int((shares > most).sum())) for most in (0.01, 0.02))
    p99, largest = np.quantile(shares, 0.99), shares.max()
    return f"{len(shares)} | {len(lonely)} | {p99:.2%} | {largest:.2%} | {over} | {scores.max():.4f}"


def pictures(folder: Path, every: int) -> Iterator[Picture]:
    """Photos, of at most LARGEST_PX, and frames of the films, each tenth of them."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".jpg", ".png", ".jpeg")]
    for path in files[::every]:
        image = cv2.imread(str(path))
        if image is not None:
            scale = min(1.0, LARGEST_PX / max(image.shape[:2]))
            yield np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    for path in sorted((folder / "video").rglob("*.mp4")):
        film, number = cv2.VideoCapture(str(path)), 0
        while film.grab():
            if number % (10 * every) == 0:
                yield np.asarray(film.retrieve()[1], np.uint8)
            number += 1
        film.release()


if __name__ == "__main__":
    main()
