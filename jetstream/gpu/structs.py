"""The structs of kernels/common.cu as numpy dtypes, field by field, and a batch's picture sizes in them.

Knows no GPU: addresses are numbers.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.picture_format import nv12_bytes
from jetstream.vision.detection.proposals import scales_of
from jetstream.vision.detection.pyramid import halvings_for, level_shape

MAX_HALVINGS = 11
BUDGET = 4096
MASK_WORDS = BUDGET // 32
FACE_FLOATS = 15
TILE_PX = 32
THUMBNAIL_STRIDE = 8

NV12 = np.dtype(
    [
        ("luma", np.uint64),
        ("chroma", np.uint64),
        ("luma_pitch", np.int32),
        ("chroma_pitch", np.int32),
        ("to_bgr", np.int32, (3, 4)),
    ],
    align=True,
)
PICTURE = np.dtype(
    [
        ("pixels", np.uint64, MAX_HALVINGS),
        ("thumbnail", np.uint64),
        ("planes", NV12),
        ("rows", np.int32, MAX_HALVINGS),
        ("columns", np.int32, MAX_HALVINGS),
        ("most_halving", np.int32),
        ("tile_columns", np.int32),
        ("first_tile", np.int32),
        ("first_cell", np.int32),
        ("first_known", np.int32),
        ("known", np.int32),
    ],
    align=True,
)
LEVEL = np.dtype(
    [
        ("scale", np.float64),
        ("step", np.float64),
        ("picture", np.int32),
        ("halving", np.int32),
        ("rows", np.int32),
        ("columns", np.int32),
        ("cell_rows", np.int32),
        ("cell_columns", np.int32),
        ("first_cell", np.int32),
        ("tile_columns", np.int32),
        ("first_tile", np.int32),
    ],
    align=True,
)
BATCH = np.dtype(
    [
        ("pictures", np.int32),
        ("levels", np.int32),
        ("picture_tiles", np.int32),
        ("level_tiles", np.int32),
        ("min_logit", np.float32, 3),
        ("proposals_iou", np.float32),
    ],
    align=True,
)
FOUND = np.dtype([("cell", np.int32), ("logit", np.float32), ("offsets", np.float32, 4)], align=True)

_LISTS = ("levels_list", "proposals", "rnet_list", "onet_list")
_LIST = np.dtype([(name, np.uint64) for name in ("boxes", "offsets", "logits", "rows", "counts")])
WORK = np.dtype(
    [
        *((name, np.uint64) for name in ("batch", "pictures", "levels", "known", "pnet", "level_counts")),
        *((name, np.uint64) for name in ("cell_entries", "found", "rivals", "states", "survivor_counts", "survivors")),
        *((name, np.uint64) for name in ("masks", "places", "clipped")),
        *((name, _LIST) for name in _LISTS),
        *((name, np.uint64) for name in ("rnet_boxes", "rnet_counts", "onet_boxes", "onet_counts", "crops")),
        *((name, np.uint64) for name in ("rnet_logits", "rnet_offsets", "onet_logits", "onet_offsets")),
        *((name, np.uint64) for name in ("onet_landmarks", "totals", "faces")),
    ]
)


class SearchSettings(NamedTuple):
    """Which faces P-Net searches for: the scales of `vision.detection.proposals.scales_of`."""

    largest_scale: float
    smallest_scale: float
    factor: float
    tile_cells: int  # side of the tile that one block of P-Net's kernel computes


class PlannedPicture(NamedTuple):
    """What a plan knows of a picture."""

    rows: int
    columns: int
    search: bool  # the whole picture
    nv12: bool  # it comes as NV12, not BGR


class PlannedThumbnail(NamedTuple):
    """Where a picture's thumbnail is among those of its batch."""

    first: int  # byte
    rows: int
    columns: int


class PyramidPlan(NamedTuple):
    """Pictures of given sizes as structs, all but addresses and known faces."""

    pictures: NDArray[Any]  # PICTURE; `pixels`, `thumbnail` and, of NV12, `planes.luma` hold offsets in their arenas
    levels: NDArray[Any]  # LEVEL
    thumbnails: tuple[PlannedThumbnail, ...]
    picture_tiles: int
    level_tiles: int
    cells: int
    picture_bytes: int
    halving_bytes: int
    thumbnail_bytes: int


def plan(planned: Sequence[PlannedPicture], search: SearchSettings) -> PyramidPlan:
    """The plan of a batch. A picture that comes as NV12 has its halving 0 where the others are."""
    pictures = np.zeros(len(planned), PICTURE)
    levels: list[NDArray[Any]] = []
    thumbnails: list[PlannedThumbnail] = []
    picture_bytes = halving_bytes = thumbnail_bytes = picture_tiles = level_tiles = cells = 0
    for index, (rows, columns, whole, nv12) in enumerate(planned):
        one = pictures[index]
        if nv12:
            one["planes"]["luma"] = picture_bytes
        else:
            one["pixels"][0] = picture_bytes
        picture_bytes += _aligned(nv12_bytes(rows, columns) if nv12 else rows * columns * 3)
        one["thumbnail"] = thumbnail_bytes
        few = PlannedThumbnail(thumbnail_bytes, -(-rows // THUMBNAIL_STRIDE), -(-columns // THUMBNAIL_STRIDE))
        thumbnails.append(few)
        thumbnail_bytes += _aligned(few.rows * few.columns)
        for k in range(MAX_HALVINGS):
            one["rows"][k], one["columns"][k] = rows >> k, columns >> k
            if k or nv12:
                one["pixels"][k] = halving_bytes
                halving_bytes += _aligned((rows >> k) * (columns >> k) * 3)
        one["most_halving"] = min(int(math.log2(max(min(rows, columns), 1))), MAX_HALVINGS - 1)
        one["tile_columns"] = -(-columns // TILE_PX)
        one["first_tile"] = picture_tiles
        picture_tiles += -(-rows // TILE_PX) * int(one["tile_columns"])
        one["first_cell"] = cells
        for level in _levels(rows, columns, index, search) if whole else ():
            level["first_cell"], level["first_tile"] = cells, level_tiles
            cells += int(level["cell_rows"]) * int(level["cell_columns"])
            level_tiles += -(-int(level["cell_rows"]) // search.tile_cells) * int(level["tile_columns"])
            levels.append(level)
    every = np.array(levels, LEVEL) if levels else np.zeros(0, LEVEL)
    bytes_of = picture_bytes, halving_bytes, thumbnail_bytes
    return PyramidPlan(pictures, every, tuple(thumbnails), picture_tiles, level_tiles, cells, *bytes_of)


def _levels(rows: int, columns: int, picture: int, search: SearchSettings) -> list[NDArray[Any]]:
    found = []
    for scale in scales_of(rows, columns, search.largest_scale, search.smallest_scale, search.factor):
        k = halvings_for(scale)
        level = np.zeros((), LEVEL)
        level["scale"], level["step"] = scale, 1 / (scale * 2**k)
        level["picture"], level["halving"] = picture, k
        level["rows"], level["columns"] = level_shape(rows, columns, scale)
        level["cell_rows"], level["cell_columns"] = _cells(level["rows"]), _cells(level["columns"])
        level["tile_columns"] = -(-int(level["cell_columns"]) // search.tile_cells)
        found.append(level)
    return found


def _cells(side_px: Any) -> int:
    """P-Net's output cells for a side in pixels; the last window of its pooling may be half empty."""
    return math.ceil((int(side_px) - 2) / 2) - 4


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // 256) * 256
