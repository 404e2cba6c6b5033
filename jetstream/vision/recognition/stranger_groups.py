"""Sightings of strangers to groups, one a person, as they come: ids stay, groups merge, part and get better.

Knows no picture, no name, no file and no clock. A sighting is one person at one camera for a while, with a few looks.
How near two must be follows from how rarely two people are as near (`StrangerLikeness`), so that it fits every network:

- A sighting joins the group whose middle it is near to. People seen often are likelier to come again, so the share of
  strangers that may be as near grows with the number of the group's sightings.
- Two groups of several sightings each are compared more strictly: where both are known well, one person's middles lie
  near each other, and a wrong merger costs more than a sighting alone.
- A group is parted where its newest sighting and those like it would not be merged with the others. So a first mistake
  is undone when its person is seen again.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition import group_parting
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.group_changes import GroupChange, GroupEvents, MovedSighting, StoredSighting
from jetstream.vision.recognition.group_register import GroupRegister
from jetstream.vision.recognition.group_rules import MOVED, PAIR_RATE, PARTED, needed_rarity
from jetstream.vision.recognition.group_table import GroupTable
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness

__all__ = ["PAIR_RATE", "GroupChange", "MovedSighting", "StoredSighting", "StrangerGroups"]

# A sighting without a look of this quality is on its own. One person's sightings of .05 to .1 still came together.
LEAST_QUALITY: Final = 0.05
# Looks of less quality weigh as much as this, so that a middle exists.
LEAST_WEIGHT: Final = 0.02
# One change may cause others; after so many the rest waits for the group's next sighting.
_MOST_STEPS: Final = 8
_MOST_RELEASED = 64  # of a group's sightings, the farthest out
_MOST_TRIED = 8  # of the groups that are near enough, where persons forbade the nearest


class StrangerGroups:
    """The groups of all sightings so far. The same calls give the same groups.

    With 10,000 sightings in 2,000 groups an `add` takes 1 ms, one in a hundred 3 to 23. An id is never given twice.
    """

    def __init__(
        self, space: EmbeddingSpace, likeness: StrangerLikeness, *, pair_rate: float = PAIR_RATE, next_group: int = 1
    ) -> None:
        """`likeness` of the network's strangers, in the same `space`; `next_group`: the first new id."""
        if not 0.0 < pair_rate <= 0.01:
            raise ValueError(f"pair_rate must be over 0 and at most 0.01, got {pair_rate}")
        self._size = space.size
        self._likeness = likeness
        self._pair_rate = pair_rate
        self._table = GroupTable(likeness, space.size)
        self._register = GroupRegister(self._table, next_group)

    @classmethod
    def restored(
        cls,
        space: EmbeddingSpace,
        likeness: StrangerLikeness,
        sightings: Iterable[StoredSighting],
        *,
        aliases: Mapping[int, int] | None = None,
        forbidden: Iterable[tuple[str, str | int]] = (),
        pair_rate: float = PAIR_RATE,
        next_group: int = 1,
    ) -> "StrangerGroups":
        """The groups as they were kept: no sighting changes its group.

        aliases     ids that were merged, to the ids that went on
        forbidden   what `forbid` was told
        next_group  a new id at least; those of `sightings` and `aliases` aren't given again in any case

        Raises ValueError for a key that comes twice and for a group that is an alias.
        """
        groups = cls(space, likeness, pair_rate=pair_rate)
        table, register = groups._table, groups._register
        register.aliases = dict(aliases or {})
        ids: list[int] = []
        for stored in sightings:
            if stored.key in table.row_of:
                raise ValueError(f"sighting {stored.key!r} comes twice")
            if stored.group in register.aliases:
                raise ValueError(f"sighting {stored.key!r} is in group {stored.group}, which was merged")
            table.put(stored.key, *groups._template(stored.embeddings, stored.qualities))
            ids.append(stored.group)
            if stored.is_pinned:
                register.corrections.pinned.add(stored.key)
        table.load(np.array(ids, np.intp))
        for key, other in forbidden:
            register.corrections.forbid(key, register.living(other) if isinstance(other, int) else other)
        register.next_group = 1 + max([next_group - 1, *ids, *register.aliases, *register.aliases.values()])
        return groups

    def __len__(self) -> int:
        return len(self._table.keys)

    @property
    def next_group(self) -> int:
        """The id of the next new group."""
        return self._register.next_group

    @property
    def aliases(self) -> dict[int, int]:
        """Each merged id, and the living group that it is now."""
        return {alias: self._register.living(alias) for alias in self._register.aliases}

    def group_of(self, key: str) -> int:
        """The group of a sighting. Raises KeyError for an unknown one."""
        return self._table.id_at(self._table.row_of[key])

    def living(self, group: int) -> int:
        """The id under which a group, or one that was merged, lives now; itself where it ended or is unknown."""
        return self._register.living(group)

    def keys_of(self, group: int) -> tuple[str, ...]:
        """The sightings of a group, or of what it was merged into; none where it ended or is unknown."""
        slot = self._table.slot_of.get(self._register.living(group))
        return () if slot is None else self._register.keys(self._table.members(slot))

    def add(self, key: str, embeddings: NDArray[Any], qualities: NDArray[Any]) -> GroupChange:
        """Group a sighting; one that is there already gets these looks instead of its old ones.

        embeddings  (n, D), n at least 1; looks that aren't finite are passed over
        qualities   (n,), 0..1

        Raises ValueError for another shape, and where no look is finite.
        """
        point, weight = self._template(embeddings, qualities)
        was_known, changes = key in self._table.row_of, GroupEvents()
        row = self._table.put(key, point, weight)
        if not was_known:
            self._place(row, changes)
        elif self._is_astray(row):
            self._register.move(np.array([row]), self._register.founded(changes), changes)
        self._settle(key, changes)
        return self._change(key, changes)

    def remove(self, key: str) -> int | None:
        """Forget a sighting; the group that ended with it, if so. Raises KeyError for an unknown one."""
        row = self._table.row_of[key]
        group = self._table.id_at(row)
        self._table.drop(row)
        self._register.corrections.forget(key)
        slot = self._table.slot_of[group]
        if len(self._table.members(slot)):
            return None
        self._table.drop_group(slot)
        return group

    def pin(self, key: str, group: int) -> GroupChange:
        """A person says that a sighting is of `group`: it goes there and stays.

        A group of which it was the only sighting becomes an alias. Raises KeyError for an unknown sighting or group.
        """
        row, into = self._table.row_of[key], self._register.living(group)
        slot, changes = self._table.slot_of[into], GroupEvents()
        self._register.corrections.pinned.add(key)
        origin = int(self._table.slots[row])
        if origin != slot and len(self._table.members(origin)) == 1:
            self._register.merge(self._table.ids[origin], into, changes)
        elif origin != slot:
            self._register.move(np.array([row]), slot, changes)
        self._settle(key, changes)
        return self._change(key, changes)

    def merge(self, one: int, other: int) -> GroupChange:
        """A person says that two groups are one: the older id goes on, and none of their sightings leaves it.

        The change names the group's first sighting. Raises KeyError for an unknown group.
        """
        into, merged = sorted((self._register.living(one), self._register.living(other)))
        changes = GroupEvents()
        for group in (into, merged):
            if group not in self._table.slot_of:
                raise KeyError(group)
        if into != merged:
            self._register.merge(merged, into, changes)
        keys = self.keys_of(into)
        self._register.corrections.pinned.update(keys)
        return self._change(keys[0], changes)

    def forbid(self, key: str, other: str | int) -> GroupChange | None:
        """A person, or two tracks of one moment, say that a sighting is not `other`: not who another sighting shows, or
        not that group. It may be told before the sightings come.

        Where they are together, `key` leaves (or `other`, where only `key` was pinned); else None.
        """
        if isinstance(other, int):
            other = self._register.living(other)
        self._register.corrections.forbid(key, other)
        group = self._register.group_or_none(key)
        if group is None or group != (other if isinstance(other, int) else self._register.group_or_none(other)):
            return None
        pinned, leaving = self._register.corrections.pinned, key
        if isinstance(other, str) and key in pinned and other not in pinned:
            leaving = other
        pinned.discard(leaving)
        changes = GroupEvents()
        self._register.move(np.array([self._table.row_of[leaving]]), self._register.founded(changes), changes)
        self._settle(leaving, changes)
        return self._change(leaving, changes)

    def _template(self, embeddings: NDArray[Any], qualities: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
        """The point (D,) of a sighting and its weight; 0 where all looks are poor."""
        looks, worth = np.asarray(embeddings, np.float32), np.asarray(qualities, np.float64)
        if looks.ndim != 2 or looks.shape[1] != self._size or worth.shape != (len(looks),):
            raise ValueError(f"looks: expected (n, {self._size}) and (n,), got {looks.shape} and {worth.shape}")
        finite = np.isfinite(looks).all(axis=1) & np.isfinite(worth)
        if not finite.any():
            raise ValueError("looks: at least one must be finite")
        looks, worth = looks[finite], worth[finite]
        weights = np.maximum(worth, LEAST_WEIGHT)
        (point,) = self._likeness.place(np.average(looks, axis=0, weights=weights)[None])
        return point, float(weights.sum()) if worth.max() >= LEAST_QUALITY else 0.0

    def _place(self, row: int, changes: GroupEvents) -> None:
        """Put a new sighting into the group that it is nearest to, or into one of its own."""
        slot = None
        if self._table.weights[row] > 0:
            excess = self._excess(self._table.points[[row]], 1)[0]
            slot = self._best(excess, self._table.keys[row : row + 1])
        self._table.assign(np.array([row]), self._register.founded(changes) if slot is None else slot)

    def _settle(self, key: str, changes: GroupEvents) -> None:
        """What follows for other groups and sightings from the change of this sighting's group."""
        for _ in range(_MOST_STEPS):
            row = self._table.row_of[key]
            slot = int(self._table.slots[row])
            if not self._table.counts[slot]:
                return
            if not (self._merged(slot, changes) or self._attracted(slot, changes) or self._released(slot, changes)):
                break
        self._part(self._table.row_of[key], changes)

    def _merged(self, slot: int, changes: GroupEvents) -> bool:
        """Merge a group with the one that proves to be the same person."""
        table = self._table
        excess = self._excess(table.middles[[slot]], int(table.counts[slot]))[0]
        excess[slot] = -math.inf
        keys = self._register.keys(table.members(slot))
        if not self._register.corrections.pinned.isdisjoint(keys):  # whom a person put into two groups isn't merged
            for other in np.flatnonzero(excess >= 0).tolist():
                if not self._register.corrections.pinned.isdisjoint(self._register.keys(table.members(other))):
                    excess[other] = -math.inf
        other = self._best(excess, keys)
        if other is None:
            return False
        into, merged = sorted((table.ids[slot], table.ids[other]))
        self._register.merge(merged, into, changes)
        return True

    def _attracted(self, slot: int, changes: GroupEvents) -> bool:
        """Move the sighting of another group that lies most clearly in this one."""
        table = self._table
        squared = table.to_middle(slot)
        count = table.counts[[slot]]
        near = (self._likeness.rarity(squared) >= self._needed(1, count)[0]) & (table.weights > 0)
        rows = self._register.movable(np.flatnonzero(near & (table.slots != slot)))
        gain = self._likeness.rarity(squared[rows]) - self._own_rarity(rows)
        for place in np.argsort(-gain, kind="stable").tolist():
            if gain[place] <= MOVED:
                return False
            if not self._register.is_barred((table.keys[rows[place]],), slot):
                self._register.move(rows[[place]], slot, changes)
                return True
        return False

    def _released(self, slot: int, changes: GroupEvents) -> bool:
        """Move the sighting of this group that lies most clearly in another."""
        table = self._table
        rows = self._register.movable(table.good_members(slot))
        far = table.to_middle(slot)[rows]
        rows = rows[np.argsort(-far, kind="stable")[:_MOST_RELEASED]]
        if not len(rows):
            return False
        excess = self._excess(table.points[rows], 1)
        excess[:, slot] = -math.inf
        best = excess.argmax(axis=1)
        squared = np.square(table.points[rows] - table.middles[best]).sum(axis=1)
        gain = self._likeness.rarity(squared) - self._own_rarity(rows)
        gain[excess[np.arange(len(rows)), best] < 0] = -math.inf
        for place in np.argsort(-gain, kind="stable").tolist():
            if gain[place] <= MOVED:
                return False
            if not self._register.is_barred((table.keys[rows[place]],), int(best[place])):
                self._register.move(rows[[place]], int(best[place]), changes)
                return True
        return False

    def _part(self, row: int, changes: GroupEvents) -> None:
        """Part a group where this sighting and those like it would not be merged with the others."""
        table = self._table
        slot = int(table.slots[row])
        rows = table.good_members(slot)
        if len(rows) < 3 or row not in rows:
            return
        points, weights = table.points[rows], table.weights[rows].astype(np.float64)
        is_part = group_parting.side_of(points, weights, int(np.flatnonzero(rows == row)[0]), self._likeness)
        counts = int(is_part.sum()), int((~is_part).sum())
        if counts[0] < 2 or not counts[1]:
            return
        sides = (is_part, ~is_part)
        first, rest = (group_parting.middle(points[side], weights[side], self._likeness) for side in sides)
        rarity = float(self._likeness.rarity(np.square(first - rest).sum()))
        if rarity >= float(self._needed(counts[0], np.array(counts[1:]))[0]) - PARTED:
            return
        parts = sorted((rows[is_part], rows[~is_part]), key=len)
        is_kept = [not self._register.corrections.pinned.isdisjoint(self._register.keys(part)) for part in parts]
        if all(is_kept):
            return
        self._register.move(parts[1] if is_kept[0] else parts[0], self._register.founded(changes), changes)

    def _is_astray(self, row: int) -> bool:
        """Whether a sighting's new looks lie too far from the others of its group."""
        table = self._table
        slot = int(table.slots[row])
        others = int(table.counts[slot]) - 1
        if others < 1 or not table.weights[row] or table.keys[row] in self._register.corrections.pinned:
            return False
        return bool(self._own_rarity(np.array([row]))[0] < self._needed(1, np.array([others]))[0] - PARTED)

    def _own_rarity(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(R,) how rarely strangers are as near as each sighting is to the rest of its group."""
        rest = self._table.middles_without(rows)
        return self._likeness.rarity(np.square(self._table.points[rows] - rest).sum(axis=1))

    def _excess(self, points: NDArray[np.float32], count: int) -> NDArray[np.float64]:
        """(R, G): by how much (R, D) points, of `count` sightings each, are rarer than the same group needs."""
        rarity = self._likeness.rarity(self._table.to_middles(points))
        counts = self._table.counts
        return np.where(counts > 0, rarity - self._needed(count, np.maximum(counts, 1)), -math.inf)

    def _needed(self, count: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """(G,) the least rarity of middles of `count` and (G,) `others` sightings that are one group."""
        return needed_rarity(self._pair_rate, len(self._table.ids), count, others)

    def _best(self, excess: NDArray[np.float64], keys: Iterable[str]) -> int | None:
        """The slot with the largest excess, 0 at least, into which all of `keys` may."""
        if not len(excess):
            return None
        for slot in np.argsort(-excess, kind="stable")[:_MOST_TRIED].tolist():
            if excess[slot] < 0:
                return None
            if not self._register.is_barred(keys, slot):
                return int(slot)
        return None

    def _change(self, key: str, changes: GroupEvents) -> GroupChange:
        group = self.group_of(key)
        return GroupChange(key, group, changes.founded == group, tuple(changes.merged), tuple(changes.moved))
