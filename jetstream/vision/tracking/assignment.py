"""Which detection is which followed face, by how much their boxes overlap.

Knows no time and no track. Boxes are plain numbers: for the few faces of a picture, arrays take 20 times as long.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from jetstream.vision.tracking import single_modules
from jetstream.vision.tracking.kalman import Corners

linear_sum_assignment: Final = single_modules.linear_sum_assignment()


def assigned(found: Sequence[Corners], places: Sequence[Corners], least: float) -> list[tuple[int, int]]:
    """The pairs whose overlaps have the largest sum (Kuhn 1955): indices of a found box and of a place, in that order.

    least  of the intersection over union of each pair, 0..1; at 0 it is above 0
    """
    overlaps = _overlaps(found, places, least)
    pairs = [(row, column) for row, column, _ in overlaps]
    if len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs}):
        return pairs  # nobody has a choice
    table = np.zeros((len(found), len(places)), np.float32)
    for row, column, overlap in overlaps:
        table[row, column] = overlap
    rows, columns = linear_sum_assignment(table, maximize=True)
    return [pair for pair in zip(rows.tolist(), columns.tolist(), strict=True) if table[pair] > 0.0]


def iou(one: Corners, other: Corners) -> float:
    """Intersection over union, 0..1; 0 where they don't overlap."""
    x1, y1, x2, y2 = one
    left, top, right, bottom = other
    # not by min and max, whose calls take most of the time
    width = (x2 if x2 < right else right) - (x1 if x1 > left else left)
    height = (y2 if y2 < bottom else bottom) - (y1 if y1 > top else top)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    shared = width * height
    return shared / ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - shared)


def widened(box: Corners, share: float) -> Corners:
    """The box grown around its centre by `share` of its sides (0.2: a fifth longer)."""
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) * share / 2, (y2 - y1) * share / 2
    return x1 - across, y1 - down, x2 + across, y2 + down


def _overlaps(found: Sequence[Corners], places: Sequence[Corners], least: float) -> list[tuple[int, int, float]]:
    """Index of the found box, index of the place and overlap of the pairs that have any, and `least` at least."""
    overlaps = []
    for row, box in enumerate(found):
        x1, y1, x2, y2 = box
        for column, place in enumerate(places):
            if x1 < place[2] and place[0] < x2 and y1 < place[3] and place[1] < y2:  # few do; a call costs more
                overlap = iou(box, place)
                if overlap >= least:
                    overlaps.append((row, column, overlap))
    return overlaps
