"""Splits of a set into people known and strangers, and counts of names right and of strangers named, with intervals.

Knows no picture and no rule's inside. Faces of one stranger are alike, so the interval is of strangers, not of faces: a
bootstrap draws whole people.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.names import intervals
from benchmarks.names.looks import Looks
from benchmarks.names.rules import Enrolled, Named
from jetstream.vision.recognition.embedder import EmbedderSpec

MIN_QUALITY = 0.05


class Split(NamedTuple):
    """Rows of a set's clean looks."""

    people: NDArray[np.str_]
    enrolled: NDArray[np.intp]
    known: NDArray[np.intp]
    strangers: NDArray[np.intp]


class Tally(NamedTuple):
    """What one rule gave in all splits of one set. A share is of faces; NaN where there was none."""

    right: float
    wrong: float
    named: float  # strangers
    low: float  # 95 % interval of `named`
    high: float
    strangers: int  # people
    faces: int


def splits(looks: Looks, photos: int | None, draws: int) -> Iterator[Split]:
    """Half of the people are known, by `photos` photos each (None: half of theirs); the others are strangers."""
    for seed in range(draws):
        random = np.random.default_rng(seed)
        people = random.permutation(np.unique(looks.people))
        enrolled: list[int] = []
        known: list[int] = []
        for person in people[: len(people) // 2]:
            own = random.permutation(np.flatnonzero(looks.people == person))
            cut = min(photos or len(own) // 2, max(len(own) - 1, 1)) or 1
            enrolled += own[:cut].tolist()
            known += own[cut:].tolist()
        strangers = np.flatnonzero(np.isin(looks.people, people[len(people) // 2 :]))
        yield Split(people[: len(people) // 2], np.array(enrolled), np.array(known, np.intp), strangers)


def gallery(looks: Looks, split: Split, spec: EmbedderSpec) -> Enrolled:
    names = sorted(split.people.tolist())
    owners = np.searchsorted(names, looks.people[split.enrolled])
    return Enrolled(looks.embeddings[split.enrolled], owners, spec)


def tally(clean: Looks, worse: Looks, parts: list[tuple[Split, Callable[[NDArray[np.float32]], Named]]]) -> Tally:
    """Of rules that learnt a split each: `clean` looks enrolled, the faces of the same photos in `worse` asked.

    A face that wasn't found or is of too little quality has no name.
    """
    row = {int(photo): index for index, photo in enumerate(worse.photos)}
    right = wrong = asked = 0
    named_of: dict[str, list[bool]] = {}
    for split, ask in parts:
        names = sorted(split.people.tolist())
        for rows, is_known in ((split.known, True), (split.strangers, False)):
            found = [(index, row.get(int(clean.photos[index]))) for index in rows]
            usable = [(i, j) for i, j in found if j is not None and worse.qualities[j] >= MIN_QUALITY]
            said = dict.fromkeys(rows.tolist(), -1)
            if usable:
                answers = ask(worse.embeddings[[j for _, j in usable]])
                said |= {int(i): int(answer) for (i, _), answer in zip(usable, answers, strict=True)}
            for index, answer in said.items():
                person = str(clean.people[index])
                if is_known:
                    right += answer >= 0 and names[answer] == person
                    wrong += answer >= 0 and names[answer] != person
                    asked += 1
                else:
                    named_of.setdefault(person, []).append(answer >= 0)
    counts = np.array([[sum(named), len(named)] for named in named_of.values()], np.float64).reshape(-1, 2)
    low, high = intervals.of_share(counts)
    share = counts[:, 0].sum() / counts[:, 1].sum() if len(counts) else np.nan
    faces = int(counts[:, 1].sum())
    return Tally(
        right / asked if asked else np.nan, wrong / asked if asked else np.nan, share, low, high, len(counts), faces
    )
