"""What a process counts, as one flat map that adds up over its lives: `faces door` 12, `drops late captured.detect` 3.

Knows no message, no clock and no metric's public name.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
"""upper bounds of a histogram's buckets; one more has no bound"""
_WORDS = (*(f"{bound:g}" for bound in BOUNDS_S), "inf")


class Histogram(NamedTuple):
    """How often a value was at most each of BOUNDS_S (and at all, last), and the values' sum."""

    at_most: tuple[int, ...]
    sum_s: float


class Counts:
    """One process's. A count is named by words without spaces; it only rises."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, *words: str, by: int = 1) -> None:
        self._counts[" ".join(words)] += by

    def reached(self, total: int, *words: str) -> None:
        """As `add`, of what somebody else counts."""
        self._counts[" ".join(words)] = total

    def observe(self, name: str, value_s: float) -> None:
        """One more value of a histogram; its sum is kept in whole microseconds."""
        self.add(name, _WORDS[bisect_left(BOUNDS_S, value_s)])
        self.add(name, "us", by=round(max(value_s, 0.0) * 1e6))

    def as_dict(self) -> dict[str, int]:
        """What was counted at all."""
        return {name: count for name, count in self._counts.items() if count}


def counted(counts: Mapping[str, int], name: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each count under `name`: the words behind it, and how many."""
    for words, count in counts.items():
        first, *rest = words.split(" ")
        if first == name:
            yield tuple(rest), count


def drops_by_reason(counts: Mapping[str, int]) -> Counter[str]:
    """What fell on the way, wherever that was."""
    drops: Counter[str] = Counter()
    for (reason, *_), count in counted(counts, "drops"):
        drops[reason] += count
    return drops


def histogram(counts: Mapping[str, int], name: str) -> Histogram:
    """What `observe` gathered under `name`."""
    so_far, at_most = 0, []
    for word in _WORDS:
        so_far += counts.get(f"{name} {word}", 0)
        at_most.append(so_far)
    return Histogram(tuple(at_most), counts.get(f"{name} us", 0) * 1e-6)
