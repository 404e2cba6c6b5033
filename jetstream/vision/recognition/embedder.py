"""Faces to embeddings: 128 numbers a face, near each other for one person and far apart for two.

Knows no frame, no track and no backend.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.runners.base import Runner, TensorSpec, require
from jetstream.vision.recognition import align

CHIP_SHAPE = (150, 150, 3)
EMBEDDING_SIZE = 128

_INPUT = TensorSpec("chip", np.dtype(np.float32), (None, 3, *CHIP_SHAPE[:2]))
_OUTPUT = TensorSpec("embedding", np.dtype(np.float32), (None, EMBEDDING_SIZE))


View: TypeAlias = tuple[NDArray[np.uint8], NDArray[Any]]
"""A picture (H, W, 3) uint8 BGR, and the landmarks of its faces, (N, 5, 2) in its pixels."""


class EmbedderOutput(NamedTuple):
    """The faces of one picture, in the order of its landmarks."""

    chips: NDArray[np.uint8]  # (N, 150, 150, 3) BGR, as `align.chip` cuts them
    embeddings: NDArray[np.float32]  # (N, 128)


class Embedder(Protocol):
    """dlib's face recognition network.

    Two embeddings less than 0.6 apart (Euclidean) are probably of one person: dlib's own threshold. They aren't
    normalised.
    """

    reads_in_place: bool
    """`look` reads pictures where they lie in shared memory: check afterwards that they weren't overwritten."""

    def embed(self, chips: NDArray[np.uint8], *, mirror: bool) -> NDArray[np.float32]:
        """(N, 150, 150, 3) uint8 BGR to (N, 128) float32; N may be 0. An embedding doesn't depend on the other chips.

        mirror  average each face's embedding with that of its mirror image, for twice the time: on glint24_dev 97.4 %
                of known people are named instead of 94.8 %, where 0.5 % of strangers are

        Raises ValueError for any other shape or dtype.
        """
        ...

    def look(self, views: Sequence[View], *, mirror: bool) -> list[EmbedderOutput]:
        """Cut and embed every face of some pictures; an output for each, in their order. `mirror` as in `embed`."""
        ...


class CpuEmbedder:
    """An Embedder that cuts chips on the CPU and runs the network on any runner."""

    reads_in_place = False

    def __init__(self, runner: Runner, *, batch: int) -> None:
        """`batch`: most chips in one inference. Raises ModelError unless the runner holds embedder.onnx."""
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, got {batch}")
        require(runner, "embedder.onnx", [_INPUT], [_OUTPUT])
        self._runner = runner
        self._batch = batch

    def embed(self, chips: NDArray[np.uint8], *, mirror: bool) -> NDArray[np.float32]:
        require_chips(chips)
        if mirror:
            as_seen, mirrored = (self.embed(views, mirror=False) for views in (chips, chips[:, :, ::-1]))
            return np.asarray((as_seen + mirrored) / 2, np.float32)
        embeddings = np.empty((len(chips), EMBEDDING_SIZE), np.float32)
        for first in range(0, len(chips), self._batch):
            part = slice(first, first + self._batch)
            embeddings[part] = self._runner.infer({_INPUT.name: _planes(chips[part])})[_OUTPUT.name]
        return embeddings

    def look(self, views: Sequence[View], *, mirror: bool) -> list[EmbedderOutput]:
        cut = [align.chips(image, landmarks) for image, landmarks in views]
        return [EmbedderOutput(chips, self.embed(chips, mirror=mirror)) for chips in cut]


def require_chips(chips: NDArray[np.uint8]) -> None:
    """Raise ValueError unless they are (N, 150, 150, 3) uint8."""
    if chips.dtype != np.uint8 or chips.shape[1:] != CHIP_SHAPE:
        raise ValueError(f"chips: expected (N, 150, 150, 3) uint8, got {chips.shape} {chips.dtype}")


def _planes(chips: NDArray[np.uint8]) -> NDArray[Any]:
    """(N, 150, 150, 3) uint8 to (N, 3, 150, 150) float32. Mean, scale and colour order are part of the network."""
    return np.ascontiguousarray(chips.transpose(0, 3, 1, 2), dtype=np.float32)
