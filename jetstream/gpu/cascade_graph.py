"""The cascade's kernels and networks as CUDA graphs: one graph for each number of crops that R-Net and O-Net take.

How many pictures a batch has, and of which sizes, is data in memory: a graph serves every batch whose candidates fit.
Knows no picture: it works on the arrays of one `CascadeMemory`, whose addresses are part of the graphs.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from jetstream.gpu.device import Device, Graph
from jetstream.gpu.memory import CascadeMemory
from jetstream.gpu.structs import SearchSettings
from jetstream.vision.detection.mtcnn import ONET_PX, RNET_PX

MOST_GRAPHS = 64
PNET_SHARED_FLOATS = {16: 6740 + 5760 + 5120, 8: 6740 + 2184 + 1920}  # weights, pixels, pooled: kernels/pnet.cu
RESOLVE_THREADS = 512  # 32 * MINE of kernels/nms.cu
MASK_BLOCKS = 128  # a picture


class RefinementNet(Protocol):
    """R-Net, O-Net or the embedder on the GPU."""

    rows: tuple[int, ...]
    """The batch sizes that it was built for, rising."""

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None:
        """Put one batch into the stream. `image` and `outputs` are addresses on the GPU."""
        ...


class CascadeSettings(NamedTuple):
    """The settings of `vision.detection.mtcnn.Mtcnn`, with its thresholds as logits."""

    search: SearchSettings
    min_logits: tuple[float, float, float]
    proposals_iou: float
    pictures: int  # most in one batch


class CropCapacity(NamedTuple):
    """How many crops a graph's R-Net and O-Net take."""

    rnet: int
    onet: int


class CascadeGraphs:
    """The graphs on one memory. Close it before the memory is freed; call all methods inside `device.current()`."""

    def __init__(
        self,
        device: Device,
        memory: CascadeMemory,
        nets: Mapping[str, RefinementNet],
        settings: CascadeSettings,
        stream: Any,
    ) -> None:
        """`nets` are "rnet" and "onet"."""
        self._device, self._memory, self._nets, self._settings = device, memory, nets, settings
        self._stream = stream
        self._graphs: dict[CropCapacity, Graph] = {}

    def capacity_for(self, rnet: int, onet: int) -> CropCapacity:
        """Of the smallest graph that takes so many candidates."""
        counts = {"rnet": rnet, "onet": onet}
        return CropCapacity(**{name: sum(_rounds(count, self._nets[name].rows)) for name, count in counts.items()})

    def launch(self, capacity: CropCapacity) -> None:
        """Put all steps of a described batch into the stream."""
        if capacity not in self._graphs:
            if len(self._graphs) >= MOST_GRAPHS:
                self.close()
            self.enqueue(capacity)  # once without a graph: the first launch of a kernel or an engine may allocate
            self._graphs[capacity] = self._device.graph(self._stream, lambda: self.enqueue(capacity))
        self._graphs[capacity].launch(self._stream)

    def enqueue(self, capacity: CropCapacity) -> None:
        """The steps one by one, without a graph."""
        self._propose()
        self._refine("rnet", capacity.rnet, self._ask_rnet)
        self._refine("onet", capacity.onet, self._ask_onet)

    def close(self) -> None:
        """Wait for the GPU and free the graphs; they are recorded again when they are needed."""
        self._device.finish()
        for graph in self._graphs.values():
            graph.close()
        self._graphs.clear()

    def _propose(self) -> None:
        blocks = self._device.multiprocessors
        tile = self._settings.search.tile_cells
        self._launch("halve", (16 * blocks, 1), 256)
        self._launch("halve_on", (self._settings.pictures, 8), 256)
        self._launch("pnet", (2 * blocks, 1), tile * tile, shared_bytes=4 * PNET_SHARED_FLOATS[tile])
        self._launch("within_levels", (self._memory.room.levels, 1), 256)
        self._launch("order_levels", (self._settings.pictures, 16), 256)
        for step in ("levels", "proposals"):
            self._suppress(step)

    def _refine(self, net: str, count: int, ask: Callable[[int, int], None]) -> None:
        """Crops and answers of `count` candidates, batch by batch, and suppression among those that passed."""
        first = 0
        for rows in _rounds(count, self._nets[net].rows):
            ask(first, rows)
            first += rows
        self._launch(f"order_{net}", (self._settings.pictures, 8), 256)
        self._suppress(net)

    def _ask_rnet(self, first: int, rows: int) -> None:
        self._launch("crops", (rows, 1), 192, RNET_PX, first)
        outputs = {"logit": self._row("rnet_logits", first, 1), "offsets": self._row("rnet_offsets", first, 4)}
        self._nets["rnet"].enqueue(rows, self._memory.address("crops"), outputs, self._stream)

    def _ask_onet(self, first: int, rows: int) -> None:
        self._launch("crops", (rows, 1), 256, ONET_PX, first)
        outputs = {"logit": self._row("onet_logits", first, 1), "offsets": self._row("onet_offsets", first, 4)}
        outputs["landmarks"] = self._row("onet_landmarks", first, 10)
        self._nets["onet"].enqueue(rows, self._memory.address("crops"), outputs, self._stream)

    def _suppress(self, step: str) -> None:
        self._launch(f"mask_{step}", (self._settings.pictures, MASK_BLOCKS), 64)
        self._launch(f"keep_{step}", (self._settings.pictures, 1), RESOLVE_THREADS)

    def _row(self, name: str, first: int, floats: int) -> int:
        return self._memory.address(name) + 4 * floats * first

    def _launch(self, kernel: str, grid: tuple[int, int], threads: int, *numbers: int, shared_bytes: int = 0) -> None:
        arguments = self._memory.work.tobytes() + np.array(numbers, np.int32).tobytes()
        self._device.launch(kernel, grid, threads, shared_bytes, arguments, self._stream)


def _rounds(count: int, rows: tuple[int, ...]) -> list[int]:
    """The batches, of those that a network was built for, that take so many crops."""
    rounds = [rows[-1]] * (count // rows[-1])
    rest = count - sum(rounds)
    return [*rounds, next(size for size in rows if size >= rest)] if rest or not rounds else rounds
