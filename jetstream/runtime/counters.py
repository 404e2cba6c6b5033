"""What a process counts, as one flat map: `faces door` 12, `drops late captured.detect` 3. The maps of all
starts of a process add up.

Knows no message, no clock and no metric's public name.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
"""upper bounds of a histogram's buckets; one more has no bound"""
_WORDS = (*(f"{bound:g}" for bound in BOUNDS_S), "inf")


class Histogram(NamedTuple):
    """How often a value was at most each of BOUNDS_S (and at all, last), and the values' sum."""

    at_most: tuple[int, ...]
    sum_s: float


class Counts:
    """Counts, which never decrease, and levels, which are current values, of one process. A name is words without
    spaces."""

    def __init__(self, process: str = "", *, min_quality: float = 0.0) -> None:
        self.process, self.min_quality = process, min_quality
        # by name: each message counts, while the names are joined for a few heartbeats a second
        self._levels: dict[tuple[str, ...], int] = {}
        self._counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._newest: dict[tuple[str, ...], int] = {}
        self._histograms: dict[str, list[int]] = {}  # a count for each of _WORDS, and the sum in us

    def add(self, *name: str, by: int = 1) -> None:
        """Raise a count."""
        self._counts[name] += by

    def add_new(self, numbers: Iterable[int], *name: str) -> None:
        """Raise a count by how many of the numbers, which only grow, are above all numbers counted there before."""
        newest = before = self._newest.get(name, 0)
        for number in numbers:
            if number > before:
                self._counts[name] += 1
                newest = max(newest, number)
        self._newest[name] = newest

    def set_total(self, total: int, *name: str) -> None:
        """Set a count that is kept elsewhere."""
        self._counts[name] = total

    def set_level(self, value: int, *name: str) -> None:
        """Set a level, the current value."""
        self._levels[name] = value

    def observe(self, name: str, value_s: float) -> None:
        """Add one value to a histogram; its sum is kept in whole microseconds."""
        found = self._histograms.get(name)
        if found is None:
            found = self._histograms[name] = [0] * (len(_WORDS) + 1)
        found[bisect_left(BOUNDS_S, value_s)] += 1
        if value_s > 0:
            found[-1] += round(value_s * 1e6)

    def as_dict(self) -> dict[str, int]:
        """The counts that aren't 0."""
        counts = {" ".join(name): count for name, count in self._counts.items() if count}
        for name, values in self._histograms.items():
            for word, count in zip((*_WORDS, "us"), values, strict=True):
                if count:
                    counts[f"{name} {word}"] = count
        return counts

    def levels(self) -> dict[str, int]:
        """The levels."""
        return {" ".join(name): value for name, value in self._levels.items()}


def counted(counts: Mapping[str, int], name: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The counts whose name begins with the word `name`, each with its other words."""
    for words, count in counts.items():
        first, *rest = words.split(" ")
        if first == name:
            yield tuple(rest), count


def drops_by_reason(counts: Mapping[str, int]) -> Counter[str]:
    """Number of frames dropped by reason, at all endpoints and in the process."""
    drops: Counter[str] = Counter()
    for (reason, *_), count in counted(counts, "drops"):
        drops[reason] += count
    return drops


def histogram(counts: Mapping[str, int], name: str) -> Histogram:
    """What `observe` has added up under `name`."""
    so_far, at_most = 0, []
    for word in _WORDS:
        so_far += counts.get(f"{name} {word}", 0)
        at_most.append(so_far)
    return Histogram(tuple(at_most), counts.get(f"{name} us", 0) * 1e-6)
