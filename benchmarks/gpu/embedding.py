"""The embedder's speed and answers, beside ONNX Runtime's in float32 and PyTorch on the same card."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu import limits, peers, timing
from benchmarks.gpu.inputs import MODELS, Options, config_of, pictures, reference_answers
from jetstream import weights
from jetstream.networks.gpu import open_gpu_embedder
from jetstream.runners.onnxrt import OnnxRunner
from jetstream.vision.recognition import align
from jetstream.vision.recognition.embedder import Embedder
from tests.support import defaults

SURE_SCORE = 0.98
SAME_PERSON = 0.6  # dlib's own threshold
Chips = NDArray[np.uint8]


def speed(options: Options) -> None:
    """Chips from host memory to embeddings there."""
    faces = chips_of(options)
    print(f"{len(faces)} real faces, repeated; batches up to {options.embed_batch}, fp16\n")
    with open_gpu_embedder(config_of(options, "fp16")) as embedder:
        ours = _times(embedder, faces)
        _answers(embedder, faces)
    peer = peers.ask(options, "peer_torch_resnet.py", _repeated(faces, 256)[..., ::-1])
    if peer is not None:
        print(f"\nPyTorch {peer['torch']} on {peer['device']}, random weights, half precision, channels last:\n")
        print("| chips | p50 ms | p99 ms | a second | jetstream |\n| --- | --- | --- | --- | --- |")
        for name, times_ms in peer["ms"].items():
            found, count = timing.spent(times_ms), int(name.split()[0])
            ratio = f"{found.p50 / ours[name]:.2f} times as fast" if name in ours else ""
            print(f"| {name} | {found.p50:.3f} | {found.p99:.3f} | {count / found.p50 * 1e3:,.0f} | {ratio} |")


def chips_of(options: Options) -> Chips:
    """Every sure face of the data, (N, 150, 150, 3) BGR."""
    images = pictures(options.data)
    found = [
        align.chips(image, answer.landmarks[answer.scores > SURE_SCORE], align.DLIB)
        for image, answer in zip(images, reference_answers(images), strict=True)
    ]
    chips = np.concatenate([np.asarray(some, np.uint8).reshape(-1, 150, 150, 3) for some in found])
    if not len(chips):
        raise SystemExit(f"{options.data}: no face there to embed")
    return chips


def _times(embedder: Any, faces: Chips) -> dict[str, float]:
    """Prints; milliseconds of a call, by the number of chips and where they lie."""
    print(
        "| chips | p50 ms | p99 ms | a second | limit ms | over it |\n| --- | --- | --- | --- | --- | --- |", flush=True
    )
    times: dict[str, float] = {}
    for count, number in ((1, 500), (2, 500), (256, 60), (1024, 20)):
        ordinary = _repeated(faces, count)
        pinned = embedder.room(count)
        pinned[:] = ordinary
        for name, chips in (("page-locked", pinned), ("ordinary memory", ordinary)):
            found = timing.calls(lambda chips=chips: embedder.embed(chips), number, 5)
            print(f"| {count}, {name} | {_line(found, count, count)} |", flush=True)
            times[f"{count} chips, {name}"] = found.p50
    one = _repeated(faces, 1)
    found = timing.calls(lambda: embedder.embed(one, mirror=True), 500, 5)
    print(f"| 1 and its mirror image | {_line(found, 1, 2)} |", flush=True)
    return times


def _line(found: timing.Spent, count: int, rows: int) -> str:
    limit = limits.embedder(rows)
    most_ms = limit.alone_ms if rows <= 256 else limit.overlapped_ms
    each = f"{count / found.p50 * 1e3:,.0f}"
    return f"{found.p50:.3f} | {found.p99:.3f} | {each} | {most_ms:.4f} | {found.p50 / most_ms:.1f}"


def _answers(embedder: Embedder, faces: Chips) -> None:
    """Beside ONNX Runtime's in float32: numbers, and who is taken for the same person."""
    with OnnxRunner(weights.paths(MODELS).embedder, threads=8) as runner:
        expected = defaults.embedder(runner).embed(faces, mirror=False)
    found = embedder.embed(faces)
    theirs, ours = (_distances(some) for some in (expected, found))
    pairs = np.triu_indices(len(faces), 1)
    differing = np.count_nonzero((theirs[pairs] < SAME_PERSON) != (ours[pairs] < SAME_PERSON))
    np.fill_diagonal(theirs, np.inf)
    np.fill_diagonal(ours, np.inf)
    nearest = np.count_nonzero(theirs.argmin(axis=1) == ours.argmin(axis=1)) if len(faces) > 1 else 0
    print(
        f"\nAgainst ONNX Runtime in float32, {len(faces)} faces: largest difference of a component"
        f" {np.abs(found - expected).max():.1e}, of an embedding {np.linalg.norm(found - expected, axis=1).max():.1e};"
        f" the same nearest face for {nearest} of {len(faces)}; {differing} of {len(pairs[0])} pairs on the other side"
        f" of {SAME_PERSON}\n",
        flush=True,
    )


def _distances(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)


def _repeated(faces: Chips, count: int) -> Chips:
    return faces[np.arange(count) % len(faces)]
