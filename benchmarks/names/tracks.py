"""Looks of a person in a row, as a track shows them: names a sighting, and whether "how sure" holds.

Knows no picture. Looks of a track here are different photos of one person, which differ more than frames of a video do.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names.looks import Looks
from benchmarks.names.protocol import MIN_QUALITY, Split
from jetstream.config.schema import TrackConfig
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.tracking.templates import TrackTemplates
from jetstream.vision.tracking.votes import Votes

EVERY_S = 0.2


class Sighting(NamedTuple):
    """What a track showed, look by look."""

    person: str
    expected: str | None  # None: a stranger
    names: tuple[str | None, ...]
    sure: tuple[float, ...]


def mixed(clean: Looks, worse: Sequence[Looks], seed: int) -> Looks:
    """Each face clean or as one of `worse` shows it, by chance; clean where that one didn't find it."""
    random = np.random.default_rng(seed)
    embeddings, qualities = clean.embeddings.copy(), clean.qualities.copy()
    rows = [{int(photo): row for row, photo in enumerate(looks.photos)} for looks in worse]
    for index, which in enumerate(random.integers(-1, len(worse), len(clean.photos))):
        if which >= 0 and (row := rows[which].get(int(clean.photos[index]))) is not None:
            embeddings[index], qualities[index] = worse[which].embeddings[row], worse[which].qualities[row]
    return clean._replace(embeddings=embeddings, qualities=qualities)


def sightings(
    looks: Looks, split: Split, classifier: Classifier, space: EmbeddingSpace, *, length: int, seed: int
) -> list[Sighting]:
    """A track of up to `length` looks of each person with two at least."""
    random = np.random.default_rng(seed)
    people = sorted(split.people.tolist())
    found = []
    for rows, is_known in ((split.known, True), (split.strangers, False)):
        for person in np.unique(looks.people[rows]):
            own = random.permutation(rows[looks.people[rows] == person])[:length]
            if len(own) > 1:
                shown = _shown(looks, own, classifier, space)
                names = tuple(None if name is None else people[int(name)] for name, _ in shown)
                expected = str(person) if is_known else None
                found.append(Sighting(str(person), expected, names, tuple(sure for _, sure in shown)))
    return found


def _shown(
    looks: Looks, rows: NDArray[np.intp], classifier: Classifier, space: EmbeddingSpace
) -> list[tuple[str | None, float]]:
    """The name and its confidence after each look."""
    templates, votes = TrackTemplates(space), Votes(half_life_s=TrackConfig().half_life_s)
    shown = []
    for step, row in enumerate(rows):
        time_s, quality = step * EVERY_S, float(looks.qualities[row])
        if quality >= MIN_QUALITY:
            (alone,) = classifier.ask(looks.embeddings[[row]])
            fused = templates.add(1, looks.embeddings[row], quality, time_s, named=alone.name is not None)
            (answer,) = classifier.ask(fused.embedding[None])
            if fused.moved and answer.name != votes.shown:
                votes.restart()
            votes.add(answer.name, answer.confidence if answer.name else 1 - answer.confidence, time_s, quality**2)
        shown.append(votes.name(time_s))
    return shown
