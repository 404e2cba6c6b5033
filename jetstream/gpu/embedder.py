"""The embedder on the GPU: chips are cut there or copied up, and embedded, one graph a batch.

While a batch is computed, the chips of the next are copied up and those of the last are copied down. Knows no frame, no
ring and no backend; `vision.recognition.embedder` defines every answer.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.cascade_graph import RefinementNet
from jetstream.gpu.device import Device, Graph, in_use
from jetstream.gpu.face_crops import FACE, FaceBuffer, GrowingBuffer
from jetstream.gpu.memory import SLOTS
from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import FaceTemplate
from jetstream.vision.recognition.embedder import EmbedderOutput, EmbedderSpec, View, embeddings_of, require_chips

_THREADS = 256
_PIXELS_A_THREAD = 4


class _ChipSlot:
    """Events and memory of one batch under way."""

    def __init__(self, device: Device, rows: int, spec: EmbedderSpec) -> None:
        n_bytes, size = rows * math.prod(spec.template.shape), spec.space.size
        self.cut, self.copied, self.done = device.event(), device.event(), device.event()
        self.chips = device.allocate(n_bytes)
        self.chips_here = device.pinned(n_bytes).reshape(rows, *spec.template.shape)  # on their way up or down
        self.embeddings = device.pinned(4 * rows * size).view(np.float32).reshape(rows, size)


class _ChipBatch(NamedTuple):
    slot: _ChipSlot
    chips: slice
    answers: slice


_Bring: TypeAlias = Callable[[_ChipSlot, slice], None]
"""Puts a slice of a call's chips into a slot's memory on the GPU, before the next work in the compute stream."""


class GpuEmbedder:
    """A `vision.recognition.embedder.Embedder`, for one thread. Close it before its device."""

    reads_in_place = True

    def __init__(self, device: Device, net: RefinementNet, spec: EmbedderSpec) -> None:
        """`net` holds the network of `spec`. The caller closes it and the device.

        Call inside `device.current()`. Raises UnavailableError.
        """
        most = net.rows[-1]
        self.spec = spec
        self._chip_bytes = math.prod(spec.template.shape)
        self._device, self._net = device, net
        self.gpu = device.number
        self._copies, self._compute = device.stream(), device.stream()
        self._graphs: dict[tuple[int, int, int, int], Graph] = {}
        # quality is measured on dlib's chips, whatever the network takes
        self._templates = (spec.template,) if spec.template is align.DLIB else (spec.template, align.DLIB)
        self._faces = FaceBuffer(device, self._copies, self._compute, self._templates)
        self._dlib_chips, self._dlib_chips_here = GrowingBuffer(device), device.pinned(0)
        self._slots = [_ChipSlot(device, most, spec) for _ in range(SLOTS)]
        self._input = device.allocate(4 * most * self._chip_bytes)
        self._output = device.allocate(4 * most * spec.space.size)
        self._room = device.pinned(0)
        device.finish()

    def embed(self, chips: NDArray[np.uint8], *, mirror: bool = False) -> NDArray[np.float32]:
        """As the Embedder contract. Chips in `room` are copied once, others twice. Raises what `look` raises."""
        require_chips(chips, self.spec)
        with in_use(self._device, "recognize"):
            return self._run(len(chips), mirror, lambda slot, part: self._copy_up(slot, chips[part]))

    def room(self, count: int) -> NDArray[np.uint8]:
        """(count, S, S, 3) uint8 of page-locked memory to fill with chips and embed; valid until the next call."""
        n_bytes = count * self._chip_bytes
        if n_bytes > self._room.nbytes:
            with self._device.current():
                self._room = self._device.pinned(n_bytes)
        return self._room[:n_bytes].reshape(count, *self.spec.template.shape)

    def look(self, views: Sequence[View], *, mirror: bool = False) -> list[EmbedderOutput]:
        """As the Embedder contract, from one copy of each picture.

        Raises ModelError where the GPU has too little memory for them, RuntimeError where it failed.
        """
        counts = [len(landmarks) for _, landmarks in views]
        chips = np.empty((sum(counts), *self.spec.template.shape), np.uint8)
        with in_use(self._device, "recognize"):
            faces = self._faces.bring(views) if len(chips) else 0
            dlib_chips = self._cut_for_quality(faces, len(chips)) if len(self._templates) > 1 else chips
            embeddings = self._run(len(chips), mirror, lambda slot, part: self._cut(slot, faces, part), chips)
            dlib_chips = dlib_chips if dlib_chips is chips else dlib_chips.copy()  # `_run` has waited for all work
        parts = [slice(end - count, end) for count, end in zip(counts, np.cumsum(counts).tolist(), strict=True)]
        return [EmbedderOutput(chips[part], embeddings[part], dlib_chips[part]) for part in parts]

    def close(self) -> None:
        """Free the memory."""
        for graph in self._graphs.values():
            graph.close()
        self._faces.free()
        self._dlib_chips.free()
        for address in (self._input, self._output, *(slot.chips for slot in self._slots)):
            self._device.free(address)
        self._slots.clear()

    def _run(
        self, count: int, mirror: bool, bring: _Bring, chips: NDArray[np.uint8] | None = None
    ) -> NDArray[np.float32]:
        """(count, D) float32. `chips`, (count, S, S, 3), is filled where `bring` copies the chips down."""
        copies = 2 if mirror else 1
        answers = np.empty((count * copies, self.spec.space.size), np.float32)
        under_way: deque[_ChipBatch] = deque()
        for number, (first, rows) in enumerate(_batches(len(answers), self._net.rows)):
            if len(under_way) == SLOTS:
                self._finish(under_way.popleft(), answers, chips)
            end = min(first + rows, len(answers))
            slot, part = self._slots[number % SLOTS], slice(first // copies, -(-end // copies))
            bring(slot, part)
            self._graph(number % SLOTS, rows, copies, first % copies).launch(self._compute)
            self._device.record(slot.done, self._compute)
            under_way.append(_ChipBatch(slot, part, slice(first, end)))
        while under_way:
            self._finish(under_way.popleft(), answers, chips)
        outputs = np.asarray((answers[0::2] + answers[1::2]) / 2, np.float32) if mirror else answers
        return embeddings_of(outputs, self.spec)

    def _finish(self, batch: _ChipBatch, answers: NDArray[np.float32], chips: NDArray[np.uint8] | None) -> None:
        slot = batch.slot
        self._device.wait(slot.done)
        answers[batch.answers] = slot.embeddings[: batch.answers.stop - batch.answers.start]
        self._device.wait(slot.copied)
        if chips is not None:
            chips[batch.chips] = slot.chips_here[: batch.chips.stop - batch.chips.start]

    def _copy_up(self, slot: _ChipSlot, chips: NDArray[np.uint8]) -> None:
        if not (chips.flags.c_contiguous and np.may_share_memory(chips, self._room)):
            here = slot.chips_here[: len(chips)]
            np.copyto(here, chips)
            chips = here
        self._device.upload(slot.chips, chips, self._copies)
        self._device.record(slot.copied, self._copies)
        self._device.wait_on_gpu(self._compute, slot.copied)

    def _cut_for_quality(self, faces: int, count: int) -> NDArray[np.uint8]:
        """Start to cut the chips of the second template, and to copy them down: (count, 150, 150, 3), which are there
        once the compute stream's work is done."""
        n_bytes = count * math.prod(align.DLIB.shape)
        if not count:
            return np.empty((0, *align.DLIB.shape), np.uint8)
        if len(self._dlib_chips_here) < n_bytes:
            self._dlib_chips_here = self._device.pinned(n_bytes)
        address = self._dlib_chips.fit(n_bytes)
        self._launch_cut(faces + count * FACE.itemsize, count, address, align.DLIB)
        here = self._dlib_chips_here[:n_bytes]
        self._device.download(here, address, self._compute)
        return here.reshape(count, *align.DLIB.shape)

    def _launch_cut(self, faces: int, count: int, chips: int, template: FaceTemplate) -> None:
        addresses = np.array((faces, chips), np.uint64)  # Cut of kernels/chips.cu
        arguments = addresses.tobytes() + np.int32(template.side_px).tobytes()
        self._device.launch("chips", (count, _blocks(template)), _THREADS, 0, arguments, self._compute)

    def _cut(self, slot: _ChipSlot, faces: int, part: slice) -> None:
        """Cut chips from faces, and copy them down while the network computes."""
        count = part.stop - part.start
        self._launch_cut(faces + part.start * FACE.itemsize, count, slot.chips, self.spec.template)
        self._device.record(slot.cut, self._compute)
        self._device.wait_on_gpu(self._copies, slot.cut)
        self._device.download(slot.chips_here[:count], slot.chips, self._copies)
        self._device.record(slot.copied, self._copies)

    def _graph(self, slot: int, rows: int, copies: int, first: int) -> Graph:
        key = slot, rows, copies, first
        if key not in self._graphs:
            self._enqueue(*key)  # once without a graph: the first launch of a kernel or an engine may allocate
            self._graphs[key] = self._device.graph(self._compute, lambda: self._enqueue(*key))
        return self._graphs[key]

    def _enqueue(self, slot: int, rows: int, copies: int, first: int) -> None:
        """Put a batch of a slot's chips into the stream; rows beyond the last chip compute on older contents."""
        addresses = np.array((self._slots[slot].chips, self._input), np.uint64)  # Input of kernels/chips.cu
        arguments = addresses.tobytes() + np.array((copies, first, self.spec.template.side_px), np.int32).tobytes()
        self._device.launch("planes", (rows, _blocks(self.spec.template)), _THREADS, 0, arguments, self._compute)
        self._net.enqueue(rows, self._input, {"embedding": self._output}, self._compute)
        self._device.download(self._slots[slot].embeddings[:rows], self._output, self._compute)


def _blocks(template: FaceTemplate) -> int:
    """That share a chip."""
    return -(-(template.side_px**2) // (_THREADS * _PIXELS_A_THREAD))


def _batches(count: int, rows: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """First row and size of each batch: the largest as often as it is filled, then the smallest that takes the rest."""
    for first in range(0, count, rows[-1]):
        yield first, next(size for size in rows if size >= min(count - first, rows[-1]))
