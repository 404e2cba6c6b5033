"""Answers with the truth beside them, to rates, curves and confusions.

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
"""False-accept rates at which the identification rate is told; 0: where none of these strangers is named."""
_Z = 1.959964  # of a normal distribution: 95 % lie within
_LONGEST_ODDS = 36.0  # past it a confidence is 0 or 1 in float64

Outcome = Literal["right", "wrong", "unknown", "named", "refused"]


class ProbeResult(msgspec.Struct, frozen=True):
    """One face, who it is, and what was answered."""

    file: str  # the photo, relative to its folder
    person: str
    known: bool  # whether the gallery that was asked holds this person; False: a stranger to it
    name: str | None  # answered; None: unknown
    nearest: str | None
    photo: str | None  # the nearest photo of `nearest`, relative to the faces folder
    distance: float  # to `nearest`, in embedding space; inf where there is none
    score: float  # see `score`

    @property
    def outcome(self) -> Outcome:
        if not self.known:
            return "refused" if self.name is None else "named"
        if self.name is None:
            return "unknown"
        return "right" if self.name == self.person else "wrong"


class Proportion(msgspec.Struct, frozen=True):
    """`count` of `of`, and the 95 % interval of the share it stands for, as if each were independent."""

    count: int
    of: int
    share: float | None  # None where `of` is 0
    low: float
    high: float


class OperatingPoint(msgspec.Struct, frozen=True):
    """How many known faces come out right where a threshold lets this share of strangers through."""

    false_accept_rate: float
    right: Proportion | None  # None: too few strangers to tell
    threshold: float | None  # scores above it are let through
    strangers_named: int
    strangers: int


class PersonFigures(msgspec.Struct, frozen=True):
    """One person of the gallery."""

    name: str
    right: int
    wrong: int  # named as somebody else
    unknown: int
    named_as_stranger: int  # asked of a gallery without this person, and named all the same
    as_stranger: int  # asked so
    drawn: int  # faces of others and of strangers that were given this name

    @property
    def asked(self) -> int:
        return self.right + self.wrong + self.unknown


class Confusion(msgspec.Struct, frozen=True):
    """How many faces of `person` (None: of strangers) were answered `name` (None: unknown)."""

    person: str | None
    name: str | None
    count: int


class Figures(msgspec.Struct, frozen=True):
    """Everything counted; the first four at the gallery's own thresholds."""

    right: Proportion
    wrong: Proportion
    unknown: Proportion
    strangers_named: Proportion
    at_rates: tuple[OperatingPoint, ...]
    people: tuple[PersonFigures, ...]
    confusion: tuple[Confusion, ...]


def score(answer: Answer) -> float:
    """What a threshold is swept over: the log odds of the confidence, so 0 or more exactly where a name is given."""
    chance = answer.confidence
    if chance <= 0.0 or chance >= 1.0:
        return math.copysign(_LONGEST_ODDS, chance - 0.5)
    return max(-_LONGEST_ODDS, min(_LONGEST_ODDS, math.log(chance / (1.0 - chance))))


def asked_of(file: str, person: str, answer: Answer, *, known: bool, photo: str | None = None) -> ProbeResult:
    """`answer` as it is kept; `photo` is the file of the row that it names."""
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
    """With Wilson's interval, which also holds for few and for 0 %."""
    if not of:
        return Proportion(count, of, None, 0.0, 1.0)
    part = count / of
    middle = (part + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z * math.sqrt(part * (1 - part) / of + _Z**2 / (4 * of**2)) / (1 + _Z**2 / of)
    # rounded, since the ends are not exactly 0 and 1 in float64
    return Proportion(count, of, part, round(max(0.0, middle - half), 6), round(min(1.0, middle + half), 6))


def figures(asked: Sequence[ProbeResult]) -> Figures:
    """Counts of `asked`, of which either kind may be missing."""
    outcomes = Counter(one.outcome for one in asked)
    known = outcomes["right"] + outcomes["wrong"] + outcomes["unknown"]
    pairs = Counter((one.person if one.known else None, one.name) for one in asked)
    return Figures(
        right=share(outcomes["right"], known),
        wrong=share(outcomes["wrong"], known),
        unknown=share(outcomes["unknown"], known),
        strangers_named=share(outcomes["named"], outcomes["named"] + outcomes["refused"]),
        at_rates=tuple(at_rate(asked, rate) for rate in RATES),
        people=people(asked),
        confusion=tuple(Confusion(*pair, count) for pair, count in sorted(pairs.items(), key=str)),
    )


def at_rate(asked: Sequence[ProbeResult], rate: float) -> OperatingPoint:
    """Right answers where at most `rate` of the strangers are let through.

    A threshold is as fine as the strangers are many: `right` is None where one of them is more than `rate` of all.
    """
    strangers = np.sort([one.score for one in asked if not one.known])[::-1]
    passed = math.floor(rate * len(strangers) + 1e-9)
    if not len(strangers) or (rate and not passed):
        return OperatingPoint(rate, None, None, 0, len(strangers))
    threshold = float(strangers[passed])
    known = [one for one in asked if one.known]
    right = sum(one.nearest == one.person and one.score > threshold for one in known)
    return OperatingPoint(rate, share(right, len(known)), threshold, int((strangers > threshold).sum()), len(strangers))


def curve(asked: Sequence[ProbeResult]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) shares of strangers named, rising from 0 to 1, and (K,) the most known faces that are then right, shares.

    Empty where either kind is missing.
    """
    strangers = np.sort([one.score for one in asked if not one.known])
    right = np.sort([one.score for one in asked if one.known and one.nearest == one.person])
    known = sum(one.known for one in asked)
    if not known or not len(strangers):
        return np.empty(0), np.empty(0)
    thresholds = np.append(np.unique(strangers), np.inf)[::-1]
    accepted = 1.0 - np.searchsorted(strangers, thresholds) / len(strangers)
    # Just above the next stranger down, all that can be right at this share of strangers is.
    above = np.append(thresholds[1:], -np.inf)
    return accepted, (len(right) - np.searchsorted(right, above, side="right")) / known


def people(asked: Iterable[ProbeResult]) -> tuple[PersonFigures, ...]:
    """A row for everybody who is known, was asked, or whose name was given."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in asked:
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
