"""The cascade's memory on the GPU: every array of kernels/common.cu's Work, sized for a batch of pictures.

Knows sizes and addresses; no kernel and no network.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.device import Device
from jetstream.gpu.results import TOTALS_BYTES
from jetstream.gpu.structs import BATCH, BUDGET, FACE_FLOATS, FOUND, LEVEL, MASK_WORDS, PICTURE, WORK, PyramidPlan

SLOTS = 2  # batches under way
MOST_KNOWN = BUDGET  # faces a picture that are looked for where they were last
_LEVELS_APIECE = 16  # to begin with


class Capacity(NamedTuple):
    """Sizes of the cascade's arrays: numbers of items and bytes."""

    pictures: int
    levels: int
    cells: int
    picture_bytes: int
    halving_bytes: int
    thumbnail_bytes: int

    def holds(self, plan: PyramidPlan) -> bool:
        """Whether a plan of no more pictures than `pictures` fits."""
        return (
            self.levels >= len(plan.levels)
            and self.cells >= plan.cells
            and self.picture_bytes >= plan.picture_bytes
            and self.halving_bytes >= plan.halving_bytes
            and self.thumbnail_bytes >= plan.thumbnail_bytes
        )

    def grown(self, plan: PyramidPlan) -> "Capacity":
        return Capacity(*(max(have, need) for have, need in zip(self, _needs(plan), strict=True)))


def _needs(plan: PyramidPlan) -> Capacity:
    return Capacity(
        len(plan.pictures),
        len(plan.levels),
        plan.cells,
        plan.picture_bytes,
        plan.halving_bytes,
        plan.thumbnail_bytes,
    )


class CascadeMemory:
    """All arrays for one Capacity. `work` is the kernels' argument."""

    def __init__(
        self, device: Device, room: Capacity, pnet: NDArray[np.float32], spare_rows: int, crop_floats: int
    ) -> None:
        """`spare_rows`: rows of a network's batch beyond the last candidate, whose answers are not read.

        Raises UnavailableError where the GPU has too little memory.
        """
        self.room = room
        self._device = device
        self._addresses: list[int] = []
        self.description = BatchDescription(room)
        self.pixels = [self._new(room.picture_bytes) for _ in range(SLOTS)]  # by slot
        self.halvings = self._new(room.halving_bytes)
        self.described = self._new(self.description.n_bytes)
        rows = room.pictures * BUDGET + spare_rows
        # totals, faces and thumbnails, in one block so that one copy brings them
        self.answers = self._new(room.pictures * TOTALS_BYTES + 4 * FACE_FLOATS * rows + room.thumbnail_bytes)
        self.work = self._work(pnet, rows, crop_floats)

    def address(self, name: str) -> int:
        """The address of an array of Work."""
        return int(self.work[name])

    def free(self) -> None:
        for address in self._addresses:
            self._device.free(address)
        self._addresses.clear()
        self.room = Capacity(0, 0, 0, 0, 0, 0)  # no plan fits any more

    def _new(self, n_bytes: int) -> int:
        try:
            address = self._device.allocate(n_bytes)
        except Exception:
            self.free()
            raise
        self._addresses.append(address)
        return address

    def _work(self, pnet: NDArray[np.float32], rows: int, crop_floats: int) -> NDArray[Any]:
        work = np.zeros((), WORK)
        for name, offset in self.description.offsets.items():
            work[name] = self.described + offset
        pictures, cells = self.room.pictures, self.room.cells
        boxes = pictures * BUDGET
        sizes = {
            "pnet": pnet.nbytes,
            "level_counts": 4 * self.room.levels,
            "cell_entries": 4 * cells,
            "found": FOUND.itemsize * cells,
            "rivals": 4 * cells,
            "states": cells,
            "survivor_counts": 4 * pictures,
            "survivors": 8 * cells,
            "masks": 4 * boxes * MASK_WORDS,
            "places": 4 * boxes,
            "clipped": 4 * pictures,
            "rnet_boxes": 16 * boxes,
            "rnet_counts": 4 * pictures,
            "onet_boxes": 16 * boxes,
            "onet_counts": 4 * pictures,
            "crops": 4 * crop_floats,
            "rnet_logits": 4 * rows,
            "rnet_offsets": 16 * rows,
            "onet_logits": 4 * rows,
            "onet_offsets": 16 * rows,
            "onet_landmarks": 40 * rows,
        }
        for name, n_bytes in sizes.items():
            work[name] = self._new(n_bytes)
        work["totals"], work["faces"] = self.answers, self.answers + TOTALS_BYTES * pictures
        for name in ("levels_list", "proposals", "rnet_list", "onet_list"):
            apiece = {"boxes": 16 * boxes, "offsets": 16 * boxes, "logits": 4 * boxes, "rows": 4 * boxes}
            for part, n_bytes in (*apiece.items(), ("counts", 4 * pictures)):
                work[name][part] = self._new(n_bytes)
        return work


class BatchDescription:
    """Offsets of a batch's structs in the one block that is copied up with it."""

    def __init__(self, room: Capacity) -> None:
        sizes = {
            "batch": BATCH.itemsize,
            "pictures": PICTURE.itemsize * room.pictures,
            "levels": LEVEL.itemsize * room.levels,
            "known": 16 * MOST_KNOWN * room.pictures,  # last, so that its unused end is not copied
        }
        self.offsets: dict[str, int] = {}
        self.n_bytes = 0
        for name, size in sizes.items():
            self.offsets[name] = self.n_bytes
            self.n_bytes += -(-size // 16) * 16

    def view(self, block: NDArray[np.uint8], name: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """A view of `count` structs of a block."""
        first = self.offsets[name]
        return block[first : first + dtype.itemsize * count].view(dtype)


def first_room(pictures: int) -> Capacity:
    return Capacity(pictures, pictures * _LEVELS_APIECE, 1, 1, 1, 1)
