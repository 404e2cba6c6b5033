"""A gallery asked about its own photos: each by a classifier that never saw it, and each person once as a stranger.

Knows no file and no picture: stored embeddings in, answers with their truth out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.evaluation.metrics import ProbeResult, asked_of
from jetstream.vision.recognition.classifier import Classifier

ALONE = 60
"""Up to so many photos each is left out by itself; more are left out in FOLDS parts."""
FOLDS = 10
GROUPS = 20
"""Up to so many people each is left out by himself or herself; more are left out together, in GROUPS parts."""

INVENTED = "_invented"
"""Stands for a name where a stranger is no photo's."""

Rows = NDArray[np.intp]
Fit = Callable[[NDArray[np.float32], Sequence[str]], Classifier]
Progress = Callable[[str, float], None]


class GalleryRows(NamedTuple):
    """What a gallery was made of, row by row."""

    embeddings: NDArray[np.float32]  # (N, 128)
    people: tuple[str, ...]  # N
    files: tuple[str, ...]  # N


def cross_validate(sample: GalleryRows, fit: Fit, progress: Progress = lambda what, share: None) -> list[ProbeResult]:
    """Every photo asked twice: as that of a known person, if the person has another photo, and as a stranger's.

    A stranger's is asked only while somebody else is known. The same sample gives the same answers.
    """
    known, strangers = folds(sample.people), groups(sample.people)
    asked: list[ProbeResult] = []
    for done, (rows, are_known) in enumerate([(r, True) for r in known] + [(r, False) for r in strangers]):
        progress("cross-validation", done / (len(known) + len(strangers)))
        asked.extend(_ask_without(rows, sample, fit, known=are_known))
    progress("cross-validation", 1.0)
    return asked


def ask_strangers(embeddings: NDArray[np.float32], sample: GalleryRows, fit: Fit) -> list[ProbeResult]:
    """(M, 128) faces of nobody enrolled, asked of the whole gallery."""
    answers = fit(sample.embeddings, sample.people).ask(embeddings)
    photos = [None if answer.photo is None else sample.files[answer.photo] for answer in answers]
    shown = enumerate(zip(answers, photos, strict=True), start=1)
    return [asked_of(f"{INVENTED}/{i}", INVENTED, answer, known=False, photo=photo) for i, (answer, photo) in shown]


def folds(people: Sequence[str]) -> list[Rows]:
    """Rows to leave out together: each photo of whoever has two or more, in one part, never all of a person's."""
    photos = _rows_of(people)
    several = [rows for rows in photos.values() if len(rows) > 1]
    if sum(len(rows) for rows in several) <= ALONE:
        return [np.array([row]) for rows in several for row in rows]
    parts: list[list[int]] = [[] for _ in range(FOLDS)]
    place = 0  # goes on from person to person, so that parts are of one size
    for rows in several:
        for row in rows:
            parts[place % FOLDS].append(row)
            place += 1
    return [np.array(part) for part in parts if part]


def groups(people: Sequence[str]) -> list[Rows]:
    """Rows of the people to leave out together; everybody once, never everybody at once."""
    photos = list(_rows_of(people).values())
    if len(photos) < 2:
        return []
    parts = [photos[start::GROUPS] for start in range(min(GROUPS, len(photos)))]
    return [np.concatenate([np.array(rows) for rows in part]) for part in parts]


def _ask_without(rows: Rows, sample: GalleryRows, fit: Fit, *, known: bool) -> Iterator[ProbeResult]:
    kept = np.setdiff1d(np.arange(len(sample.people)), rows)
    classifier = fit(sample.embeddings[kept], [sample.people[row] for row in kept])
    for row, answer in zip(rows, classifier.ask(sample.embeddings[rows]), strict=True):
        photo = None if answer.photo is None else sample.files[kept[answer.photo]]
        yield asked_of(sample.files[row], sample.people[row], answer, known=known, photo=photo)


def _rows_of(people: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    return rows


def notes(sample: GalleryRows) -> list[str]:
    """What was done, and what these photos can't tell, a sentence each."""
    photos = _rows_of(sample.people)
    single = sum(len(rows) == 1 for rows in photos.values())
    parts, apart = folds(sample.people), groups(sample.people)
    told: list[str] = []
    if parts:
        alone = all(len(part) == 1 for part in parts)
        how = "without that photo" if alone else f"without a tenth of the photos, {len(parts)} times"
        told.append(f"Known: each photo was asked of a gallery made {how}.")
    if single:
        told.append(
            f"People with one photo: {single} of {len(photos)}; whether they are known can't be told without a second."
        )
    if apart and len(apart) == len(photos):
        told.append("Strangers: each person was left out once, and the photos asked of a gallery of the others.")
    elif apart:
        told.append(
            f"Strangers: the {len(photos)} people were left out in {len(apart)} groups, and asked of the others."
        )
    told.append("Photos of one person taken on one day are easier than life: a test set from another day tells more.")
    return told
