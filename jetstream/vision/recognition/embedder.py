"""Faces to embeddings: a row of numbers a face, near each other for one person and far apart for two.

Knows no frame, no track and no backend.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import PicturePlace, bgr_of
from jetstream.runners.base import Runner, TensorSpec, require
from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import FaceTemplate
from jetstream.vision.recognition.embedding_space import EmbeddingSpace

LENGTH: Final = 0.5
"""Length of an embedding that is compared by cosine: distances are 0 to 1, those of one person as large as dlib's."""


class EmbedderSpec(NamedTuple):
    """What an embedding network takes and gives."""

    name: str
    template: FaceTemplate  # of its chips
    space: EmbeddingSpace
    is_cosine: bool  # only the direction of its output counts: embeddings are scaled to LENGTH

    @property
    def input(self) -> TensorSpec:
        """(N, 3, S, S) float32, BGR planes 0..255. Mean, scale and colour order are part of the network."""
        side_px = self.template.side_px
        return TensorSpec("chip", np.dtype(np.float32), (None, 3, side_px, side_px))

    @property
    def output(self) -> TensorSpec:
        """(N, D) float32."""
        return TensorSpec("embedding", np.dtype(np.float32), (None, self.space.size))


View: TypeAlias = tuple[PicturePlace, NDArray[Any]]
"""A picture, (H, W, 3) uint8 BGR or NV12, and the landmarks of its faces, (N, 5, 2) in its pixels."""


class EmbedderOutput(NamedTuple):
    """The faces of one picture, in the order of its landmarks."""

    chips: NDArray[np.uint8]  # (N, S, S, 3) BGR, as `align.chip` cuts them
    embeddings: NDArray[np.float32]  # (N, D)
    dlib_chips: NDArray[np.uint8]  # (N, 150, 150, 3) BGR, as cut with dlib's template: for `quality.measure`


class Embedder(Protocol):
    """An embedding network. The Euclidean distance of two embeddings is small where they show one person."""

    spec: EmbedderSpec
    reads_in_place: bool
    """`look` reads pictures where they lie in shared memory: check afterwards that they weren't overwritten."""

    @property
    def gpu(self) -> int | None:
        """The number of the GPU on which pictures that `look` takes may lie; None: none."""
        ...

    def embed(self, chips: NDArray[np.uint8], *, mirror: bool) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 BGR to (N, D) float32; N may be 0. An embedding doesn't depend on the other chips.

        mirror  average each face's embedding with that of its mirror image, for twice the time: on glint24_dev 97.4 %
                of known people are named with dlib's network instead of 94.8 %, where 0.5 % of strangers are

        Raises ValueError for any other shape or dtype.
        """
        ...

    def look(self, views: Sequence[View], *, mirror: bool) -> list[EmbedderOutput]:
        """Cut and embed every face of some pictures; an output for each, in their order. `mirror` as in `embed`."""
        ...


class CpuEmbedder:
    """An Embedder that cuts chips on the CPU and runs the network on any runner."""

    reads_in_place = False
    gpu: int | None = None

    def __init__(self, runner: Runner, spec: EmbedderSpec, *, batch: int) -> None:
        """`batch`: most chips in one inference. Raises ModelError unless the runner holds the network of `spec`."""
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, got {batch}")
        require(runner, f"the network {spec.name}", [spec.input], [spec.output])
        self.spec = spec
        self._runner = runner
        self._batch = batch

    def embed(self, chips: NDArray[np.uint8], *, mirror: bool) -> NDArray[np.float32]:
        require_chips(chips, self.spec)
        outputs = self._outputs(chips)
        if mirror:
            outputs = np.asarray((outputs + self._outputs(chips[:, :, ::-1])) / 2, np.float32)
        return embeddings_of(outputs, self.spec)

    def look(self, views: Sequence[View], *, mirror: bool) -> list[EmbedderOutput]:
        outputs = []
        for picture, landmarks in views:
            image = bgr_of(picture)
            chips = align.chips(image, landmarks, self.spec.template)
            is_dlib = self.spec.template is align.DLIB
            dlib_chips = chips if is_dlib else align.chips(image, landmarks, align.DLIB)
            outputs.append(EmbedderOutput(chips, self.embed(chips, mirror=mirror), dlib_chips))
        return outputs

    def _outputs(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = np.empty((len(chips), self.spec.space.size), np.float32)
        for first in range(0, len(chips), self._batch):
            part = slice(first, first + self._batch)
            outputs[part] = self._runner.infer({self.spec.input.name: _planes(chips[part])})[self.spec.output.name]
        return outputs


def embeddings_of(outputs: NDArray[np.float32], spec: EmbedderSpec) -> NDArray[np.float32]:
    """The embeddings (N, D) of a network's outputs (N, D), which for dlib's are the same. NaN stays NaN."""
    if not spec.is_cosine:
        return outputs
    lengths = np.sqrt(np.square(outputs, dtype=np.float32).sum(axis=1, keepdims=True))
    return np.asarray(outputs * (LENGTH / np.maximum(lengths, np.float32(1e-12))), np.float32)


def require_chips(chips: NDArray[np.uint8], spec: EmbedderSpec) -> None:
    """Raise ValueError unless they are (N, S, S, 3) uint8."""
    if chips.dtype != np.uint8 or chips.shape[1:] != spec.template.shape:
        side_px = spec.template.side_px
        raise ValueError(f"chips: expected (N, {side_px}, {side_px}, 3) uint8, got {chips.shape} {chips.dtype}")


def _planes(chips: NDArray[np.uint8]) -> NDArray[Any]:
    """(N, S, S, 3) uint8 to (N, 3, S, S) float32."""
    return np.ascontiguousarray(chips.transpose(0, 3, 1, 2), dtype=np.float32)
