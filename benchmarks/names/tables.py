"""Tables of tracks, of sets left out and of "how sure". Rows in, lines of Markdown out."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.names import intervals, reliability
from benchmarks.names.constants import Constants
from benchmarks.names.left_out import LeftOut, strange_to
from benchmarks.names.reliability import Shown
from benchmarks.names.tracks import Sighting

SIGHTINGS_A_DAY = 200


def in_tracks(by_set: Mapping[str, Sequence[Sighting]], title: str) -> Iterator[str]:
    """A row a set; a stranger's sighting counts as named if it showed a name at any time."""
    yield f"| {title} | sightings | right of looks | right at the end | wrong | strangers' | named at any time (95 %) |"
    yield "|---|---|---|---|---|---|---|"
    every = [one._replace(person=f"{name}/{one.person}") for name, found in by_set.items() for one in found]
    for name, found in (*by_set.items(), ("all", every)):
        known = [one for one in found if one.expected is not None]
        said = [(one.expected, name) for one in known for name in one.names]
        right = _mean([name == expected for expected, name in said])
        wrong = _mean([name not in (None, expected) for expected, name in said])
        end = _mean([one.names[-1] == one.expected for one in known])
        others = [one for one in found if one.expected is None]
        yield (
            f"| {name} | {len(known)} | {right:.1%} | {end:.1%} | {wrong:.2%} | {len(others)} "
            f"| {interval(_ever_named(others))} |"
        )
    named = _ever_named([one for one in every if one.expected is None])[0]
    yield ""
    yield f"of {SIGHTINGS_A_DAY} sightings of strangers a day, {named * SIGHTINGS_A_DAY:.1f} get a name"


def beside_shipped(rows: Sequence[LeftOut], title: str) -> Iterator[str]:
    """A row a set: all constants chosen on the others, beside the shipped ones."""
    yield f"| left out; {title} | constants | known right (95 %) | wrong | strangers named |"
    yield "|---|---|---|---|---|"
    for row in rows:
        if row.which == "all three":
            yield f"| {row.name} | shipped | {' | '.join(map(interval, row.shipped))} |"
            yield f"| | chosen on the others, {values(row.chosen)} | {' | '.join(map(interval, row.outcome))} |"


def saved(rows: Sequence[LeftOut], title: str) -> Iterator[str]:
    """A row a constant: the value chosen without each set, and what it costs less there than the shipped one."""
    names = list(dict.fromkeys(row.name for row in rows))
    yield f"| chosen alone: value, cost saved x 100 (95 %); {title} | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for which in dict.fromkeys(row.which for row in rows):
        mine = [row for row in rows if row.which == which]
        yield f"| {which} | " + " | ".join(_saving(row) for row in mine) + " |"
    yield ""
    yield verdict(rows)


def verdict(rows: Sequence[LeftOut]) -> str:
    """Which constant's shipped value is clearly worse on a set that had no part in choosing, and which is better."""
    told = []
    for which in dict.fromkeys(row.which for row in rows):
        mine = [row for row in rows if row.which == which]
        worse, better = ([row.name for row in mine if is_it(row)] for is_it in (_is_worse, _is_better))
        if worse or better:
            told.append(
                f"{which}: shipped worse on {', '.join(worse) or 'none'}, better on {', '.join(better) or 'none'}"
            )
    return "clearly (95 %): " + ("; ".join(told) or "no constant's shipped value is worse or better on any set")


def how_sure(by_set: Mapping[str, Shown], title: str) -> Iterator[str]:
    """By range of confidence, of all sets, and whether a correction holds on each set that didn't fit it."""
    yield f"| how sure; {title} | shown | mean | right (95 %) |"
    yield "|---|---|---|---|"
    for one in reliability.bins(reliability.together(by_set)):
        right = f"{one.right:.1%} ({one.interval[0]:.1%} to {one.interval[1]:.1%})"
        yield f"| {one.low:.0%} to {one.high:.0%} | {one.shown} | {one.sure:.1%} | {right} |"
    yield ""
    yield f"| left out; {title} | shown, wrong | log loss | corrected by the others: slope, shift | log loss |"
    yield "|---|---|---|---|---|"
    holds = []
    for name, shown in by_set.items():
        others = reliability.together({other: by_set[other] for other in strange_to(name, by_set)})
        if not len(shown.sure) or not len(others.sure):
            continue
        found = reliability.fitted(others)
        before, after = (reliability.log_loss(sure, shown.is_right) for sure in (shown.sure, found(shown.sure)))
        holds.append(after < before)
        yield (
            f"| {name} | {len(shown.sure)}, {int((~shown.is_right).sum())} | {before:.4f} "
            f"| {found.slope:.2f}, {found.shift:+.1f} | {after:.4f} |"
        )
    yield ""
    yield f"the correction is better on {sum(holds)} of {len(holds)} sets that it wasn't fitted to"


def interval(share: tuple[float, float, float]) -> str:
    return f"{share[0]:.2%} ({share[1]:.1%} to {share[2]:.1%})"


def values(constants: Constants) -> str:
    return " ".join(f"{value:.3g}" for value in constants)


def _ever_named(strangers: Sequence[Sighting]) -> tuple[float, float, float]:
    _, whose = np.unique([one.person for one in strangers], return_inverse=True)
    named = np.array([any(one.names) for one in strangers], np.float64)
    counts = np.stack([np.bincount(whose, named), np.bincount(whose)], axis=1)
    return _mean(named), *intervals.of_share(counts)


def _mean(values: Sequence[bool] | NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _saving(row: LeftOut) -> str:
    value = values(row.chosen) if row.which == "all three" else f"{getattr(row.chosen, row.which):.3g}"
    less = row.shipped_cost - row.cost
    return f"{value}: {100 * less:+.1f} ({100 * row.worse[0]:+.1f} to {100 * row.worse[1]:+.1f})"


def _is_worse(row: LeftOut) -> bool:
    return row.worse[0] > 0


def _is_better(row: LeftOut) -> bool:
    return row.worse[1] < 0
