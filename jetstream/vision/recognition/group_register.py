"""Who is in which group of strangers: ids and aliases, sightings that go from one group to another, and corrections.

Knows no embedding and no threshold: where a sighting belongs is for others to say.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.group_changes import GroupEvents, MovedSighting
from jetstream.vision.recognition.group_corrections import GroupCorrections
from jetstream.vision.recognition.group_table import GroupTable


class GroupRegister:
    """Keeps ids, whatever row or slot a sighting or group has in the table."""

    def __init__(self, table: GroupTable, next_group: int) -> None:
        self.table = table
        self.corrections = GroupCorrections()
        self.aliases: dict[int, int] = {}
        self.next_group = next_group

    def living(self, group: int) -> int:
        """The id under which a group, or one that was merged, lives now; itself where it ended or is unknown."""
        while group in self.aliases:
            group = self.aliases[group]
        return group

    def founded(self, changes: GroupEvents) -> int:
        """The slot of a new group."""
        changes.founded = self.next_group
        self.next_group += 1
        return self.table.found(changes.founded)

    def move(self, rows: NDArray[np.intp], slot: int, changes: GroupEvents) -> None:
        """Put sightings of one group into another; the group that they leave empty ends."""
        into = self.table.ids[slot]
        changes.moved += [MovedSighting(self.table.keys[row], self.table.id_at(row), into) for row in rows.tolist()]
        origin = self.table.id_at(int(rows[0]))
        self.table.assign(rows, slot)
        left = self.table.slot_of[origin]
        if not len(self.table.members(left)):
            self.table.drop_group(left)

    def merge(self, group: int, into: int, changes: GroupEvents) -> None:
        """`group` becomes an alias of `into`."""
        table = self.table
        table.assign(table.members(table.slot_of[group]), table.slot_of[into])
        table.drop_group(table.slot_of[group])
        self.aliases[group] = into
        self.corrections.renamed(group, into)
        changes.merged.append((group, into))

    def movable(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of `rows` that aren't pinned and not their group's only one."""
        pinned, keys = self.corrections.pinned, self.table.keys
        several = rows[self.table.counts[self.table.slots[rows]] > 1]
        return several if not pinned else np.array([row for row in several if keys[row] not in pinned], np.intp)

    def is_barred(self, keys: Iterable[str], slot: int) -> bool:
        """Whether one of the sightings `keys`, all new or of one group, may not be with those of a group."""
        corrections, table = self.corrections, self.table
        if corrections.is_empty():
            return False
        return corrections.bars(keys, table.ids[slot], self.group_or_none) or corrections.bars(
            self.keys(table.members(slot)), self._common_group(keys), self.group_or_none
        )

    def group_or_none(self, key: str) -> int | None:
        """The group of a sighting; None for one that isn't there, or has none so far."""
        row = self.table.row_of.get(key)
        return None if row is None or self.table.slots[row] < 0 else self.table.id_at(row)

    def _common_group(self, keys: Iterable[str]) -> int:
        """The group of `keys`, which share one; -1 for a new sighting."""
        return next((group for key in keys if (group := self.group_or_none(key)) is not None), -1)

    def keys(self, rows: NDArray[np.intp]) -> tuple[str, ...]:
        """The keys of some rows."""
        return tuple(self.table.keys[row] for row in rows.tolist())
