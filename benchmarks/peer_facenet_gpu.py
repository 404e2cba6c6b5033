"""facenet-pytorch's MTCNN on a GPU, for comparison: frames from a file in, its times out as one line of JSON.

    python benchmarks/peer_facenet_gpu.py FRAMES.npy [MIN_FACE_PX]     FRAMES (N, H, W, 3) uint8 RGB

Knows nothing of jetstream: it runs in its own environment with torch and facenet-pytorch. Each frame is in host memory,
as after decoding. Prints the number of faces found too, because a detector that finds none is no comparison.
"""

import json
import sys
import time

import numpy as np
import torch
from facenet_pytorch import MTCNN

BATCHES = (1, 16)
ROUNDS = 2


def main() -> None:
    frames = np.load(sys.argv[1])
    min_face_px = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    device = "cuda" if torch.cuda.is_available() else "cpu"
    detector = MTCNN(keep_all=True, min_face_size=min_face_px, device=device)
    faces, times_ms = 0, {}
    for batch in BATCHES:
        batches = [frames[np.arange(first, first + batch) % len(frames)] for first in range(0, len(frames), batch)]
        detect(detector, batches[0])
        times_ms[batch] = []
        for _ in range(ROUNDS):
            for some in batches:
                began_ns = time.perf_counter_ns()
                boxes = detect(detector, some)
                times_ms[batch].append((time.perf_counter_ns() - began_ns) / 1e6)
                faces += sum(0 if found is None else len(found) for found in boxes) if batch == 1 else 0
    print(json.dumps({"device": device, "torch": torch.__version__, "faces": faces // ROUNDS, "ms": times_ms}))


def detect(detector: MTCNN, frames: np.ndarray) -> list:
    """The boxes of each frame, with landmarks found too; the answer is host memory, so all of the work is done."""
    if len(frames) == 1:
        return [detector.detect(frames[0], landmarks=True)[0]]
    return list(detector.detect(frames, landmarks=True)[0])


if __name__ == "__main__":
    main()
