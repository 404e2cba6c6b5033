"""Embeddings to names, by three decision rules that must agree.

Knows no file, no picture and no track.

1. The distance to the nearest person's centroid is at most the threshold (`thresholds`).
2. Everybody else is clearly farther away.
3. The SVM (`svm`) ranks the same person first.

The SVM alone would name every stranger; distance alone is less certain between two people who look alike.

A person's counter-examples (`counter_examples`) lower that person's threshold near them. A look that is refused so gets
no other name: whoever is like Ada is often like Ada's sister, too.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.errors import ModelError
from jetstream.vision.recognition import svm, thresholds
from jetstream.vision.recognition.counter_examples import CounterExamples, CounterLooks, ThresholdLimits
from jetstream.vision.recognition.distances import means_by_person, row_distances, smallest
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.log_odds import logistic
from jetstream.vision.recognition.sphere import Sphere
from jetstream.vision.recognition.svm import OneVsRestSvm
from jetstream.vision.recognition.thresholds import CalibrationFigures

# Two people whose distances differ by less can't be told apart; below it no answer was right in the sets measured.
MARGIN = 0.03
MARGIN_STEP = 0.01

# The SVM ranks only so many nearest people: farther ones never come first, and 5,000 would cost time.
NEAR = 8

_DISAGREED = math.log(0.4 / 0.6)  # keeps every refusal under 0.5


class Answer(NamedTuple):
    """Who a face is.

    `confidence` is the probability that the face is `nearest`, if strangers are so frequent that it is 0.5 at the
    threshold: 1 / (1 + exp(-x)), where x is the least of what the three rules give: (threshold - distance) over
    `thresholds.odds_step`, (margin - 0.03) / 0.01, and -0.4 when the SVM ranks somebody else first. A name is given
    from 0.5 on. `distance` is that to the centroid of `nearest`'s photos, both on the `Sphere`.
    """

    name: str | None  # None: nobody known
    confidence: float  # 0..1
    distance: float  # inf where nobody is enrolled or the embedding isn't finite
    nearest: str | None  # the nearest person even when refused; None where distance is inf
    photo: int | None = None  # row of `nearest`'s nearest photo, in the order given to `fit`
    margin: float = math.inf  # how much farther the next person or known stranger is
    threshold: float = 0.0  # largest distance at which `nearest`'s name may be given
    agreed: bool = True  # whether the SVM ranks `nearest` first
    counter_example: int | None = None  # row of that of `nearest` which lowers the threshold for this look


NOBODY = Answer(name=None, confidence=0.0, distance=math.inf, nearest=None)


class Classifier:
    """People as arrays, a row each, in the order of their names. Immutable."""

    def __init__(
        self,
        names: Sequence[str],
        photos: NDArray[np.float32],
        owners: NDArray[np.int32],
        machine: OneVsRestSvm,
        bars: NDArray[np.float32],
        space: EmbeddingSpace,
        *,
        false_accept_rate: float,
        max_distance: float | None,
        sphere: Sphere | None = None,
        negatives: NDArray[np.float32] | None = None,
        counter_examples: CounterExamples | None = None,
    ) -> None:
        """All arrays are finite float32.

        names              P different names
        photos             (N, D) embeddings, at least one of each person
        owners             (N,) person of each photo, 0..P - 1
        machine            trained on these photos
        bars               (len(RATES),), of `thresholds.calibrate`
        space              of the embeddings
        false_accept_rate  share of strangers' faces that may get a name, 0.00001 to 0.2
        max_distance       threshold of every person, instead of the calibrated ones; None: the calibrated ones
        sphere             on which faces are compared; None: as they are
        negatives          (K, D) embeddings of faces that must never get a name
        counter_examples   embeddings of faces that must not get one person's name

        Raises ValueError for anything else.
        """
        people = len(names)
        if len(set(names)) != people or not all(names):
            raise ValueError("names must be different and not empty")
        _require("photos", photos, (len(photos), space.size))
        if owners.shape != (len(photos),) or set(owners.tolist()) != set(range(people)):
            raise ValueError("owners: expected a person of each photo, and a photo of each person")
        _require("bars", bars, (len(thresholds.RATES),))
        _require("svm biases", machine.biases, (people,))
        _require("svm weights", machine.weights, (people, len(photos) if machine.gamma else space.size))
        self.names = tuple(names)
        self.false_accept_rate = false_accept_rate
        self._photos, self._owners, self._machine, self._bars = photos, owners, machine, bars
        self._space = space
        self._negatives = np.empty((0, space.size), np.float32) if negatives is None else negatives
        _require("negatives", self._negatives, (len(self._negatives), space.size))
        examples = CounterExamples.among(None, names, space.size) if counter_examples is None else counter_examples
        _require("counter_examples", examples.embeddings, (len(examples.owners), space.size))
        if len(examples.owners) and not 0 <= examples.owners.min() <= examples.owners.max() < people:
            raise ValueError("counter_owners: expected a person of each counter-example")
        self._counter_examples = examples
        self._sphere = Sphere.around(None, space.size) if sphere is None else sphere
        _require("centre", self._sphere.centre, (space.size,))
        if not (math.isfinite(self._sphere.radius) and self._sphere.radius >= 0.0):
            raise ValueError(f"radius: expected 0 or more, got {self._sphere.radius}")
        self._counts, self._centroids = means_by_person(photos, owners, people)
        self._rows = np.split(np.argsort(owners, kind="stable"), np.cumsum(self._counts[:-1]).astype(np.intp))
        self._all = self._sphere.project(np.concatenate([self._centroids, self._negatives]))
        self._placed = self._sphere.project(photos)
        self._odds_step = thresholds.odds_step(bars, space)
        self._threshold = thresholds.bar_at(bars, false_accept_rate) if max_distance is None else max_distance
        self._limits = ThresholdLimits(examples, self._counts, self._sphere, space)
        self._prepared = thresholds.against(self._all)
        self._max_distance = max_distance

    @classmethod
    def fit(
        cls,
        embeddings: NDArray[Any],
        names: Sequence[str],
        space: EmbeddingSpace,
        *,
        false_accept_rate: float,
        background: NDArray[np.float32] | None = None,
        negatives: NDArray[np.float32] | None = None,
        counter_examples: CounterLooks | None = None,
    ) -> "Classifier":
        """Learn from (N, D) finite embeddings and the person of each; N may be 0, a person may have one photo.

        false_accept_rate  share of strangers' faces that may get a name, 0.00001 to 0.2
        background         (S, D) faces of strangers, to calibrate the thresholds on; None: usual thresholds
        negatives          (K, D) faces that must never get a name
        counter_examples   faces that must not get one person's name; those of other people than `names` are left out

        Imports scikit-learn, which `ask` doesn't need. The same input gives the same classifier, up to the rounding of
        matrix products by several threads. Raises ValueError where an embedding isn't finite.
        """
        samples = np.asarray(embeddings, np.float32).reshape(len(names), space.size)
        if not np.isfinite(samples).all():
            raise ValueError("embeddings must be finite")
        people, inverse = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
        owners = inverse.astype(np.int32)
        machine = svm.train(samples, owners, len(people), space)
        sphere, bars = thresholds.fit(samples, owners, len(people), background, space)
        shown = [str(name) for name in people]
        return cls(
            shown,
            samples,
            owners,
            machine,
            bars,
            space,
            false_accept_rate=false_accept_rate,
            max_distance=None,
            sphere=sphere,
            negatives=negatives,
            counter_examples=CounterExamples.among(counter_examples, shown, space.size),
        )

    def ask(self, embeddings: NDArray[Any]) -> list[Answer]:
        """An answer for each of (M, D) embeddings; M may be 0.

        It depends on the others only by the rounding of a matrix product, about 1e-6.
        """
        faces = np.asarray(embeddings, np.float32).reshape(-1, self._space.size)
        finite = np.asarray(np.isfinite(faces).all(axis=1))
        if not self.names or not finite.any():
            return [NOBODY] * len(faces)
        answers = iter(self._ask(faces[finite]))
        return [next(answers) if is_finite else NOBODY for is_finite in finite.tolist()]

    @property
    def counter_looks(self) -> CounterLooks:
        """The counter-examples, in the order of `Answer.counter_example`."""
        return self._counter_examples.looks(self.names)

    @property
    def how(self) -> str:
        """The SVM's kind and settings, as text."""
        return self._machine.how

    def with_max_distance(self, max_distance: float) -> "Classifier":
        """The same people, each with `max_distance` as threshold."""
        return self._with(self.false_accept_rate, max_distance)

    def with_rate(self, false_accept_rate: float) -> "Classifier":
        """The same people, with thresholds for another share of strangers, 0.00001 to 0.2."""
        return self._with(false_accept_rate, self._max_distance)

    def measure(self, strangers: int) -> CalibrationFigures:
        """How the thresholds treat the training photos, each left out; `strangers`: size of the background."""
        bar = thresholds.bar_at(self._bars, self.false_accept_rate)
        return thresholds.measure(
            bar, self._centroids, self._counts, self._photos, self._owners, strangers, self._sphere
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but the rate and `max_distance`, as arrays that `numpy.savez` stores without pickle."""
        examples = self._counter_examples
        counter = {"counter_examples": examples.embeddings, "counter_owners": examples.owners}
        return {
            "names": np.array(self.names, dtype=np.str_),
            "embeddings": self._photos,
            "owners": self._owners,
            "negatives": self._negatives,
            "bars": self._bars,
            "centre": self._sphere.centre,
            "radius": np.array(self._sphere.radius, np.float64),
            "svm_weights": self._machine.weights,
            "svm_biases": self._machine.biases,
            "svm_gamma": np.array(self._machine.gamma, np.float64),
            "svm_how": np.array(self._machine.how),
            **(counter if len(examples.owners) else {}),
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        space: EmbeddingSpace,
        *,
        false_accept_rate: float,
        max_distance: float | None,
        background: NDArray[np.float32] | None = None,
    ) -> "Classifier":
        """The classifier that `to_arrays` gave; those of before 2026-11-29 have no centre and are calibrated on
        `background`. Raises ModelError where an array is missing or has another shape or dtype, or isn't finite."""
        try:
            names = arrays["names"]
            if names.ndim != 1 or names.dtype.kind != "U":
                raise ValueError(f"names: expected a row of strings, got {names.shape} {names.dtype}")
            weights, biases, gamma, how = (arrays[f"svm_{part}"] for part in ("weights", "biases", "gamma", "how"))
            machine = OneVsRestSvm(weights, biases, float(gamma), str(how))
            photos, owners, negatives = arrays["embeddings"], arrays["owners"], arrays["negatives"]
            examples = (
                CounterExamples(arrays["counter_examples"], arrays["counter_owners"])
                if "counter_examples" in arrays
                else None
            )
            if background is not None and "centre" not in arrays:
                sphere, bars = thresholds.fit(photos, owners, len(names), background, space)
            else:
                sphere, bars = Sphere(arrays["centre"], float(arrays["radius"])), arrays["bars"]
            return cls(
                [str(name) for name in names],
                photos,
                owners,
                machine,
                bars,
                space,
                false_accept_rate=false_accept_rate,
                max_distance=max_distance,
                sphere=sphere,
                negatives=negatives,
                counter_examples=examples,
            )
        except KeyError as error:
            raise ModelError(f"classifier: {error.args[0]} is missing; run `jetstream train`") from None
        # numpy raises SystemError for code points beyond Unicode
        except (ValueError, TypeError, IndexError, SystemError) as error:
            raise ModelError(f"classifier: {error}; run `jetstream train`") from None

    def _with(self, false_accept_rate: float, max_distance: float | None) -> "Classifier":
        return Classifier(
            self.names,
            self._photos,
            self._owners,
            self._machine,
            self._bars,
            self._space,
            sphere=self._sphere,
            negatives=self._negatives,
            counter_examples=self._counter_examples,
            false_accept_rate=false_accept_rate,
            max_distance=max_distance,
        )

    def _ask(self, faces: NDArray[np.float32]) -> list[Answer]:
        placed = self._sphere.project(faces)
        away = thresholds.distances(placed, self._prepared)  # (M, P + K)
        near = smallest(away[:, : len(self.names)], NEAR)
        nearest = near[:, 0]
        away[np.arange(len(faces)), nearest] = np.inf
        rivals = away.argmin(axis=1)
        # Computed face by face: the rounding of the product above depends on the size of the batch.
        distances = row_distances(placed, self._all[nearest])
        apart = row_distances(placed, self._all[rivals]) - distances
        if len(self._all) == 1:
            apart[:] = math.inf
        agreed = self._machine.scores(faces, self._photos, near).argmax(axis=1) == 0
        rows = zip(placed, nearest.tolist(), distances.tolist(), apart.tolist(), agreed.tolist(), strict=True)
        return [self._decide(*row) for row in rows]

    def _decide(self, face: NDArray[np.float32], person: int, distance: float, margin: float, agreed: bool) -> Answer:
        limit = self._limits.of(face, person)
        is_lowered = limit.distance < self._threshold
        threshold, step = float(limit.distance if is_lowered else self._threshold), self._space.step
        evidence = min(
            (threshold - distance) / self._odds_step,
            (margin / step - MARGIN) / MARGIN_STEP,
            math.inf if agreed else _DISAGREED,
        )
        name = self.names[person] if evidence >= 0.0 else None
        photo = self._nearest_photo(face, person)
        row = limit.row if is_lowered else None
        return Answer(name, logistic(evidence), distance, self.names[person], photo, margin, threshold, agreed, row)

    def _nearest_photo(self, face: NDArray[np.float32], person: int) -> int:
        mine = self._rows[person]
        return int(mine[np.square(self._placed[mine] - face).sum(axis=1).argmin()])


def _require(what: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise ValueError(f"{what}: expected {shape} float32, got {array.shape} {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: not all numbers are finite")
