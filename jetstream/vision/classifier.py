"""Embeddings to names: a linear SVM says who is likeliest, the distance to that person's photos whether it is anybody.

Knows no file, no picture and no track.

A name is given when two judges agree: the SVM (one against the rest, balanced classes, so that a person with 100 photos
doesn't swallow one with a single photo) and the nearest centroid, which must also be within the person's gate. The SVM
alone names every stranger; distance alone is less sure between two people who look alike.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError

EMBEDDING_SIZE = 128

# Measured on 12 + 10 people, half of them strangers (benchmarks/bench_naming.py): known people and strangers are
# equally likely at this distance from a centroid of many photos; 0 to 1.5 % of strangers come closer to one of six.
GATE = 0.53
# A centroid of n photos lies off the person's true middle, the squared error being this over n: the fewer the photos,
# the farther away the same person's next picture falls, and strangers' with it.
PHOTO_NOISE = 0.06
# The nearest of many people is near by chance: strangers accepted grow with the people, e-fold a step of distance.
PEOPLE_FREE = 12
GATE_STEP = 0.025
# Distance over which the odds of a known person against a stranger change e-fold (logistic regression, same data).
ODDS_STEP = 0.02

_DISAGREED = 0.4  # keeps every refusal under 0.5
_SVM_C = 1.0  # 0.01 to 10 differ by less than half a per cent


class Answer(NamedTuple):
    """Who a face is.

    `confidence` is the chance, were known people and strangers met equally often, that the face is `nearest`:
    1 / (1 + exp((distance - gate) / 0.02)), times 0.4 when the SVM thinks of somebody else. A name is given exactly
    from 0.5 on. `distance` is Euclidean in embedding space, to the centroid of `nearest`'s photos.
    """

    name: str | None  # None: nobody known
    confidence: float  # 0..1
    distance: float  # inf where nobody is enrolled or the embedding isn't finite
    nearest: str | None  # the nearest person even when refused; None where distance is inf


NOBODY = Answer(name=None, confidence=0.0, distance=math.inf, nearest=None)


class Classifier:
    """People as arrays, row by row, in the order of their names. Nothing changes after construction."""

    def __init__(
        self,
        names: Sequence[str],
        centroids: NDArray[np.float32],
        gates: NDArray[np.float32],
        svm_weights: NDArray[np.float32],
        svm_biases: NDArray[np.float32],
    ) -> None:
        """P `names`, (P, 128) `centroids` and `svm_weights`, (P,) `gates` and `svm_biases`, all finite float32.

        Raises ValueError for anything else.
        """
        people = len(names)
        if len(set(names)) != people or not all(names):
            raise ValueError("names must be different and not empty")
        _require("centroids", centroids, (people, EMBEDDING_SIZE))
        _require("gates", gates, (people,))
        _require("svm_weights", svm_weights, (people, EMBEDDING_SIZE))
        _require("svm_biases", svm_biases, (people,))
        self.names = tuple(names)
        self._centroids, self._gates = centroids, gates
        self._weights, self._biases = svm_weights, svm_biases

    @classmethod
    def fit(cls, embeddings: NDArray[Any], names: Sequence[str]) -> "Classifier":
        """Learn from (N, 128) finite embeddings and the person of each; N may be 0, a person may have one photo.

        Imports scikit-learn, which `ask` doesn't need. The same input gives the same classifier. Raises ValueError.
        """
        samples = np.asarray(embeddings, np.float64).reshape(len(names), EMBEDDING_SIZE)
        if not np.isfinite(samples).all():
            raise ValueError("embeddings must be finite")
        people, owners, counts = np.unique(np.array(names, dtype=np.str_), return_inverse=True, return_counts=True)
        centroids = [samples[owners == person].mean(axis=0) for person in range(len(people))]
        weights, biases = _fit_svm(samples, owners, len(people))
        return cls(
            [str(name) for name in people],
            np.array(centroids, np.float32).reshape(len(people), EMBEDDING_SIZE),
            np.array([gate(int(photos), len(people)) for photos in counts], np.float32),
            weights.astype(np.float32),
            biases.astype(np.float32),
        )

    def ask(self, embeddings: NDArray[Any]) -> list[Answer]:
        """An answer for each of (M, 128) embeddings; M may be 0. No answer depends on the others asked with it."""
        return [self._ask(embedding) for embedding in np.asarray(embeddings, np.float32).reshape(-1, EMBEDDING_SIZE)]

    def with_gate(self, max_distance: float) -> "Classifier":
        """The same people, each accepted up to `max_distance`."""
        gates = np.full(len(self.names), max_distance, np.float32)
        return Classifier(self.names, self._centroids, gates, self._weights, self._biases)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, as arrays that `numpy.savez` stores without pickle."""
        return {
            "names": np.array(self.names, dtype=np.str_),
            "centroids": self._centroids,
            "gates": self._gates,
            "svm_weights": self._weights,
            "svm_biases": self._biases,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Classifier":
        """The classifier that `to_arrays` gave. Raises ModelError where an array is missing or not what it must be."""
        try:
            names = arrays["names"]
            if names.ndim != 1 or names.dtype.kind != "U":
                raise ValueError(f"names: expected a row of strings, got {names.shape} {names.dtype}")
            others = (arrays[key] for key in ("centroids", "gates", "svm_weights", "svm_biases"))
            return cls([str(name) for name in names], *others)
        except KeyError as error:
            raise ModelError(f"classifier: {error.args[0]} is missing; run `jetstream train`") from None
        except ValueError as error:
            raise ModelError(f"classifier: {error}; run `jetstream train`") from None

    def _ask(self, embedding: NDArray[np.float32]) -> Answer:
        # One face at a time: a matrix product of a whole batch rounds by the batch's size.
        if not self.names or not np.isfinite(embedding).all():
            return NOBODY
        distances = np.sqrt(np.square(self._centroids - embedding).sum(axis=1))
        nearest = int(distances.argmin())
        agreed = nearest == int((self._weights @ embedding + self._biases).argmax())
        distance, limit = float(distances[nearest]), float(self._gates[nearest])
        confidence = _logistic((limit - distance) / ODDS_STEP) * (1.0 if agreed else _DISAGREED)
        name = self.names[nearest] if agreed and distance <= limit else None
        return Answer(name, confidence, distance, self.names[nearest])


def gate(photos: int, people: int) -> float:
    """The largest distance to the centroid of `photos` photos at which a face may be that one of `people` people."""
    base = GATE - GATE_STEP * math.log(max(people, PEOPLE_FREE) / PEOPLE_FREE)
    return math.sqrt(base**2 + PHOTO_NOISE / photos)


def _fit_svm(
    samples: NDArray[np.float64], owners: NDArray[np.intp], people: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(people, 128) weights and (people,) biases; zeros where there is nobody to choose between."""
    if people < 2:
        return np.zeros((people, EMBEDDING_SIZE)), np.zeros(people)
    from sklearn.svm import LinearSVC  # 0.5 s and 60 MB that only training pays

    # The primal solver: no random order, and its cost grows with the photos only linearly.
    svm = LinearSVC(C=_SVM_C, class_weight="balanced", dual=False)
    with warnings.catch_warnings():
        # One photo a person is a fine gallery, not a regression.
        warnings.filterwarnings("ignore", "The number of unique classes")
        svm.fit(samples, owners)
    if people == 2:  # scikit-learn keeps one plane for two classes
        return np.concatenate([-svm.coef_, svm.coef_]), np.concatenate([-svm.intercept_, svm.intercept_])
    return np.asarray(svm.coef_), np.asarray(svm.intercept_)


def _require(what: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(f"{what}: expected {shape} float32, got {array.shape} {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: not all numbers are finite")


def _logistic(log_odds: float) -> float:
    """1 / (1 + exp(-log_odds)), for any finite log odds."""
    return 0.5 * (1.0 + math.tanh(0.5 * log_odds))
