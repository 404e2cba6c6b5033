"""MTCNN's cascade on the GPU: pictures up, everything else there, faces down.

One graph holds it all: halvings, P-Net, suppression, crops, R-Net, crops, O-Net, suppression. How many pictures there
are, and of which sizes, is data that travels with them, so a graph serves every batch; there is one for each number of
crops that R-Net and O-Net were built for. A batch with more candidates than its graph takes is done again, step by
step, with as many rounds of R-Net and O-Net as it needs, and the next one gets a larger graph.

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
from jetstream.gpu.memory import MOST_KNOWN, Memory, Room, first_room
from jetstream.gpu.words import BATCH, FACE_FLOATS, LEVEL, PICTURE, THUMBNAIL_STRIDE, Plan, Search, plan
from jetstream.vision.detector import Look
from jetstream.vision.mtcnn import ONET_PX, RNET_PX, Detections, Picture

SLOTS = 2
MOST_PLANS = 256  # sizes and numbers of pictures that are remembered
PNET_SHARED_FLOATS = {16: 6740 + 5760 + 5120, 8: 6740 + 2184 + 1920}  # weights, pixels, pooled: kernels/pnet.cu
RESOLVE_THREADS = 512


class Net(Protocol):
    """R-Net or O-Net on the GPU."""

    rows: tuple[int, ...]
    """The batches it was built for, rising."""

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None:
        """Put one batch into the stream, from and to these addresses."""
        ...


class Settings(NamedTuple):
    """As `Mtcnn` means them; `thresholds` as logits."""

    search: Search
    min_logits: tuple[float, float, float]
    proposals_iou: float
    pictures: int  # most in one batch


class Rows(NamedTuple):
    """Crops that a graph's R-Net and O-Net take."""

    rnet: int
    onet: int


class Result(NamedTuple):
    """One picture's."""

    faces: Detections
    thumbnail: NDArray[np.uint8]
    clipped: int  # candidates over the budget, whose worst were left out


class _Slot:
    """What one batch under way needs to itself."""

    def __init__(self, device: Device, memory: Memory, face_rows: int) -> None:
        room = memory.room
        self.uploaded, self.done = device.event(), device.event()
        self.described: Plan | None = None  # whose sizes stand in the description
        self.description = device.pinned(memory.description.n_bytes)
        self.totals = device.pinned(16 * room.pictures).view(np.int32).reshape(-1, 4)
        self.faces = device.pinned(4 * FACE_FLOATS * face_rows).view(np.float32).reshape(-1, FACE_FLOATS)
        self.thumbnails = device.pinned(room.thumbnail_bytes)


class Ticket:
    """A batch under way."""

    def __init__(self, slot: int, planned: Plan, rows: Rows, looks: Sequence[Look]) -> None:
        self.slot, self.plan, self.rows = slot, planned, rows
        self.looks = looks  # their pictures must stay until the copy is done
        self.results: list[Result] | None = None


class Cascade:
    """Answers batches of pictures, at most two at a time. Close it before its device."""

    def __init__(self, device: Device, rnet: Net, onet: Net, pnet: NDArray[np.float32], settings: Settings) -> None:
        """`pnet` are `gpu.pnet.weights`. Call inside `device.current()`, like everything here. Raises Unavailable."""
        self._device, self._rnet, self._onet, self._pnet, self._settings = device, rnet, onet, pnet, settings
        self._upload, self._compute = device.stream(), device.stream()
        self._plans: dict[Any, Plan] = {}
        self._graphs: dict[Rows, Graph] = {}
        self._under_way: deque[Ticket] = deque()
        self._next_slot = 0
        self._rows = Rows(rnet.rows[0], onet.rows[0])  # what the next batch will probably need
        self._make(first_room(settings.pictures))

    def reserve(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Room for a batch of pictures of these (rows, columns). Raises Unavailable where the GPU has too little."""
        self._fit(self._plan_for([(rows, columns, True) for rows, columns in sizes]))

    def submit(self, looks: Sequence[Look]) -> Ticket:
        """Begin with at most `settings.pictures` pictures. Raises Unavailable where there is too little memory."""
        planned = self._plan_for([(*look.image.shape[:2], look.search) for look in looks])
        self._fit(planned)
        number, self._next_slot = self._next_slot, (self._next_slot + 1) % SLOTS
        slot, memory = self._slots[number], self._memory
        pictures = self._describe(slot, number, planned, looks)
        for look, picture, planned_one in zip(looks, pictures, planned.pictures, strict=True):
            self._bring(look.image, picture, memory.pixels[number] + int(planned_one["pixels"][0]))
        self._device.record(slot.uploaded, self._upload)
        self._device.wait_on_gpu(self._compute, slot.uploaded)
        self._device.upload(memory.described, slot.description, self._compute)
        self._graph(self._rows).launch(self._compute)
        self._device.download(slot.totals, memory.address("totals"), self._compute)
        self._device.download(slot.faces[: self._rows.onet], memory.address("faces"), self._compute)
        self._device.download(slot.thumbnails[: planned.thumbnail_bytes], memory.thumbnails, self._compute)
        self._device.record(slot.done, self._compute)
        self._under_way.append(Ticket(number, planned, self._rows, looks))
        return self._under_way[-1]

    def collect(self, ticket: Ticket) -> list[Result]:
        """Wait for the oldest batch. Raises RuntimeError where the GPU failed."""
        while ticket.results is None:
            self._finish()
        return ticket.results

    def close(self) -> None:
        """Free the memory; nothing may be under way."""
        self._slots.clear()
        self._memory.free()

    def _finish(self) -> None:
        """The oldest batch under way gets its results."""
        ticket = self._under_way.popleft()
        slot = self._slots[ticket.slot]
        self._device.wait(slot.done)
        totals = slot.totals[: len(ticket.looks)]
        faces = slot.faces
        if totals[:, 1].sum() > ticket.rows.rnet or totals[:, 2].sum() > ticket.rows.onet:
            faces = self._again(ticket, slot)
        needed = totals[:, 1:3].sum(axis=0).tolist()
        self._rows = Rows(_fitting(self._rnet.rows, needed[0]), _fitting(self._onet.rows, needed[1]))
        ticket.results = []
        first = 0
        for (count, _, rows, clipped), picture in zip(totals.tolist(), ticket.plan.pictures, strict=True):
            found = _detections(faces[first : first + count])
            ticket.results.append(Result(found, _thumbnail(slot, picture), clipped))
            first += rows

    def _plan_for(self, sizes: list[tuple[int, int, bool]]) -> Plan:
        key = tuple(sizes)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            found = self._plans[key] = plan(sizes, self._settings.search)
        return found

    def _fit(self, planned: Plan) -> None:
        if len(planned.pictures) > self._settings.pictures:
            raise ValueError(f"{len(planned.pictures)} pictures in a batch of at most {self._settings.pictures}")
        if self._memory.room.holds(planned):
            return
        while self._under_way:  # their pictures lie in the old memory
            self._finish()
        room = self._memory.room.grown(planned)
        self._memory.free()
        self._make(room)

    def _make(self, room: Room) -> None:
        device = self._device
        most_rows = max(self._rnet.rows[-1], self._onet.rows[-1])
        crop_floats = max(3 * RNET_PX**2 * self._rnet.rows[-1], 3 * ONET_PX**2 * self._onet.rows[-1])
        self._memory = Memory(device, room, self._pnet, most_rows, crop_floats)
        self._graphs.clear()
        device.upload(self._memory.address("pnet"), self._pnet, self._compute)
        self._slots = [_Slot(device, self._memory, self._onet.rows[-1]) for _ in range(SLOTS)]
        device.finish()

    def _describe(self, slot: _Slot, number: int, planned: Plan, looks: Sequence[Look]) -> NDArray[Any]:
        """Writes the batch's structs; returns its pictures."""
        layout = self._memory.description
        if slot.described is not planned:
            self._describe_sizes(slot, number, planned)
            slot.described = planned
        pictures = layout.view(slot.description, "pictures", PICTURE, len(looks))
        floats = 4 * MOST_KNOWN * len(looks)
        known = layout.view(slot.description, "known", np.dtype(np.float32), floats).reshape(-1, 4)
        first = 0
        for picture, look in zip(pictures, looks, strict=True):
            boxes = look.known[:MOST_KNOWN]
            known[first : first + len(boxes)] = boxes
            picture["first_known"], picture["known"] = first, len(boxes)
            first += len(boxes)
        return pictures

    def _describe_sizes(self, slot: _Slot, number: int, planned: Plan) -> None:
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
        pictures["pixels"][:, 0] += np.uint64(memory.pixels[number])
        pictures["pixels"][:, 1:] += np.uint64(memory.halvings)
        pictures["thumbnail"] += np.uint64(memory.thumbnails)
        layout.view(slot.description, "levels", LEVEL, len(planned.levels))[:] = planned.levels

    def _bring(self, image: Picture, picture: NDArray[Any], place: int) -> None:
        """The picture to its place on the GPU, or, where they share memory, only its address."""
        self._device.pin(image)
        if self._device.reads_host_memory:
            address = self._device.address_on_gpu(image)
            picture["pixels"][0] = place if address is None else address
            if address is not None:
                return
        self._device.upload(place, np.ascontiguousarray(image), self._upload)

    def _graph(self, rows: Rows) -> Graph:
        if rows not in self._graphs:
            self._walk(rows)  # once for real: the first launch of a kernel or an engine may allocate
            self._graphs[rows] = self._device.graph(self._compute, lambda: self._walk(rows))
        return self._graphs[rows]

    def _walk(self, rows: Rows) -> None:
        self._propose()
        self._ask_rnet(0, rows.rnet)
        self._choose("rnet")
        self._ask_onet(0, rows.onet)
        self._choose("onet")

    def _propose(self) -> None:
        blocks = self._device.multiprocessors
        tile = self._settings.search.tile_cells
        self._launch("halve", (16 * blocks, 1), 256)
        self._launch("halve_on", (self._settings.pictures, 8), 256)
        self._launch("pnet", (2 * blocks, 1), tile * tile, shared_bytes=4 * PNET_SHARED_FLOATS[tile])
        self._launch("within_levels", (self._memory.room.levels, 1), 256)
        self._launch("order_levels", (self._settings.pictures, 16), 256)
        for step in ("levels", "proposals"):
            self._launch(f"mask_{step}", (self._settings.pictures, 32), 128)
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
        self._launch(f"mask_{net}", (self._settings.pictures, 32), 128)
        self._launch(f"keep_{net}", (self._settings.pictures, 1), RESOLVE_THREADS)

    def _row(self, name: str, first: int, floats: int) -> int:
        return self._memory.address(name) + 4 * floats * first

    def _launch(self, kernel: str, grid: tuple[int, int], threads: int, *numbers: int, shared_bytes: int = 0) -> None:
        arguments = self._memory.work.tobytes() + np.array(numbers, np.int32).tobytes()
        self._device.launch(kernel, grid, threads, shared_bytes, arguments, self._compute)

    def _again(self, ticket: Ticket, slot: _Slot) -> NDArray[np.float32]:
        """The same batch, step by step, with all its candidates; its pictures are still in its slot's memory.

        Returns its faces, a picture's from its first row of O-Net; `totals` are right afterwards.
        """
        device, memory = self._device, self._memory
        device.upload(memory.described, slot.description, self._compute)
        self._propose()
        pictures = len(ticket.looks)
        for first, rows in _rounds(self._count("rnet_counts", pictures), self._rnet.rows):
            self._ask_rnet(first, rows)
        self._choose("rnet")
        count = self._count("onet_counts", pictures)
        for first, rows in _rounds(count, self._onet.rows):
            self._ask_onet(first, rows)
        self._choose("onet")
        faces = device.pinned(4 * FACE_FLOATS * max(count, 1)).view(np.float32).reshape(-1, FACE_FLOATS)
        device.download(faces, memory.address("faces"), self._compute)
        device.download(slot.totals, memory.address("totals"), self._compute)
        device.finish()
        return faces

    def _count(self, name: str, pictures: int) -> int:
        counts = self._device.pinned(4 * pictures).view(np.int32)
        self._device.download(counts, self._memory.address(name), self._compute)
        self._device.finish()
        return int(counts.sum())


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _fitting(rows: tuple[int, ...], needed: int) -> int:
    """The smallest batch that takes as many, else the largest."""
    return next((size for size in rows if size >= needed), rows[-1])


def _rounds(count: int, rows: tuple[int, ...]) -> list[tuple[int, int]]:
    """First row and batch of each round."""
    rounds = [(first, rows[-1]) for first in range(0, count - rows[-1] + 1, rows[-1])]
    done = len(rounds) * rows[-1]
    if done < count:
        rounds.append((done, _fitting(rows, count - done)))
    return rounds


def _detections(faces: NDArray[np.float32]) -> Detections:
    scores = 1 / (1 + np.exp(-faces[:, 4]))
    return Detections(faces[:, :4].copy(), np.asarray(scores, np.float32), faces[:, 5:].reshape(-1, 5, 2).copy())


def _thumbnail(slot: _Slot, picture: NDArray[Any]) -> NDArray[np.uint8]:
    rows, columns = (-(-int(picture[side][0]) // THUMBNAIL_STRIDE) for side in ("rows", "columns"))
    first = int(picture["thumbnail"])
    return np.array(slot.thumbnails[first : first + rows * columns].reshape(rows, columns))
