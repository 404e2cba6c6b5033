"""What naming would have said with other constants, of faces that were compared once.

Knows no set and no table. Three constants decide where a name begins: how far real strangers reach beyond drawn ones,
how much alike people of one gallery are before it shows it, and the lead over the runner-up.
"""

import itertools
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.names.looks import Looks
from benchmarks.names.protocol import MIN_QUALITY, Split, gallery
from benchmarks.names.rules import Enrolled
from jetstream.gallery import strangers
from jetstream.vision.recognition import classifier, thresholds
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import EmbedderSpec
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.sphere import Sphere

# A stranger's or a wrong name counts as so many known faces without one: going from 0.1 to 0.3 % of strangers, which is
# the default, names 3 to 4 points more known people with one photo.
WRONG_COSTS = 20.0
STEPS = (-2, -1, 0, 1, 2)


class Constants(NamedTuple):
    tail: float  # `EmbeddingSpace.tail`
    likeness: float  # `thresholds.LIKENESS`
    margin: float  # `classifier.MARGIN`


STEP = Constants(tail=0.05, likeness=0.35, margin=0.015)


class Compared(NamedTuple):
    """The faces asked of one gallery, before any constant decides. (M,) each."""

    people: NDArray[np.str_]
    is_known: NDArray[np.bool_]
    is_right: NDArray[np.bool_]  # the nearest is the person itself; a stranger's never is
    distance: NDArray[np.float64]  # inf where the face wasn't found or is of too little quality
    margin: NDArray[np.float64]  # to the runner-up, as in dlib's space
    agreed: NDArray[np.bool_]
    sure: NDArray[np.float64]  # the confidence with the shipped constants
    bars: dict[tuple[float, float], float]  # by tail and likeness

    def first(self, count: int) -> "Compared":
        """The first faces alone."""
        return self._replace(**{name: getattr(self, name)[:count] for name in self._fields if name != "bars"})


Counts = dict[str, NDArray[np.float64]]
"""By person: faces named right, named wrong, asked; as a stranger: named, asked."""


def shipped(space: EmbeddingSpace) -> Constants:
    return Constants(space.tail, thresholds.LIKENESS, classifier.MARGIN)


def grid(space: EmbeddingSpace) -> dict[str, list[Constants]]:
    """The values tried, the shipped ones first: of each constant alone, and of all together."""
    usual = shipped(space)
    near = sorted(STEPS, key=abs)
    values = [[now + step * by for step in near] for now, by in zip(usual, STEP, strict=True)]
    alone = {
        field: [usual._replace(**{field: value}) for value in values[at]] for at, field in enumerate(Constants._fields)
    }
    every = [Constants(*one) for one in itertools.product(*values)]
    return alone | {"all three": sorted(every, key=lambda one: steps_away(one, usual))}


def steps_away(one: Constants, usual: Constants) -> float:
    return sum(abs(a - b) / by for a, b, by in zip(one, usual, STEP, strict=True))


def compared(clean: Looks, asked: Sequence[Looks], split: Split, known: Classifier, spec: EmbedderSpec) -> Compared:
    """The split's known people and strangers, as each of `asked` shows them, by what learnt its gallery of `clean`."""
    names = sorted(split.people.tolist())
    people, is_known, told = [], [], []
    for looks in asked:
        row = {int(photo): index for index, photo in enumerate(looks.photos)}
        for rows, is_split_known in ((split.known, True), (split.strangers, False)):
            at = [row.get(int(clean.photos[index]), -1) for index in rows]
            fine = [index if index >= 0 and looks.qualities[index] >= MIN_QUALITY else -1 for index in at]
            answers = iter(known.ask(looks.embeddings[[index for index in fine if index >= 0]]))
            told += [classifier.NOBODY if index < 0 else next(answers) for index in fine]
            people += clean.people[rows].tolist()
            is_known += [is_split_known] * len(rows)
    return Compared(
        np.array(people),
        np.array(is_known),
        np.array(
            [one.nearest is not None and names[int(one.nearest)] == who for one, who in zip(told, people, strict=True)]
        ),
        np.array([one.distance for one in told]),
        np.array([one.margin for one in told]) / spec.space.step,
        np.array([one.agreed for one in told]),
        np.array([one.confidence for one in told]),
        _bars(gallery(clean, split, spec), spec, known.false_accept_rate),
    )


def _bars(enrolled: Enrolled, spec: EmbedderSpec, rate: float) -> dict[tuple[float, float], float]:
    sphere, background = _background(spec.name, spec.space.size)
    people = sphere.project(enrolled.centroids)
    found = {}
    for tail, likeness in {(one.tail, one.likeness) for one in grid(spec.space)["all three"]}:
        with patch.object(thresholds, "LIKENESS", likeness):
            bars = thresholds.calibrate(people, background, sphere, spec.space._replace(tail=tail))
        found[tail, likeness] = thresholds.bar_at(bars, rate)
    return found


@cache
def _background(name: str, size: int) -> tuple[Sphere, NDArray[np.float32]]:
    faces = strangers.faces(name)
    sphere = Sphere.around(faces, size)
    return sphere, sphere.project(faces)


def is_named(faces: Compared, constants: Constants) -> NDArray[np.bool_]:
    bar = faces.bars[constants.tail, constants.likeness]
    return (faces.distance <= bar) & (faces.margin >= constants.margin) & faces.agreed


def counts(parts: Sequence[Compared], constants: Constants) -> Counts:
    found: Counts = {}
    for faces in parts:
        named = is_named(faces, constants)
        each = np.stack(
            [
                named & faces.is_right,
                named & faces.is_known & ~faces.is_right,
                faces.is_known,
                named & ~faces.is_known,
                ~faces.is_known,
            ],
            axis=1,
        ).astype(np.float64)
        for person in np.unique(faces.people):
            found[person] = found.get(person, 0) + each[faces.people == person].sum(axis=0)
    return found


def cost(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of (..., 5) sums of Counts: known faces without their name, and WRONG_COSTS times each wrong share."""
    right, wrong, known, named, asked = np.moveaxis(sums, -1, 0)
    known, asked = np.maximum(known, 1), np.maximum(asked, 1)
    return np.asarray(1 - right / known + WRONG_COSTS * (wrong / known + named / asked))
