"""Embeddings to names: three judges, who must agree.

Knows no file, no picture and no track.

The nearest person's centroid must be within that person's gate (`calibration`: a stranger seldom is), everybody else
must be clearly farther away, and the SVM (`svm`) must think of the same person. The SVM alone names every stranger;
distance alone is less sure between two people who look alike.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError
from jetstream.vision.recognition import svm, thresholds
from jetstream.vision.recognition.distances import sums_by_person
from jetstream.vision.recognition.embedder import EMBEDDING_SIZE
from jetstream.vision.recognition.log_odds import logistic
from jetstream.vision.recognition.svm import OneVsRestSvm
from jetstream.vision.recognition.thresholds import CalibrationFigures

# Distance over which the odds of a known person against a stranger change e-fold (logistic regression, two sets).
ODDS_STEP = 0.02
# Two people as near as this can't be told apart by distance; nobody in the sets measured is named right below it.
MARGIN = 0.03
MARGIN_STEP = 0.01

# The SVM decides among so many nearest people: farther ones are never likeliest, and 5,000 would cost time.
NEAR = 8

_DISAGREED = math.log(0.4 / 0.6)  # keeps every refusal under 0.5


class Answer(NamedTuple):
    """Who a face is.

    `confidence` is the chance that the face is `nearest`, where strangers are met so often that the gate is break-even:
    1 / (1 + exp(-x)) with x the least that the judges give: (gate - distance) / 0.02, (margin - 0.03) / 0.01, and
    -0.4 when the SVM thinks of somebody else. A name is given exactly from 0.5 on. `distance` is Euclidean in embedding
    space, to the centroid of `nearest`'s photos.
    """

    name: str | None  # None: nobody known
    confidence: float  # 0..1
    distance: float  # inf where nobody is enrolled or the embedding isn't finite
    nearest: str | None  # the nearest person even when refused; None where distance is inf
    photo: int | None = None  # row of `nearest`'s nearest photo, in the order given to `fit`
    margin: float = math.inf  # how much farther, beyond the own gate, the next person or known stranger is
    gate: float = 0.0  # the largest distance that may get a name
    agreed: bool = True  # whether the SVM thinks of `nearest` too


NOBODY = Answer(name=None, confidence=0.0, distance=math.inf, nearest=None)


class Classifier:
    """People as arrays, row by row, in the order of their names. Nothing changes after construction."""

    def __init__(
        self,
        names: Sequence[str],
        photos: NDArray[np.float32],
        owners: NDArray[np.int32],
        machine: OneVsRestSvm,
        bars: NDArray[np.float32],
        *,
        false_accept_rate: float,
        max_distance: float | None,
        negatives: NDArray[np.float32] | None = None,
    ) -> None:
        """P different `names`; (N, 128) `photos` and (N,) `owners`, 0..P - 1, at least one a person; (K, 128)
        `negatives`, photos of nobody; a `machine` of these photos; (len(RATES),) `bars`. All finite.

        Raises ValueError for anything else.
        """
        people = len(names)
        if len(set(names)) != people or not all(names):
            raise ValueError("names must be different and not empty")
        _require("photos", photos, (len(photos), EMBEDDING_SIZE))
        if owners.shape != (len(photos),) or set(owners.tolist()) != set(range(people)):
            raise ValueError("owners: expected a person of each photo, and a photo of each person")
        _require("bars", bars, (len(thresholds.RATES),))
        _require("svm biases", machine.biases, (people,))
        _require("svm weights", machine.weights, (people, len(photos) if machine.gamma else EMBEDDING_SIZE))
        self.names = tuple(names)
        self.false_accept_rate = false_accept_rate
        self._photos, self._owners, self._machine, self._bars = photos, owners, machine, bars
        self._negatives = np.empty((0, EMBEDDING_SIZE), np.float32) if negatives is None else negatives
        _require("negatives", self._negatives, (len(self._negatives), EMBEDDING_SIZE))
        self._counts, self._centroids = _centroids(photos, owners, people)
        self._rows = np.split(np.argsort(owners, kind="stable"), np.cumsum(self._counts[:-1]).astype(np.intp))
        bar = thresholds.bar_at(bars, false_accept_rate)
        self._all = np.concatenate([self._centroids, self._negatives])
        counts = np.concatenate([self._counts, np.ones(len(self._negatives), np.float32)])
        self._limits = thresholds.gates(bar, counts)
        if max_distance is not None:
            self._limits = np.full(len(counts), max_distance, np.float32)
        self._prepared = thresholds.against(self._all)
        self._max_distance = max_distance

    @classmethod
    def fit(
        cls,
        embeddings: NDArray[Any],
        names: Sequence[str],
        *,
        false_accept_rate: float,
        background: NDArray[np.float32] | None = None,
        negatives: NDArray[np.float32] | None = None,
    ) -> "Classifier":
        """Learn from (N, 128) finite embeddings and the person of each; N may be 0, a person may have one photo.

        background         (S, 128) faces of strangers, to calibrate the gates on; None: usual ones
        negatives          (K, 128) faces that must never get a name
        false_accept_rate  share of strangers' faces that may get a name, 0.00001 to 0.2

        Imports scikit-learn, which `ask` doesn't need. The same input gives the same classifier, up to the rounding of
        matrix products by several threads. Raises ValueError.
        """
        samples = np.asarray(embeddings, np.float32).reshape(len(names), EMBEDDING_SIZE)
        if not np.isfinite(samples).all():
            raise ValueError("embeddings must be finite")
        people, inverse = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
        owners = inverse.astype(np.int32)
        counts, centroids = _centroids(samples, owners, len(people))
        machine = svm.train(samples, owners, len(people))
        bars = thresholds.calibrate(centroids, counts, samples, owners, background)
        shown = [str(name) for name in people]
        return cls(
            shown,
            samples,
            owners,
            machine,
            bars,
            false_accept_rate=false_accept_rate,
            max_distance=None,
            negatives=negatives,
        )

    def ask(self, embeddings: NDArray[Any]) -> list[Answer]:
        """An answer for each of (M, 128) embeddings; M may be 0. An answer depends on the others asked with it by no
        more than the rounding of a matrix product, about 1e-6."""
        faces = np.asarray(embeddings, np.float32).reshape(-1, EMBEDDING_SIZE)
        finite = np.asarray(np.isfinite(faces).all(axis=1))
        if not self.names or not finite.any():
            return [NOBODY] * len(faces)
        answers = iter(self._ask(faces[finite]))
        return [next(answers) if is_finite else NOBODY for is_finite in finite.tolist()]

    @property
    def how(self) -> str:
        """The SVM's kind and settings, in words."""
        return self._machine.how

    def with_gate(self, max_distance: float) -> "Classifier":
        """The same people, each accepted up to `max_distance`."""
        return self._with(self.false_accept_rate, max_distance)

    def with_rate(self, false_accept_rate: float) -> "Classifier":
        """The same people, with gates for another share of strangers, 0.00001 to 0.2."""
        return self._with(false_accept_rate, self._max_distance)

    def measure(self, strangers: int) -> CalibrationFigures:
        """What the gates do to the photos that were learnt from, each left out; `strangers`: size of the background."""
        bar = thresholds.bar_at(self._bars, self.false_accept_rate)
        return thresholds.measure(bar, self._centroids, self._counts, self._photos, self._owners, strangers)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but the rate, as arrays that `numpy.savez` stores without pickle."""
        return {
            "names": np.array(self.names, dtype=np.str_),
            "embeddings": self._photos,
            "owners": self._owners,
            "negatives": self._negatives,
            "bars": self._bars,
            "svm_weights": self._machine.weights,
            "svm_biases": self._machine.biases,
            "svm_gamma": np.array(self._machine.gamma, np.float64),
            "svm_how": np.array(self._machine.how),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], *, false_accept_rate: float, max_distance: float | None
    ) -> "Classifier":
        """The classifier that `to_arrays` gave. Raises ModelError where an array is missing or not what it must be."""
        try:
            names = arrays["names"]
            if names.ndim != 1 or names.dtype.kind != "U":
                raise ValueError(f"names: expected a row of strings, got {names.shape} {names.dtype}")
            weights, biases, gamma, how = (arrays[f"svm_{part}"] for part in ("weights", "biases", "gamma", "how"))
            machine = OneVsRestSvm(weights, biases, float(gamma), str(how))
            photos, owners, negatives = arrays["embeddings"], arrays["owners"], arrays["negatives"]
            return cls(
                [str(name) for name in names],
                photos,
                owners,
                machine,
                arrays["bars"],
                false_accept_rate=false_accept_rate,
                max_distance=max_distance,
                negatives=negatives,
            )
        except KeyError as error:
            raise ModelError(f"classifier: {error.args[0]} is missing; run `jetstream train`") from None
        except (ValueError, TypeError, SystemError) as error:  # the last one is numpy's, for letters beyond Unicode
            raise ModelError(f"classifier: {error}; run `jetstream train`") from None

    def _with(self, false_accept_rate: float, max_distance: float | None) -> "Classifier":
        return Classifier(
            self.names,
            self._photos,
            self._owners,
            self._machine,
            self._bars,
            negatives=self._negatives,
            false_accept_rate=false_accept_rate,
            max_distance=max_distance,
        )

    def _ask(self, faces: NDArray[np.float32]) -> list[Answer]:
        over = thresholds.distances(faces, self._prepared) - self._limits  # (M, P + K), below 0 within the gate
        near = _smallest(over[:, : len(self.names)], NEAR)
        nearest = near[:, 0]
        over[np.arange(len(faces)), nearest] = np.inf
        rivals = over.argmin(axis=1)
        # Exactly, and with no other face in the sum: the product above is rounded by the batch's size.
        distances = _exact(faces, self._all[nearest])
        apart = _exact(faces, self._all[rivals]) - self._limits[rivals] - (distances - self._limits[nearest])
        if len(self._all) == 1:
            apart[:] = math.inf
        agreed = self._machine.scores(faces, self._photos, near).argmax(axis=1) == 0
        rows = zip(faces, nearest.tolist(), distances.tolist(), apart.tolist(), agreed.tolist(), strict=True)
        return [self._judge(*row) for row in rows]

    def _judge(self, face: NDArray[np.float32], person: int, distance: float, margin: float, agreed: bool) -> Answer:
        limit = float(self._limits[person])
        evidence = min(
            (limit - distance) / ODDS_STEP, (margin - MARGIN) / MARGIN_STEP, math.inf if agreed else _DISAGREED
        )
        name = self.names[person] if evidence >= 0.0 else None
        photo = self._nearest_photo(face, person)
        return Answer(name, logistic(evidence), distance, self.names[person], photo, margin, limit, agreed)

    def _nearest_photo(self, face: NDArray[np.float32], person: int) -> int:
        mine = self._rows[person]
        return int(mine[np.square(self._photos[mine] - face).sum(axis=1).argmin()])


def _centroids(
    photos: NDArray[np.float32], owners: NDArray[np.int32], people: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(P,) number and (P, 128) mean of each person's photos."""
    sums, counts = sums_by_person(photos, owners, people)
    return counts.astype(np.float32), (sums / counts[:, None]).astype(np.float32)


def _smallest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """(M, count) columns of each row's smallest values, the smallest first; fewer where there are fewer columns."""
    rest = values.copy()
    rows = np.arange(len(rest))
    order = np.empty((len(rest), min(count, rest.shape[1])), np.intp)
    for place in range(order.shape[1]):  # a few passes are ten times as fast as partitioning the row
        order[:, place] = rest.argmin(axis=1)
        rest[rows, order[:, place]] = np.inf
    return order


def _exact(faces: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M,) Euclidean distances of (M, 128) to (M, 128), row by row."""
    return np.asarray(np.sqrt(np.square(faces - others).sum(axis=1)), np.float32)


def _require(what: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(f"{what}: expected {shape} float32, got {array.shape} {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: not all numbers are finite")
