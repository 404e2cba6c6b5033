"""Constants of naming chosen on all sets but one, and what they give on that one beside the shipped ones.

Knows no picture and no network: compared faces in, rows of a table out. People are drawn anew, not faces: a set's
interval is of its identities.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names import intervals
from benchmarks.names.constants import Compared, Constants, Counts, cost, counts, grid
from jetstream.vision.recognition.embedding_space import EmbeddingSpace

# Sets that show the same people: while one is reported, the other doesn't choose.
SAME_PEOPLE = (frozenset({"bbt_train", "bbt_faceapi"}),)

Parts = Mapping[str, Sequence[Compared]]  # by set: its splits


class Outcome(NamedTuple):
    """Shares of faces, each with its 95 % interval."""

    right: tuple[float, float, float]
    wrong: tuple[float, float, float]
    strangers: tuple[float, float, float]


class LeftOut(NamedTuple):
    """One set that had no part in choosing."""

    name: str
    which: str  # the constant that was chosen, or all of them
    chosen: Constants
    outcome: Outcome
    shipped: Outcome
    cost: float
    shipped_cost: float
    worse: tuple[float, float]  # by how much the shipped constants cost more: 95 % interval


def left_out(parts: Parts, space: EmbeddingSpace) -> list[LeftOut]:
    """A row a set and a constant chosen alone, and all of them together; none for a set without others to choose by."""
    tried = grid(space)
    every = tried["all three"]
    usual = every[0]
    found = {name: {one: counts(splits, one) for one in every} for name, splits in parts.items()}
    costs = {
        name: {one: float(cost(np.sum(list(by.values()), axis=0))) for one, by in each.items()}
        for name, each in found.items()
    }
    rows = []
    for name, each in found.items():
        if not (others := strange_to(name, parts)):
            continue
        for which, values in tried.items():
            chosen = choose(values, [costs[other] for other in others])
            mine, theirs = each[chosen], each[usual]
            worse = difference(theirs, mine)
            rows.append(
                LeftOut(
                    name, which, chosen, outcome(mine), outcome(theirs), costs[name][chosen], costs[name][usual], worse
                )
            )
    return rows


def choose(values: Sequence[Constants], costs: Sequence[Mapping[Constants, float]]) -> Constants:
    """The least mean cost of all sets; of equals the first, so that the shipped values stay where nothing tells."""
    return min(values, key=lambda one: round(float(np.mean([by[one] for by in costs])), 9))


def outcome(by_person: Counts) -> Outcome:
    table = np.array(list(by_person.values())).reshape(-1, 5)
    return Outcome(*(_share(table[:, columns]) for columns in ([0, 2], [1, 2], [3, 4])))


def difference(one: Counts, other: Counts) -> tuple[float, float]:
    """95 % interval of how much more `one` costs than `other`, the same people drawn for both."""
    people = intervals.drawn(len(one))
    costs = [cost(np.array([by[name] for name in one])[people].sum(axis=1)) for by in (one, other)]
    low, high = np.quantile(costs[0] - costs[1], (0.025, 0.975))
    return float(low), float(high)


def _share(counted: NDArray[np.float64]) -> tuple[float, float, float]:
    asked = counted[:, 1].sum()
    return float(counted[:, 0].sum() / asked) if asked else np.nan, *intervals.of_share(counted)


def strange_to(name: str, names: Iterable[str]) -> list[str]:
    """The sets that show other people than the set `name`."""
    return [other for other in names if other != name and not any({name, other} <= same for same in SAME_PEOPLE)]
