"""Pictures side by side on one sheet, each with lines of text below it.

Knows no file.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.drawing.lettering import Line, cut, drawn, put

SIDE_PX: Final = 176
"""side of the square for a picture"""
TEXT_PX: Final = 16
LINE: Final = Line(TEXT_PX, TEXT_PX + 8, TEXT_PX + 1)
BORDER_PX: Final = 10
PAPER: Final = 250
INK: Final = (30, 30, 30)


class SheetTile(NamedTuple):
    """One picture on a sheet."""

    image: NDArray[np.uint8] | None  # (H, W, 3) BGR; None: an empty square
    lines: tuple[str, ...]


def sheet(tiles: Sequence[SheetTile], columns: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: the tiles from left to right and from top to bottom, `columns` a row. At least one tile."""
    rows = -(-len(tiles) // columns)
    lines = max(len(tile.lines) for tile in tiles)
    across, down = SIDE_PX + BORDER_PX, SIDE_PX + BORDER_PX + lines * LINE.height
    width = BORDER_PX + min(columns, len(tiles)) * across
    canvas = np.full((BORDER_PX + rows * down, width, 3), PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _place(canvas, tile, BORDER_PX + column * across, BORDER_PX + row * down)
    return canvas


def _place(canvas: NDArray[np.uint8], tile: SheetTile, left: int, top: int) -> None:
    square = canvas[top : top + SIDE_PX, left : left + SIDE_PX]
    if tile.image is None:
        square[:] = PAPER - 20
    else:
        small = _fitted(tile.image)
        height, width = small.shape[:2]
        y, x = (SIDE_PX - height) // 2, (SIDE_PX - width) // 2
        square[y : y + height, x : x + width] = small
    for number, text in enumerate(tile.lines):
        begin = top + SIDE_PX + number * LINE.height
        line = canvas[begin : begin + LINE.height, left : left + SIDE_PX]
        if shown := cut(text, TEXT_PX, SIDE_PX):
            put(drawn(shown, LINE), line, 0, INK)


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scaled so that it fills the square in one direction."""
    scale = SIDE_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
    )
