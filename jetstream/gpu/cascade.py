"""MTCNN's cascade on the GPU: pictures are copied up, all steps are computed there, faces are copied down.

The steps of a batch are one graph (`cascade_graph`). A batch with more candidates than its graph takes is computed
again by a larger one. Two batches may be under way: while one is computed, the pictures of the next are copied up.

Knows no frame, no ring and no backend; `vision.detection.mtcnn` defines every answer.
"""

import math
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.cascade_graph import CascadeGraphs, CascadeSettings, CropCapacity, RefinementNet
from jetstream.gpu.device import Device
from jetstream.gpu.memory import MOST_KNOWN, SLOTS, Capacity, CascadeMemory, first_room
from jetstream.gpu.planes import planes_on_gpu
from jetstream.gpu.results import CascadeResult, results, thumbnails_at, totals_of
from jetstream.gpu.structs import BATCH, LEVEL, PICTURE, PlannedPicture, PyramidPlan, plan
from jetstream.picture_format import GpuPicture, Nv12Picture, is_nv12
from jetstream.runners.base import UnavailableError
from jetstream.vision.detection.detector import DetectorInput
from jetstream.vision.detection.mtcnn import ONET_PX, RNET_PX

MOST_PLANS = 256  # sizes and numbers of pictures that are remembered
RECENT = 16  # batches whose candidates decide how many the next graph takes


class _BatchSlot:
    """Events and page-locked memory of one batch under way."""

    def __init__(self, device: Device, memory: CascadeMemory) -> None:
        self.uploaded, self.done = device.event(), device.event()
        self.plan: PyramidPlan | None = None  # the one whose sizes are in `description`
        self.places: list[int] = []  # addresses on the GPU, where that one's pictures are copied to
        self.sources: list[int | NDArray[Any]] = []  # those that are in `description`
        self.capacity: CropCapacity | None = None  # of the graph that `description` is for
        self.described_bytes = 0
        self.description = device.pinned(memory.description.n_bytes)
        self.answers = device.pinned(0)


class BatchTicket:
    """A batch under way."""

    def __init__(
        self, slot: int, planned: PyramidPlan, capacity: CropCapacity, inputs: Sequence[DetectorInput]
    ) -> None:
        self.slot, self.plan, self.capacity = slot, planned, capacity
        self.inputs = inputs  # their pictures must stay until the copy is done
        self.sources: list[int | NDArray[Any]] = []  # of the pictures on the GPU: the address of BGR, or NV12's struct
        self.results: list[CascadeResult] | None = None


class Cascade:
    """Finds the faces in batches of pictures, at most two batches at a time. Close it before its device."""

    def __init__(
        self,
        device: Device,
        rnet: RefinementNet,
        onet: RefinementNet,
        pnet: NDArray[np.float32],
        settings: CascadeSettings,
    ) -> None:
        """`pnet` are `gpu.pnet.weights`. Call all methods inside `device.current()`. Raises UnavailableError."""
        self._device, self._pnet, self._settings = device, pnet, settings
        self._nets = {"rnet": rnet, "onet": onet}
        self._upload, self._compute = device.stream(), device.stream()
        self._plans: dict[Any, PyramidPlan] = {}
        self._under_way: deque[BatchTicket] = deque()
        self._next_slot = 0
        self._needed: deque[CropCapacity] = deque([CropCapacity(1, 1)], maxlen=RECENT)
        self._make(first_room(settings.pictures))

    def reserve(self, sizes: Sequence[tuple[int, int]]) -> None:
        """Make room for a batch of pictures of these (rows, columns), in any format.

        Raises UnavailableError: too little memory.
        """
        for nv12 in (False, True):
            self._fit(self._plan_for([PlannedPicture(rows, columns, True, nv12) for rows, columns in sizes]))
        # a whole batch once, so that what fails then fails while another backend can still take over
        grey = np.full((*(sizes[0] if sizes else (64, 64)), 3), 128, np.uint8)
        self.collect(self.submit([DetectorInput(grey, np.empty((0, 4), np.float32), search=True)]))

    def submit(self, inputs: Sequence[DetectorInput]) -> BatchTicket:
        """Start a batch of at most `settings.pictures` pictures. Raises UnavailableError: too little memory."""
        planned = self._plan_for([_planned(one) for one in inputs])
        self._fit(planned)
        number, self._next_slot = self._next_slot, (self._next_slot + 1) % SLOTS
        slot = self._slots[number]
        capacity = self._graphs.capacity_for(*(max(column) for column in zip(*self._needed, strict=True)))
        ticket = BatchTicket(number, planned, capacity, inputs)
        if slot.plan is not planned or slot.capacity != capacity:
            self._describe_sizes(slot, ticket, capacity)
        ticket.sources = [self._copy_up(one, place) for one, place in zip(inputs, slot.places, strict=True)]
        self._describe(slot, ticket)
        self._device.record(slot.uploaded, self._upload)
        self._device.wait_on_gpu(self._compute, slot.uploaded)
        self._under_way.append(ticket)
        self._run(slot, planned, capacity)
        return ticket

    def collect(self, ticket: BatchTicket) -> list[CascadeResult]:
        """Wait for the oldest batch. Raises RuntimeError where the GPU failed."""
        while ticket.results is None:
            self._finish()
        return ticket.results

    def close(self) -> None:
        """Free the memory; answers that are under way are lost."""
        self._graphs.close()
        self._slots.clear()
        self._memory.free()

    def _finish(self) -> None:
        """Wait for the oldest batch under way and set its results."""
        ticket = self._under_way.popleft()
        slot, capacity, inputs = self._slots[ticket.slot], ticket.capacity, ticket.inputs
        while True:
            self._device.wait(slot.done)
            totals = totals_of(slot.answers, len(inputs)).tolist()
            rnet, onet = ([row[column] for row in totals] for column in (1, 2))
            needed = CropCapacity(sum(rnet), sum(onet))
            if needed.rnet <= capacity.rnet and needed.onet <= capacity.onet:
                break
            # its pictures are still in its slot's memory; how many O-Net needs is known when R-Net had room for all
            capacity = self._graphs.capacity_for(max(needed.rnet, capacity.rnet), max(needed.onet, capacity.onet))
            self._describe_sizes(slot, ticket, capacity)
            self._describe(slot, ticket)
            self._run(slot, ticket.plan, capacity)
        self._needed.append(needed)
        found = results(slot.answers, ticket.plan.thumbnails, self._settings.pictures, capacity.onet)
        for number, one in enumerate(inputs):
            if (over := len(one.known) - MOST_KNOWN) > 0:
                found[number] = found[number]._replace(clipped=found[number].clipped + over)
        ticket.results = found

    def _run(self, slot: _BatchSlot, planned: PyramidPlan, capacity: CropCapacity) -> None:
        """Put the graph of a described batch, and the copy of its answers, into the stream."""
        n_bytes = thumbnails_at(self._settings.pictures, capacity.onet) + planned.thumbnail_bytes
        if len(slot.answers) < n_bytes:
            slot.answers = self._device.pinned(n_bytes)
        self._device.upload(self._memory.described, slot.description[: slot.described_bytes], self._compute)
        self._graphs.launch(capacity)
        self._device.download(slot.answers[:n_bytes], self._memory.answers, self._compute)
        self._device.record(slot.done, self._compute)

    def _plan_for(self, pictures: list[PlannedPicture]) -> PyramidPlan:
        key = tuple(pictures)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            try:
                found = self._plans[key] = plan(pictures, self._settings.search)
            except OverflowError:
                raise UnavailableError("the GPU can't search pictures this large for faces this small") from None
        return found

    def _fit(self, planned: PyramidPlan) -> None:
        if len(planned.pictures) > self._settings.pictures:
            raise ValueError(f"{len(planned.pictures)} pictures in a batch of at most {self._settings.pictures}")
        if self._memory.room.holds(planned):
            return
        while self._under_way:  # their pictures are in the old memory
            self._finish()
        room = self._memory.room.grown(planned)
        self._graphs.close()
        self._memory.free()
        self._make(room)

    def _make(self, room: Capacity) -> None:
        device = self._device
        rnet_rows, onet_rows = (self._nets[name].rows[-1] for name in ("rnet", "onet"))
        crop_floats = max(3 * RNET_PX**2 * rnet_rows, 3 * ONET_PX**2 * onet_rows)
        self._memory = CascadeMemory(device, room, self._pnet, max(rnet_rows, onet_rows), crop_floats)
        self._graphs = CascadeGraphs(device, self._memory, self._nets, self._settings, self._compute)
        device.upload(self._memory.address("pnet"), self._pnet, self._compute)
        self._slots = [_BatchSlot(device, self._memory) for _ in range(SLOTS)]
        device.finish()

    def _describe(self, slot: _BatchSlot, ticket: BatchTicket) -> None:
        """Write the batch's addresses and known faces into the slot's description, which has its sizes."""
        layout, inputs = self._memory.description, ticket.inputs
        pictures = layout.view(slot.description, "pictures", PICTURE, len(inputs))
        if not _same(slot.sources, ticket.sources):
            for picture, source in zip(pictures, ticket.sources, strict=True):
                if isinstance(source, int):
                    picture["pixels"][0] = source
                else:
                    picture["planes"] = source
            slot.sources = ticket.sources
        boxes = [one.known[:MOST_KNOWN] for one in inputs]
        counts = [len(some) for some in boxes]
        *firsts, count = accumulate(counts, initial=0)
        pictures["first_known"], pictures["known"] = firsts, counts
        known = layout.view(slot.description, "known", np.dtype(np.float32), 4 * count)
        if boxes:  # a batch may have no picture
            np.concatenate(boxes, out=known.reshape(-1, 4))
        slot.described_bytes = layout.offsets["known"] + known.nbytes

    def _describe_sizes(self, slot: _BatchSlot, ticket: BatchTicket, capacity: CropCapacity) -> None:
        """Write what a batch of this plan has in common with every other one, and say where its pictures go."""
        memory, settings, planned = self._memory, self._settings, ticket.plan
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
        pictures["pixels"] += np.uint64(memory.halvings)  # that of a BGR picture is replaced by its source
        pictures["thumbnail"] += np.uint64(memory.answers + thumbnails_at(settings.pictures, capacity.onet))
        layout.view(slot.description, "levels", LEVEL, len(planned.levels))[:] = planned.levels
        slot.plan, slot.capacity, slot.sources = planned, capacity, []
        slot.places = [
            memory.pixels[ticket.slot] + int(one["planes"]["luma"] if nv12 else one["pixels"][0])
            for one, nv12 in zip(planned.pictures, (is_nv12(one.image) for one in ticket.inputs), strict=True)
        ]

    def _copy_up(self, one: DetectorInput, place: int) -> int | NDArray[Any]:
        """The picture on the GPU: at `place`, where it is copied to, or where it lies if memory is shared."""
        if isinstance(one.image, (Nv12Picture, GpuPicture)):
            return planes_on_gpu(self._device, one.image, place, self._upload)
        image = np.ascontiguousarray(one.image)
        self._device.pin(image)
        if self._device.reads_host_memory and (address := self._device.address_on_gpu(image)) is not None:
            return address
        self._device.upload(place, image, self._upload)
        return place


def _planned(one: DetectorInput) -> PlannedPicture:
    rows, columns = one.image.shape[:2]
    return PlannedPicture(rows, columns, one.search, is_nv12(one.image))


def _same(before: Sequence[int | NDArray[Any]], now: Sequence[int | NDArray[Any]]) -> bool:
    """Whether they are the same sources; structs of the same NV12 planes are one object."""
    return len(before) == len(now) and all(
        a is b or (isinstance(a, int) and a == b) for a, b in zip(before, now, strict=True)
    )


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
