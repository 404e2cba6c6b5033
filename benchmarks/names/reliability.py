"""Whether "how sure" holds: of the names shown with a confidence, the share that is right.

Knows no picture and no network. A correction is a logistic curve over the log odds of the confidence, so it is
monotone. It is fitted to the other sets and judged on the one left out.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from benchmarks.names import intervals
from benchmarks.names.constants import Compared, is_named, shipped
from benchmarks.names.tracks import Sighting
from jetstream.vision.recognition.embedding_space import EmbeddingSpace

EDGES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


class Shown(NamedTuple):
    """Names that were shown. (N,) each."""

    people: NDArray[np.str_]  # whose face it is
    sure: NDArray[np.float64]  # 0..1
    is_right: NDArray[np.bool_]


class Bin(NamedTuple):
    """Names of one range of confidence."""

    low: float
    high: float
    shown: int
    sure: float  # mean
    right: float  # share
    interval: tuple[float, float]  # 95 % of `right`


class Correction(NamedTuple):
    """logistic(slope x log odds + shift)."""

    slope: float
    shift: float

    def __call__(self, sure: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(expit(self.slope * _odds(sure) + self.shift))


def of_looks(parts: Iterable[Compared], space: EmbeddingSpace) -> Shown:
    named = [(faces, is_named(faces, shipped(space))) for faces in parts]
    return Shown(
        np.concatenate([faces.people[rows] for faces, rows in named]),
        np.concatenate([faces.sure[rows] for faces, rows in named]),
        np.concatenate([faces.is_right[rows] for faces, rows in named]),
    )


def of_tracks(sightings: Sequence[Sighting]) -> Shown:
    """What was shown after each look."""
    shown = [
        (one.person, sure, name == one.expected)
        for one in sightings
        for name, sure in zip(one.names, one.sure, strict=True)
        if name
    ]
    people, sure, is_right = zip(*shown, strict=True) if shown else ((), (), ())
    return Shown(np.array(people, np.str_), np.array(sure, np.float64), np.array(is_right, np.bool_))


def together(by_set: Mapping[str, Shown]) -> Shown:
    """Of all sets; people of two sets stay apart."""
    nothing = Shown(np.empty(0, np.str_), np.empty(0, np.float64), np.empty(0, np.bool_))
    every = [
        shown._replace(people=np.array([f"{name}/{one}" for one in shown.people], np.str_))
        for name, shown in by_set.items()
    ]
    return Shown(*(np.concatenate(values) for values in zip(nothing, *every, strict=True)))


def bins(shown: Shown) -> list[Bin]:
    """Those that aren't empty, the least sure first."""
    found = []
    for low, high in itertools.pairwise(EDGES):
        inside = (shown.sure >= low) & ((shown.sure < high) | (high == EDGES[-1]))
        if inside.any():
            _, whose = np.unique(shown.people[inside], return_inverse=True)
            right = shown.is_right[inside]
            counts = np.stack([np.bincount(whose, right), np.bincount(whose)], axis=1)
            found.append(
                Bin(
                    low,
                    high,
                    len(right),
                    float(shown.sure[inside].mean()),
                    float(right.mean()),
                    intervals.of_share(counts),
                )
            )
    return found


def fitted(shown: Shown) -> Correction:
    """By greatest likelihood, with Platt's targets, so that it stays finite where every name is right."""
    odds, right = _odds(shown.sure), shown.is_right
    rights, wrongs = right.sum(), (~right).sum()
    targets = np.where(right, (rights + 1) / (rights + 2), 1 / (wrongs + 2))

    def loss(values: NDArray[np.float64]) -> float:
        slope, shift = np.exp(values[0]), values[1]  # a slope over 0 keeps the order
        return _loss(slope * odds + shift, targets)

    found = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return Correction(float(np.exp(found[0])), float(found[1]))


def log_loss(sure: NDArray[np.float64], is_right: NDArray[np.bool_]) -> float:
    """The mean surprise by what is right, in nats: the less, the better."""
    return _loss(_odds(sure), is_right.astype(np.float64))


def _loss(odds: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float(np.mean(np.logaddexp(0, odds) - targets * odds))


def _odds(sure: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(logit(np.clip(sure, 1e-6, 1 - 1e-6)))
