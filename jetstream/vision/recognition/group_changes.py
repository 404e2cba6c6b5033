"""What the groups of strangers take and tell: sightings as they were kept, and what one call changed.

Knows no embedding's meaning.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class MovedSighting(NamedTuple):
    """A sighting that left a group for another."""

    key: str
    origin: int
    into: int


class GroupChange(NamedTuple):
    """What one call changed."""

    key: str
    group: int  # of the sighting now
    founded: bool = False  # the group is new with this sighting
    merged: tuple[tuple[int, int], ...] = ()  # (alias from now on, group that goes on)
    moved: tuple[MovedSighting, ...] = ()  # sightings that a new look showed to lie elsewhere, in order


class StoredSighting(NamedTuple):
    """A sighting as it was kept, to go on with after a restart."""

    key: str
    group: int
    embeddings: NDArray[np.float32]  # (n, D)
    qualities: NDArray[np.float32]  # (n,)
    is_pinned: bool = False


@dataclass(slots=True)
class GroupEvents:
    """What happened so far in one call."""

    founded: int | None = None
    merged: list[tuple[int, int]] = field(default_factory=list)
    moved: list[MovedSighting] = field(default_factory=list)
