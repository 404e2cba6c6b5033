"""The sightings of strangers and their groups as arrays that grow: rows of points, and the middle of each group.

Knows no threshold and decides nothing. Rows and slots are its own numbers, and change when another is removed; keys and
group ids are for others. What a group's middle is depends on its sightings alone, not on how they came.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

_FIRST_ROWS: Final = 64


class GroupTable:
    """Sightings (rows) and groups (slots). A row of weight 0 is in its group without moving the middle."""

    def __init__(self, likeness: StrangerLikeness, size: int) -> None:
        self._likeness = likeness
        self.keys: list[str] = []
        self.row_of: dict[str, int] = {}
        self.ids: list[int] = []
        self.slot_of: dict[int, int] = {}
        self._points = np.zeros((_FIRST_ROWS, size), np.float32)
        self._weights = np.zeros(_FIRST_ROWS, np.float32)
        self._slots = np.full(_FIRST_ROWS, -1, np.intp)
        self._sums = np.zeros((_FIRST_ROWS, size), np.float64)
        self._totals = np.zeros(_FIRST_ROWS, np.float64)
        self._counts = np.zeros(_FIRST_ROWS, np.intp)
        self._middles = np.zeros((_FIRST_ROWS, size), np.float32)
        self._point_squares = np.zeros(_FIRST_ROWS, np.float32)
        self._middle_squares = np.zeros(_FIRST_ROWS, np.float32)

    @property
    def points(self) -> NDArray[np.float32]:
        """(N, D), a row a sighting."""
        return self._points[: len(self.keys)]

    @property
    def weights(self) -> NDArray[np.float32]:
        """(N,) of the sightings; 0 for poor ones."""
        return self._weights[: len(self.keys)]

    @property
    def slots(self) -> NDArray[np.intp]:
        """(N,) the group's slot of each sighting; -1: none so far."""
        return self._slots[: len(self.keys)]

    @property
    def middles(self) -> NDArray[np.float32]:
        """(G, D), a row a group; zeros where all its sightings are poor."""
        return self._middles[: len(self.ids)]

    @property
    def counts(self) -> NDArray[np.intp]:
        """(G,) sightings that are not poor."""
        return self._counts[: len(self.ids)]

    def members(self, slot: int) -> NDArray[np.intp]:
        """Rows of a group's sightings, poor ones too, in the order of the rows."""
        return np.flatnonzero(self.slots == slot)

    def good_members(self, slot: int) -> NDArray[np.intp]:
        """Rows of a group's sightings that are not poor."""
        return np.flatnonzero((self.slots == slot) & (self.weights > 0))

    def id_at(self, row: int) -> int:
        """The group id of a sighting."""
        return self.ids[int(self._slots[row])]

    def put(self, key: str, point: NDArray[np.float32], weight: float) -> int:
        """Add a sighting without a group, or replace the point and weight of one; its row."""
        row = self.row_of.get(key)
        if row is None:
            row = len(self.keys)
            if row == len(self._points):
                self._points, self._weights = _doubled(self._points), _doubled(self._weights)
                self._slots, self._point_squares = _doubled(self._slots), _doubled(self._point_squares)
            self.keys.append(key)
            self.row_of[key] = row
            self._slots[row] = -1
        self._points[row], self._weights[row] = point, weight
        self._point_squares[row] = np.square(point).sum()
        if self._slots[row] >= 0:
            self.refresh(int(self._slots[row]))
        return row

    def found(self, group: int) -> int:
        """Begin the empty group `group`; its slot."""
        slot = len(self.ids)
        if slot == len(self._sums):
            self._sums, self._totals, self._counts, self._middles = (
                _doubled(array) for array in (self._sums, self._totals, self._counts, self._middles)
            )
            self._middle_squares = _doubled(self._middle_squares)
        self.ids.append(group)
        self.slot_of[group] = slot
        self.refresh(slot)
        return slot

    def assign(self, rows: NDArray[np.intp], slot: int) -> None:
        """Put sightings into a group. A group that they leave empty stays until `drop_group`."""
        left = set(self._slots[rows].tolist()) - {slot, -1}
        self._slots[rows] = slot
        for changed in (*sorted(left), slot):
            self.refresh(changed)

    def load(self, groups: NDArray[np.intp]) -> None:
        """Put all sightings into their (N,) groups at once, by id; groups are founded in the order of their ids."""
        for group in np.unique(groups).tolist():
            self.found(group)
        self._slots[: len(groups)] = [self.slot_of[group] for group in groups.tolist()]
        for slot in range(len(self.ids)):
            self.refresh(slot)

    def refresh(self, slot: int) -> None:
        """Compute a group's middle from its sightings."""
        rows = self.good_members(slot)
        weights = self._weights[rows].astype(np.float64)
        self._sums[slot] = weights @ self._points[rows]
        self._totals[slot], self._counts[slot] = weights.sum(), len(rows)
        self._middles[slot] = self._likeness.centres(self._sums[[slot]], self._totals[[slot]])[0] if len(rows) else 0.0
        self._middle_squares[slot] = np.square(self._middles[slot]).sum()

    def to_middles(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(R, G) squared distances of (R, D) points to the middles of all groups."""
        squares = np.square(points).sum(axis=1)[:, None] + self._middle_squares[: len(self.ids)]
        return np.asarray(np.maximum(squares - 2 * (points @ self.middles.T), 0.0), np.float32)

    def to_middle(self, slot: int) -> NDArray[np.float32]:
        """(N,) squared distances of all sightings to the middle of one group."""
        squares = self._point_squares[: len(self.keys)] + self._middle_squares[slot]
        return np.asarray(np.maximum(squares - 2 * (self.points @ self._middles[slot]), 0.0), np.float32)

    def middles_without(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """(R, D) the middle of each sighting's group without the sighting itself; of no use where it is alone."""
        slots, weights = self._slots[rows], self._weights[rows].astype(np.float64)
        rest = self._sums[slots] - weights[:, None] * self._points[rows]
        return self._likeness.centres(rest, self._totals[slots] - weights)

    def drop(self, row: int) -> None:
        """Remove a sighting; the last row takes its number."""
        slot, last = int(self._slots[row]), len(self.keys) - 1
        del self.row_of[self.keys[row]]
        if row != last:
            self.keys[row] = self.keys[last]
            self.row_of[self.keys[row]] = row
            for array in (self._points, self._weights, self._slots, self._point_squares):
                array[row] = array[last]
        self.keys.pop()
        self._slots[last] = -1
        if slot >= 0:
            self.refresh(slot)

    def drop_group(self, slot: int) -> None:
        """Remove an empty group; the last slot takes its number."""
        last = len(self.ids) - 1
        del self.slot_of[self.ids[slot]]
        if slot != last:
            self.ids[slot] = self.ids[last]
            self.slot_of[self.ids[slot]] = slot
            self._slots[self._slots == last] = slot
            for array in (self._sums, self._totals, self._counts, self._middles, self._middle_squares):
                array[slot] = array[last]
        self.ids.pop()


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)])
