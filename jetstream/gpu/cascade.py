"""MTCNN's cascade on the GPU: pictures up, everything else there, faces down.

One graph holds it all: halvings, P-Net, suppression, crops, R-Net, crops, O-Net, suppression. How many pictures there
are, and of which sizes, is data that travels with them, so a graph serves every batch; there is one for each number of
crops that R-Net and O-Net take, in as many rounds of the batches that they were built for. A batch with more candidates
than its graph takes is done again by a larger one.

Two batches may be under way: while one is computed, the pictures of the next are copied up. Knows no frame, no ring and
no backend; `vision.mtcnn` defines every answer.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.device import Device, Graph
from jetstream.gpu.memory import MOST_KNOWN, SLOTS, Capacity, CascadeMemory, first_room
from jetstream.gpu.results import CascadeResult, results, thumbnails_at, totals_of
from jetstream.gpu.structs import BATCH, LEVEL, PICTURE, PyramidPlan, SearchSettings, plan
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.detection.mtcnn import ONET_PX, RNET_PX

MOST_GRAPHS = 64
MOST_PLANS = 256  # sizes and numbers of pictures that are remembered
PNET_SHARED_FLOATS = {16: 6740 + 5760 + 5120, 8: 6740 + 2184 + 1920}  # weights, pixels, pooled: kernels/pnet.cu
RESOLVE_THREADS = 512  # 32 * MINE of kernels/nms.cu
MASK_BLOCKS = 128  # a picture
RECENT = 16  # batches whose candidates decide how many the next graph takes


class RefinementNet(Protocol):
    """R-Net or O-Net on the GPU."""

    rows: tuple[int, ...]
    """The batches it was built for, rising."""

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None:
        """Put one batch into the stream, from and to these addresses."""
        ...


class CascadeSettings(NamedTuple):
    """As `Mtcnn` means them; `thresholds` as logits."""

    search: SearchSettings
    min_logits: tuple[float, float, float]
    proposals_iou: float
    pictures: int  # most in one batch


class CropCapacity(NamedTuple):
    """Crops that a graph's R-Net and O-Net take."""

    rnet: int
    onet: int


class _BatchSlot:
    """What one batch under way needs to itself."""

    def __init__(self, device: Device, memory: CascadeMemory) -> None:
        self.uploaded, self.done = device.event(), device.event()
        self.plan: PyramidPlan | None = None  # whose sizes stand in the description,
        self.rows: CropCapacity | None = None  # and for which graph
        self.described_bytes = 0
        self.description = device.pinned(memory.description.n_bytes)
        self.answers = device.pinned(0)


class BatchTicket:
    """A batch under way."""

    def __init__(self, slot: int, planned: PyramidPlan, rows: CropCapacity, looks: Sequence[DetectorInput]) -> None:
        self.slot, self.plan, self.rows = slot, planned, rows
        self.looks = looks  # their pictures must stay until the copy is done
        self.addresses: list[int] = []  # of the pictures on the GPU
        self.results: list[CascadeResult] | None = None


class Cascade:
    """Answers batches of pictures, at most two at a time. Close it before its device."""

    def __init__(
        self,
        device: Device,
        rnet: RefinementNet,
        onet: RefinementNet,
        pnet: NDArray[np.float32],
        settings: CascadeSettings,
    ) -> None:
        """`pnet` are `gpu.pnet.weights`. Call all methods inside `device.current()`. Raises UnavailableError."""
        self._device, self._rnet, self._onet, self._pnet, self._settings = device, rnet, onet, pnet, settings
        self._upload, self._compute = device.stream(), device.stream()
        self._plans: dict[Any, PyramidPlan] = {}
        self._graphs: dict[CropCapacity, Graph] = {}
        self._under_way: deque[BatchTicket] = deque()
        self._next_slot = 0
        self._needed: deque[CropCapacity] = deque([CropCapacity(1, 1)], maxlen=RECENT)
        self._make(first_room(settings.pictures))

    def reserve(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Room for a batch of pictures of these (rows, columns). Raises UnavailableError: too little GPU memory."""
        self._fit(self._plan_for([(rows, columns, True) for rows, columns in sizes]))
        # all that a first batch meets, while another backend can still take over
        grey = np.full((*(sizes[0] if sizes else (64, 64)), 3), 128, np.uint8)
        self.collect(self.submit([DetectorInput(grey, np.empty((0, 4), np.float32), search=True)]))

    def submit(self, looks: Sequence[DetectorInput]) -> BatchTicket:
        """Begin with at most `settings.pictures` pictures. Raises UnavailableError where there is too little memory."""
        planned = self._plan_for([(*look.image.shape[:2], look.search) for look in looks])
        self._fit(planned)
        number, self._next_slot = self._next_slot, (self._next_slot + 1) % SLOTS
        slot = self._slots[number]
        rows = self._rows_for(*(max(column) for column in zip(*self._needed, strict=True)))
        ticket = BatchTicket(number, planned, rows, looks)
        ticket.addresses = [self._bring(*one) for one in zip(looks, self._places(ticket), strict=True)]
        self._describe(slot, ticket, rows)
        self._device.record(slot.uploaded, self._upload)
        self._device.wait_on_gpu(self._compute, slot.uploaded)
        self._under_way.append(ticket)
        self._run(slot, planned, rows)
        return ticket

    def collect(self, ticket: BatchTicket) -> list[CascadeResult]:
        """Wait for the oldest batch. Raises RuntimeError where the GPU failed."""
        while ticket.results is None:
            self._finish()
        return ticket.results

    def close(self) -> None:
        """Free the memory; answers that are under way are lost."""
        self._drop_graphs()
        self._slots.clear()
        self._memory.free()

    def _finish(self) -> None:
        """The oldest batch under way gets its results."""
        ticket = self._under_way.popleft()
        slot, rows, looks = self._slots[ticket.slot], ticket.rows, ticket.looks
        while True:
            self._device.wait(slot.done)
            needed = CropCapacity(*totals_of(slot.answers, len(looks))[:, 1:3].sum(axis=0).tolist())
            if needed.rnet <= rows.rnet and needed.onet <= rows.onet:
                break
            # its pictures are still in its slot's memory; how many O-Net needs is known when R-Net had room for all
            rows = self._rows_for(max(needed.rnet, rows.rnet), max(needed.onet, rows.onet))
            self._describe(slot, ticket, rows)
            self._run(slot, ticket.plan, rows)
        self._needed.append(needed)
        found = results(slot.answers, ticket.plan.pictures, self._settings.pictures, rows.onet)
        over = [max(len(look.known) - MOST_KNOWN, 0) for look in looks]
        ticket.results = [one._replace(clipped=one.clipped + more) for one, more in zip(found, over, strict=True)]

    def _run(self, slot: _BatchSlot, planned: PyramidPlan, rows: CropCapacity) -> None:
        """Puts the walk of a described batch, and the copy of its answers, into the stream."""
        n_bytes = thumbnails_at(self._settings.pictures, rows.onet) + planned.thumbnail_bytes
        if len(slot.answers) < n_bytes:
            slot.answers = self._device.pinned(n_bytes)
        self._device.upload(self._memory.described, slot.description[: slot.described_bytes], self._compute)
        self._graph(rows).launch(self._compute)
        self._device.download(slot.answers[:n_bytes], self._memory.answers, self._compute)
        self._device.record(slot.done, self._compute)

    def _rows_for(self, rnet: int, onet: int) -> CropCapacity:
        """What the smallest graph takes that takes so many candidates."""
        return CropCapacity(*(sum(_rounds(count, net.rows)) for count, net in ((rnet, self._rnet), (onet, self._onet))))

    def _plan_for(self, sizes: list[tuple[int, int, bool]]) -> PyramidPlan:
        key = tuple(sizes)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            try:
                found = self._plans[key] = plan(sizes, self._settings.search)
            except OverflowError:
                raise UnavailableError("pictures so large are not searched for faces so small on the GPU") from None
        return found

    def _fit(self, planned: PyramidPlan) -> None:
        if len(planned.pictures) > self._settings.pictures:
            raise ValueError(f"{len(planned.pictures)} pictures in a batch of at most {self._settings.pictures}")
        if self._memory.room.holds(planned):
            return
        while self._under_way:  # their pictures lie in the old memory
            self._finish()
        room = self._memory.room.grown(planned)
        self._drop_graphs()
        self._memory.free()
        self._make(room)

    def _make(self, room: Capacity) -> None:
        device = self._device
        most_rows = max(self._rnet.rows[-1], self._onet.rows[-1])
        crop_floats = max(3 * RNET_PX**2 * self._rnet.rows[-1], 3 * ONET_PX**2 * self._onet.rows[-1])
        self._memory = CascadeMemory(device, room, self._pnet, most_rows, crop_floats)
        device.upload(self._memory.address("pnet"), self._pnet, self._compute)
        self._slots = [_BatchSlot(device, self._memory) for _ in range(SLOTS)]
        device.finish()

    def _describe(self, slot: _BatchSlot, ticket: BatchTicket, rows: CropCapacity) -> None:
        """Writes the batch's structs."""
        layout, looks = self._memory.description, ticket.looks
        if slot.plan is not ticket.plan or slot.rows != rows:
            self._describe_sizes(slot, ticket.plan, rows)
            slot.plan, slot.rows = ticket.plan, rows
        pictures = layout.view(slot.description, "pictures", PICTURE, len(looks))
        pictures["pixels"][:, 0] = ticket.addresses
        known = layout.view(slot.description, "known", np.dtype(np.float32), 4 * MOST_KNOWN * len(looks)).reshape(-1, 4)
        first = 0
        for picture, look in zip(pictures, looks, strict=True):
            boxes = look.known[:MOST_KNOWN]
            known[first : first + len(boxes)] = boxes
            picture["first_known"], picture["known"] = first, len(boxes)
            first += len(boxes)
        slot.described_bytes = layout.offsets["known"] + known[:first].nbytes

    def _describe_sizes(self, slot: _BatchSlot, planned: PyramidPlan, rows: CropCapacity) -> None:
        memory, settings = self._memory, self._settings
        layout = memory.description
        layout.view(slot.description, "batch", BATCH, 1)[0] = (
            len(planned.pictures),
            len(planned.levels),
            planned.picture_tiles,
            planned.level_tiles,
            settings.min_logits,
            settings.proposals_iou,
        )
        pictures = layout.view(slot.description, "pictures", PICTURE, len(planned.pictures))
        pictures[:] = planned.pictures
        pictures["pixels"][:, 1:] += np.uint64(memory.halvings)
        pictures["thumbnail"] += np.uint64(memory.answers + thumbnails_at(settings.pictures, rows.onet))
        layout.view(slot.description, "levels", LEVEL, len(planned.levels))[:] = planned.levels

    def _places(self, ticket: BatchTicket) -> list[int]:
        """Where the slot has room for each picture."""
        first = self._memory.pixels[ticket.slot]
        return [first + int(offset) for offset in ticket.plan.pictures["pixels"][:, 0]]

    def _bring(self, look: DetectorInput, place: int) -> int:
        """Where the GPU finds the picture: copied to its place, or, where memory is shared, as it lies."""
        image = np.ascontiguousarray(look.image)
        self._device.pin(image)
        if self._device.reads_host_memory and (address := self._device.address_on_gpu(image)) is not None:
            return address
        self._device.upload(place, image, self._upload)
        return place

    def _graph(self, rows: CropCapacity) -> Graph:
        if rows not in self._graphs:
            if len(self._graphs) >= MOST_GRAPHS:
                self._drop_graphs()
            self._walk(rows)  # once for real: the first launch of a kernel or an engine may allocate
            self._graphs[rows] = self._device.graph(self._compute, lambda: self._walk(rows))
        return self._graphs[rows]

    def _walk(self, rows: CropCapacity) -> None:
        self._propose()
        for net, ask, count in (("rnet", self._ask_rnet, rows.rnet), ("onet", self._ask_onet, rows.onet)):
            first = 0
            for batch in _rounds(count, self._rnet.rows if net == "rnet" else self._onet.rows):
                ask(first, batch)
                first += batch
            self._choose(net)

    def _drop_graphs(self) -> None:
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
            self._launch(f"mask_{step}", (self._settings.pictures, MASK_BLOCKS), 64)
            self._launch(f"keep_{step}", (self._settings.pictures, 1), RESOLVE_THREADS)

    def _ask_rnet(self, first: int, rows: int) -> None:
        self._launch("crops", (rows, 1), 192, RNET_PX, first)
        outputs = {"logit": self._row("rnet_logits", first, 1), "offsets": self._row("rnet_offsets", first, 4)}
        self._rnet.enqueue(rows, self._memory.address("crops"), outputs, self._compute)

    def _ask_onet(self, first: int, rows: int) -> None:
        self._launch("crops", (rows, 1), 256, ONET_PX, first)
        outputs = {"logit": self._row("onet_logits", first, 1), "offsets": self._row("onet_offsets", first, 4)}
        outputs["landmarks"] = self._row("onet_landmarks", first, 10)
        self._onet.enqueue(rows, self._memory.address("crops"), outputs, self._compute)

    def _choose(self, net: str) -> None:
        self._launch(f"order_{net}", (self._settings.pictures, 8), 256)
        self._launch(f"mask_{net}", (self._settings.pictures, MASK_BLOCKS), 64)
        self._launch(f"keep_{net}", (self._settings.pictures, 1), RESOLVE_THREADS)

    def _row(self, name: str, first: int, floats: int) -> int:
        return self._memory.address(name) + 4 * floats * first

    def _launch(self, kernel: str, grid: tuple[int, int], threads: int, *numbers: int, shared_bytes: int = 0) -> None:
        arguments = self._memory.work.tobytes() + np.array(numbers, np.int32).tobytes()
        self._device.launch(kernel, grid, threads, shared_bytes, arguments, self._compute)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _rounds(count: int, rows: tuple[int, ...]) -> list[int]:
    """The batches, of those that a network was built for, that take so many crops."""
    rounds = [rows[-1]] * (count // rows[-1])
    rest = count - sum(rounds)
    return [*rounds, next(size for size in rows if size >= rest)] if rest or not rounds else rounds
