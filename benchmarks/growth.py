"""Decides from measurements of processes over time whether anything grows. Knows no process and no clock."""

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

WARM_UP = 0.25
"""share of the time that doesn't count: models warm up, arenas and rings are touched for the first time"""
MB_AN_HOUR = 30.0
"""most that a process may grow"""
LEAST_MB = 15.0
"""a short run may grow by this: allocators take memory in steps"""
HEADING = (
    "| process | RSS MB | an hour | of it private MB | an hour | descriptors | threads | segments | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


class Look(NamedTuple):
    """One process at one moment."""

    process: str
    pid: int
    at_s: float  # since the first look
    rss_mb: float
    private_mb: float  # RSS without what is shared
    descriptors: int
    threads: int
    segments: int  # of the whole run in /dev/shm


class Verdict(NamedTuple):
    """Of one process, after warm-up."""

    process: str
    rss_mb: float  # the last
    mb_an_hour: float
    private_mb: float
    private_mb_an_hour: float
    descriptors: tuple[int, int]  # least and most
    threads: tuple[int, int]
    segments: tuple[int, int]
    faults: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.faults

    def row(self) -> str:
        """Of the table under HEADING."""
        spans = (f"{a}" if a == b else f"{a} to {b}" for a, b in (self.descriptors, self.threads, self.segments))
        private = (f"{self.private_mb:.1f}", f"{self.private_mb_an_hour:+.1f}")
        numbers = (f"{self.rss_mb:.1f}", f"{self.mb_an_hour:+.1f}", *private, *spans)
        return f"| {self.process} | {' | '.join(numbers)} | {', '.join(self.faults) or 'flat'} |"


def verdicts(looks: Sequence[Look]) -> list[Verdict]:
    """One a process, in the order of their first look."""
    return [
        _verdict([look for look in looks if look.process == name]) for name in dict.fromkeys(k.process for k in looks)
    ]


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Theil and Sen's: the median slope of all pairs, which one peak doesn't move."""
    pairs = combinations(zip(times, values, strict=True), 2)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if b[0] > a[0]]
    return median(slopes) if slopes else 0.0


def _verdict(looks: list[Look]) -> Verdict:
    end_s = looks[-1].at_s
    warm = [look for look in looks if look.at_s >= WARM_UP * end_s]
    hours = [look.at_s / 3600 for look in warm]
    rss, private = (slope(hours, [getattr(look, field) for look in warm]) for field in ("rss_mb", "private_mb"))
    faults = []
    if rss * (hours[-1] - hours[0]) > max(LEAST_MB, MB_AN_HOUR * (hours[-1] - hours[0])):
        faults.append("memory grows")
    faults += [f"{what} grow" for what in ("descriptors", "threads", "segments") if grows(warm, what)]
    if len({look.pid for look in looks}) > 1:
        faults.append("was started again")
    spans = (
        (min(values), max(values))
        for values in ([getattr(look, what) for look in warm] for what in ("descriptors", "threads", "segments"))
    )
    return Verdict(looks[0].process, warm[-1].rss_mb, rss, warm[-1].private_mb, private, *spans, tuple(faults))


def grows(looks: Sequence[Look], what: str) -> bool:
    """Whether there never were as few in the last third as there were at most in the first: a file that is open for a
    moment is no growth."""
    third = max(1, len(looks) // 3)
    first, last = ([getattr(look, what) for look in part] for part in (looks[:third], looks[-third:]))
    return bool(min(last) > max(first))
