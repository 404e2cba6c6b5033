"""Cross-validation: each photo is tested by a classifier trained without it, and once without its person (a stranger).

Knows no file and no picture: stored embeddings in, results out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.evaluation.metrics import ProbeResult, probe_result
from jetstream.vision.recognition.classifier import Classifier

ALONE = 60
"""Up to so many photos, each is left out alone; more photos are left out in FOLDS parts."""
FOLDS = 10
GROUPS = 20
"""Up to so many people, each is left out alone; more people are left out in GROUPS groups."""

INVENTED = "_invented"
"""The person of an invented stranger's embedding."""

Rows = NDArray[np.intp]
Fit = Callable[[NDArray[np.float32], Sequence[str]], Classifier]
Progress = Callable[[str, float], None]


class GalleryRows(NamedTuple):
    """The photos that a gallery was trained on, a row for each."""

    embeddings: NDArray[np.float32]  # (N, 128)
    people: tuple[str, ...]  # N names
    files: tuple[str, ...]  # N paths relative to the faces folder


def cross_validate(sample: GalleryRows, fit: Fit, progress: Progress = lambda what, share: None) -> list[ProbeResult]:
    """Test every photo twice: as a known person's, if the person has another photo, and as a stranger's.

    The second test needs another known person. `fit` trains a classifier on (N, 128) embeddings and N names. The same
    sample gives the same results.
    """
    known, strangers = folds(sample.people), groups(sample.people)
    results: list[ProbeResult] = []
    for done, (rows, are_known) in enumerate([(r, True) for r in known] + [(r, False) for r in strangers]):
        progress("cross-validation", done / (len(known) + len(strangers)))
        results.extend(_probe_without(rows, sample, fit, known=are_known))
    progress("cross-validation", 1.0)
    return results


def probe_strangers(embeddings: NDArray[np.float32], sample: GalleryRows, fit: Fit) -> list[ProbeResult]:
    """Test (M, 128) float32 embeddings of people who are not enrolled against the whole gallery."""
    answers = fit(sample.embeddings, sample.people).ask(embeddings)
    photos = [None if answer.photo is None else sample.files[answer.photo] for answer in answers]
    return [
        probe_result(f"{INVENTED}/{number}", INVENTED, answer, known=False, photo=photo)
        for number, (answer, photo) in enumerate(zip(answers, photos, strict=True), start=1)
    ]


def folds(people: Sequence[str]) -> list[Rows]:
    """Rows to leave out together. Each photo of a person with two or more is in one part, never all in the same."""
    photos = _rows_of(people)
    several = [rows for rows in photos.values() if len(rows) > 1]
    if sum(len(rows) for rows in several) <= ALONE:
        return [np.array([row]) for rows in several for row in rows]
    parts: list[list[int]] = [[] for _ in range(FOLDS)]
    place = 0  # continues from person to person, so that the parts have the same size
    for rows in several:
        for row in rows:
            parts[place % FOLDS].append(row)
            place += 1
    return [np.array(part) for part in parts if part]


def groups(people: Sequence[str]) -> list[Rows]:
    """The rows of the people to leave out together: each person once, never all at once."""
    photos = list(_rows_of(people).values())
    if len(photos) < 2:
        return []
    parts = [photos[start::GROUPS] for start in range(min(GROUPS, len(photos)))]
    return [np.concatenate([np.array(rows) for rows in part]) for part in parts]


def _probe_without(rows: Rows, sample: GalleryRows, fit: Fit, *, known: bool) -> Iterator[ProbeResult]:
    kept = np.setdiff1d(np.arange(len(sample.people)), rows)
    classifier = fit(sample.embeddings[kept], [sample.people[row] for row in kept])
    for row, answer in zip(rows, classifier.ask(sample.embeddings[rows]), strict=True):
        photo = None if answer.photo is None else sample.files[kept[answer.photo]]
        yield probe_result(sample.files[row], sample.people[row], answer, known=known, photo=photo)


def _rows_of(people: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    return rows


def notes(sample: GalleryRows) -> list[str]:
    """Sentences for the user: how the gallery was tested, and what these photos can't show."""
    photos = _rows_of(sample.people)
    single = sum(len(rows) == 1 for rows in photos.values())
    parts, apart = folds(sample.people), groups(sample.people)
    lines: list[str] = []
    if parts:
        alone = all(len(part) == 1 for part in parts)
        how = "without that photo" if alone else f"without a tenth of the photos, {len(parts)} times"
        lines.append(f"Known people: each photo was tested against a gallery trained {how}.")
    if single:
        lines.append(
            f"People with one photo: {single} of {len(photos)}; testing whether they are recognised needs a second one."
        )
    if apart and len(apart) == len(photos):
        lines.append("Strangers: each person was left out once, and tested against a gallery of the others.")
    elif apart:
        lines.append(
            f"Strangers: the {len(photos)} people were left out in {len(apart)} groups, each tested against the others."
        )
    lines.append(
        "Photos of one person from one day are easier than real use: a test set from another day is more realistic."
    )
    return lines
