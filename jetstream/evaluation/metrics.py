"""Rates, curves and confusion counts from results with known truth.

Knows no file, no picture and no classifier.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream.vision.recognition.classifier import Answer

RATES = (0.01, 0.001, 0.0)
"""False-positive identification rates (FPIR) for which the identification rate is computed; 0: no stranger is named."""
_Z = 1.959964  # 95 % of a standard normal distribution lie within this distance of 0
_LONGEST_ODDS = 36.0  # beyond these log odds a confidence is 0 or 1 in float64

Outcome = Literal["right", "wrong", "unknown", "named", "refused"]


class ProbeResult(msgspec.Struct, frozen=True):
    """One face, whose it is, and the classifier's answer."""

    file: str  # the photo, relative to its folder
    person: str
    known: bool  # whether the tested gallery contains this person; False: a stranger
    name: str | None  # the answer; None: unknown
    nearest: str | None
    photo: str | None  # the nearest photo of `nearest`, relative to the faces folder
    distance: float  # to `nearest`, in embedding space; inf where there is none
    score: float  # see `score`

    @property
    def outcome(self) -> Outcome:
        """`right`, `wrong` or `unknown` for a known person; `named` or `refused` for a stranger."""
        if not self.known:
            return "refused" if self.name is None else "named"
        if self.name is None:
            return "unknown"
        return "right" if self.name == self.person else "wrong"


class Proportion(msgspec.Struct, frozen=True):
    """`count` of `of`, and the 95 % confidence interval of the share, assuming independent trials."""

    count: int
    of: int
    share: float | None  # None where `of` is 0
    low: float
    high: float


class OperatingPoint(msgspec.Struct, frozen=True):
    """The share of known faces named right at the threshold at which this share of strangers gets a name."""

    false_accept_rate: float  # FPIR
    right: Proportion | None  # None: too few strangers for this rate
    threshold: float | None  # a higher score gets a name
    strangers_named: int
    strangers: int


class PersonFigures(msgspec.Struct, frozen=True):
    """The counts of one person's faces."""

    name: str
    right: int
    wrong: int  # named as somebody else
    unknown: int
    named_as_stranger: int  # tested without this person in the gallery, and named as somebody else
    as_stranger: int  # tested without this person in the gallery
    drawn: int  # faces of other people and of strangers that got this name

    @property
    def asked(self) -> int:
        """Number of faces tested with this person in the gallery."""
        return self.right + self.wrong + self.unknown


class Confusion(msgspec.Struct, frozen=True):
    """The number of faces of `person` (None: of strangers) that got `name` (None: unknown)."""

    person: str | None
    name: str | None
    count: int


class Figures(msgspec.Struct, frozen=True):
    """All figures of a test with photos; the first four at the gallery's own thresholds."""

    right: Proportion
    wrong: Proportion
    unknown: Proportion
    strangers_named: Proportion
    at_rates: tuple[OperatingPoint, ...]
    people: tuple[PersonFigures, ...]
    confusion: tuple[Confusion, ...]


def score(answer: Answer) -> float:
    """The score that thresholds are compared with: the log odds of the confidence. 0 or more means a name was given."""
    chance = answer.confidence
    if chance <= 0.0 or chance >= 1.0:
        return math.copysign(_LONGEST_ODDS, chance - 0.5)
    return max(-_LONGEST_ODDS, min(_LONGEST_ODDS, math.log(chance / (1.0 - chance))))


def probe_result(file: str, person: str, answer: Answer, *, known: bool, photo: str | None = None) -> ProbeResult:
    """The result for one face; `photo` is the file of the row `answer.photo`."""
    return ProbeResult(
        file=file,
        person=person,
        known=known,
        name=answer.name,
        nearest=answer.nearest,
        photo=photo,
        distance=answer.distance,
        score=score(answer),
    )


def share(count: int, of: int) -> Proportion:
    """`count` of `of` with Wilson's score interval, which also holds for few trials and for 0 % (Wilson, JASA 1927)."""
    if not of:
        return Proportion(count, of, None, 0.0, 1.0)
    part = count / of
    middle = (part + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z * math.sqrt(part * (1 - part) / of + _Z**2 / (4 * of**2)) / (1 + _Z**2 / of)
    # rounded, since the ends are not exactly 0 and 1 in float64
    return Proportion(count, of, part, round(max(0.0, middle - half), 6), round(min(1.0, middle + half), 6))


def figures(results: Sequence[ProbeResult]) -> Figures:
    """The figures of `results`; known people or strangers may be missing."""
    outcomes = Counter(one.outcome for one in results)
    known = outcomes["right"] + outcomes["wrong"] + outcomes["unknown"]
    pairs = Counter((one.person if one.known else None, one.name) for one in results)
    return Figures(
        right=share(outcomes["right"], known),
        wrong=share(outcomes["wrong"], known),
        unknown=share(outcomes["unknown"], known),
        strangers_named=share(outcomes["named"], outcomes["named"] + outcomes["refused"]),
        at_rates=tuple(at_rate(results, rate) for rate in RATES),
        people=people(results),
        confusion=tuple(Confusion(*pair, count) for pair, count in sorted(pairs.items(), key=str)),
    )


def at_rate(results: Sequence[ProbeResult], rate: float) -> OperatingPoint:
    """The share of right answers at the threshold at which at most `rate` of the strangers get a name.

    `right` is None where there are too few strangers: one of them is more than `rate` of all.
    """
    strangers = np.sort([one.score for one in results if not one.known])[::-1]
    passed = math.floor(rate * len(strangers) + 1e-9)
    if not len(strangers) or (rate and not passed):
        return OperatingPoint(rate, None, None, 0, len(strangers))
    threshold = float(strangers[passed])
    known = [one for one in results if one.known]
    right = sum(one.nearest == one.person and one.score > threshold for one in known)
    return OperatingPoint(rate, share(right, len(known)), threshold, int((strangers > threshold).sum()), len(strangers))


def curve(results: Sequence[ProbeResult]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) shares of strangers named, rising from 0 to 1, and (K,) the largest shares of known faces named right there.

    Both float64; empty without known people or without strangers.
    """
    strangers = np.sort([one.score for one in results if not one.known])
    right = np.sort([one.score for one in results if one.known and one.nearest == one.person])
    known = sum(one.known for one in results)
    if not known or not len(strangers):
        return np.empty(0), np.empty(0)
    thresholds = np.append(np.unique(strangers), np.inf)[::-1]
    accepted = 1.0 - np.searchsorted(strangers, thresholds) / len(strangers)
    # A threshold just above the next lower stranger's score gives the most right answers at this share of strangers.
    above = np.append(thresholds[1:], -np.inf)
    return accepted, (len(right) - np.searchsorted(right, above, side="right")) / known


def people(results: Iterable[ProbeResult]) -> tuple[PersonFigures, ...]:
    """A row for each person who was tested or whose name was given, sorted by name."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in results:
        counts[one.person, one.outcome] += 1
        if one.outcome in ("wrong", "named") and one.name is not None:
            counts[one.name, "drawn"] += 1
    rows = []
    for name in sorted({name for name, _ in counts}):
        right, wrong, unknown, named, refused, drawn = (
            counts[name, what] for what in ("right", "wrong", "unknown", "named", "refused", "drawn")
        )
        rows.append(PersonFigures(name, right, wrong, unknown, named, named + refused, drawn))
    return tuple(rows)
