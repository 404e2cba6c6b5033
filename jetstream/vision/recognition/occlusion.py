"""How much of a face is covered: its eyes by sunglasses, its lower half by a mask, a hand or a scarf.

Knows no landmarks, no detector and no person: an aligned chip in, numbers from 0 to 1 out.

A network of one hidden layer reads the directions of edges in 8 x 8 cells and the colours of 16 x 16, both relative to
the chip's own contrast and tint, so that light and skin cancel. `occlusion.npz` holds its weights, trained by
`benchmarks/names/make_occlusion.py` on drawn covers; no picture and no person can be got from them.
"""

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

FILE: Final = Path(__file__).with_name("occlusion.npz")
SIDE: Final = 50  # px of the chip that the model sees
CELLS, DIRECTIONS, COLOURS = 8, 6, 16
FEATURES: Final = CELLS**2 * DIRECTIONS + 3 * COLOURS**2
LEAK: Final = 0.1  # slope of the hidden layer's units below 0
_INNER = slice(1, 49)
_CELL_OF = np.arange(48) // (48 // CELLS)
_CELLS = (_CELL_OF[:, None] * CELLS + _CELL_OF[None]) * DIRECTIONS


class Covered(NamedTuple):
    """The model's probabilities."""

    lower: float
    eyes: float


def covered(chip: NDArray[np.uint8]) -> Covered:
    """Whether the lower face and the eyes are covered. `chip` is (150, 150, 3) uint8 BGR, of `align.chip`."""
    weights, bias, out_weights, out_bias = _model()
    hidden = features(shrunk(chip)) @ weights + bias
    logits = np.maximum(hidden, LEAK * hidden) @ out_weights + out_bias
    lower, eyes = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).tolist()
    return Covered(lower, eyes)


def shrunk(chip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.resize(chip, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def features(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(FEATURES,) float32 of a chip at SIDE px."""
    inner = small[_INNER, _INNER]
    edges = _edges(np.sqrt(cv2.cvtColor(inner, cv2.COLOR_BGR2GRAY).astype(np.float32)))
    few = cv2.resize(inner, (COLOURS, COLOURS), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(few, cv2.COLOR_BGR2LAB).astype(np.float32).reshape(-1, 3)
    light, tint = lab[:, 0], lab[:, 1:]
    even = (light - light.mean()) / (light.std() + 4.0)
    neutral = (tint - np.median(tint, axis=0)) / 12.0
    return np.concatenate([edges, even, neutral.ravel()]).astype(np.float32)


def _edges(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of the gradient's lengths by cell and direction, relative to the mean cell's."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=1) for order in ((1, 0), (0, 1)))
    length, angle = cv2.cartToPolar(across, down)
    direction = (angle * (DIRECTIONS / np.pi)).astype(np.intp) % DIRECTIONS
    sums = np.bincount((_CELLS + direction).ravel(), length.ravel(), CELLS**2 * DIRECTIONS)
    return np.asarray(np.sqrt(sums / (sums.sum() / CELLS**2 + 0.5)), np.float32)


@cache
def _model() -> tuple[NDArray[np.float32], ...]:
    with np.load(FILE, allow_pickle=False) as archive:
        return tuple(archive[name].astype(np.float32) for name in ("weights", "bias", "out_weights", "out_bias"))
